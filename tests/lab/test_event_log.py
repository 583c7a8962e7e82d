# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import errno
import json
import stat
from ipaddress import ip_address
from pathlib import Path

import pytest

from harness.capture.kernel_sas import read_events
from harness.kernel.algorithms import Algorithm
from harness.kernel.events import SaAdded, SaDeleted
from harness.kernel.sa import SecurityAssociation
from harness.lab.event_log import EventLog
from harness.lab.journal import Journal

SA = SecurityAssociation(
    0xC0FFEE01,
    ip_address("192.168.0.1"),
    ip_address("192.168.0.2"),
    aead=Algorithm("rfc4106(gcm(aes))", b"k" * 20, 128),
)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_in_the_file_before_the_run_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    journal = Journal("moon", lambda entry: log.write("moon", entry))
    journal.record("up")
    (entry,) = journal.entries
    assert lines(path) == [{"node": "moon", "time_ns": entry.time_ns, "event": "up"}]


def test_the_keys_of_an_sa_are_in_the_file_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    journal = Journal("sun", lambda entry: log.write("sun", entry))
    journal.record(SaAdded(SA))
    journal.record(SaDeleted(SA))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line["event"] for line in lines(path)] == [f"{SA} added", f"{SA} deleted"]
    (secret,) = read_events(path).secrets.ipsec
    assert (secret.spi, secret.encryption_key) == (SA.spi, b"k" * 20)


def test_what_comes_after_the_end_of_the_run_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    journal = Journal("moon", lambda entry: log.write("moon", entry))
    journal.record("up")
    log.close()
    journal.record("down")
    assert [line["event"] for line in lines(path)] == ["up"]


def test_a_full_disk_loses_no_event_for_who_waits_and_is_told_at_the_end() -> None:
    log = EventLog(Path("/dev/full"))
    journal = Journal("moon", lambda entry: log.write("moon", entry))

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for event in ("one", "two", "three"):
            loop.call_soon(journal.record, event)
        await journal.first(str, lambda event: event == "three", "'three'", 5)

    asyncio.run(scenario())
    with pytest.raises(OSError, match="No space left") as raised:
        log.close()
    assert raised.value.errno == errno.ENOSPC
    log.close()
