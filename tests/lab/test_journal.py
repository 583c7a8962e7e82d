# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio

import pytest

from harness.kernel.events import SaAdded, SaDeleted
from harness.lab.journal import Journal, NotSeen
from harness.peers.contract import ChildDown, ChildSa
from tests.kernel.test_events import EVENTS
from tests.kernel.test_telling import CUT, TOLD


def first(journal: Journal, wanted: str, within: float = 0.05) -> str:
    async def wait() -> str:
        entry = await journal.first(str, lambda event: event == wanted, f"{wanted!r}", within)
        return str(entry.event)

    return asyncio.run(wait())


def test_what_has_happened_already_is_found_at_once() -> None:
    journal = Journal("moon")
    journal.record("up")
    assert first(journal, "up", within=0) == "up"


def test_an_event_that_never_comes_is_reported_with_the_last_one_seen() -> None:
    journal = Journal("moon")
    journal.record("up")
    with pytest.raises(NotSeen, match=r"moon: 'down' did not come within 0\.05 s; last seen: up"):
        first(journal, "down")


def test_what_a_daemon_told_last_is_named_by_its_spis() -> None:
    journal = Journal("moon")
    journal.record(ChildDown(ChildSa("net", 0x1234, 0xC0FFEE00, 7)))
    said = r"last seen: CHILD_SA net in 0x00001234 out 0xc0ffee00 down$"
    with pytest.raises(NotSeen, match=said):
        first(journal, "up")


def test_an_event_that_comes_late_is_reported_as_late() -> None:
    journal = Journal("moon")

    async def scenario() -> None:
        asyncio.get_running_loop().call_later(0.12, journal.record, "up")
        await journal.first(str, lambda event: True, "CHILD_SA up", 0.1)

    with pytest.raises(NotSeen, match=r"was expected within 0\.1 s and came late, at 0\.1 s"):
        asyncio.run(scenario())


def test_events_before_the_position_asked_for_do_not_count() -> None:
    journal = Journal("moon")
    journal.record("up")

    async def scenario() -> None:
        await journal.first(str, lambda event: True, "another", 0.01, since=1)

    with pytest.raises(NotSeen):
        asyncio.run(scenario())


def test_a_message_of_the_kernel_is_found_by_the_kind_and_the_values_of_its_event() -> None:
    journal = Journal("moon")

    async def scenario() -> object:
        for message in TOLD:
            asyncio.get_running_loop().call_soon(journal.record, message)
        entry = await journal.first((SaAdded, SaDeleted), lambda event: True, "an SA", 5)
        return entry.event

    added = asyncio.run(scenario())
    assert added in EVENTS.values()
    assert isinstance(added, SaAdded)
    (deleted,) = journal.of(SaDeleted)
    assert deleted.event == SaDeleted(added.sa)


def test_only_messages_that_may_be_the_one_are_read() -> None:
    journal = Journal("moon")
    for message in TOLD:
        journal.record(message)
    assert len(list(journal.of(SaDeleted))) == 1
    # What was read is kept beside the message.
    read = [entry.kind for entry in journal.entries if "event" in vars(entry)]
    assert read == [SaDeleted]


def test_a_message_that_cannot_be_read_is_not_what_its_type_promises() -> None:
    journal = Journal("moon")
    journal.record(CUT)
    assert list(journal.of(SaAdded)) == []
    assert "xfrm_usersa_info" in str(journal)
