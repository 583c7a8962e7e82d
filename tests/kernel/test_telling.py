# SPDX-License-Identifier: GPL-2.0-or-later
import json

import pytest

from harness.kernel.events import EventsLost, SaAdded, SaDeleted
from harness.kernel.messages import Message, split
from harness.kernel.numbers import MessageType
from harness.kernel.telling import kind_of, read, spelled_out, write_event, write_unread
from tests.kernel.test_events import EVENTS
from tests.kernel.values import ESP

TOLD = [message for datagram in EVENTS for message in split(datagram)]
CUT = Message(MessageType.NEWSA, 0, 0, b"short")


@pytest.mark.parametrize("told", TOLD, ids=lambda told: kind_of(told).__name__)
def test_the_kind_is_known_without_reading_and_is_that_of_what_is_read(told: Message) -> None:
    assert kind_of(told) is type(read(told))


@pytest.mark.parametrize("told", TOLD, ids=lambda told: kind_of(told).__name__)
def test_an_unread_message_in_a_file_is_spelled_out_as_its_event(told: Message) -> None:
    line = json.loads(f'{{"node": "moon", {write_unread(told)}}}')
    assert spelled_out(line) == json.loads(f'{{"node": "moon", {write_event(read(told))}}}')


def test_an_installed_sa_is_spelled_out_with_its_keys_and_an_ended_one_without() -> None:
    assert ESP.aead is not None
    key = ESP.aead.key.hex()
    assert key in write_event(SaAdded(ESP))
    assert key not in write_event(SaDeleted(ESP))


def test_a_message_that_cannot_be_read_tells_that_one_is_missing() -> None:
    lost = read(CUT)
    assert isinstance(lost, EventsLost)
    assert "xfrm_usersa_info" in str(lost)
    line = json.loads(f"{{{write_unread(CUT)}}}")
    assert spelled_out(line) == {"event": str(lost)}


def test_news_that_some_are_missing_is_no_message_and_stays_what_it_is() -> None:
    lost = EventsLost("they came faster than they were read")
    assert (kind_of(lost), read(lost)) == (EventsLost, lost)


def test_a_line_without_a_message_stays_as_it_is() -> None:
    line = {"node": "moon", "event": "up"}
    assert spelled_out(line) is line


@pytest.mark.parametrize("member", [None, 7, [], [16], [16, 7], [16, "xyz"], [1 << 20, "00"]])
def test_what_is_no_message_is_a_value_error(member: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        spelled_out({"xfrm": member})
