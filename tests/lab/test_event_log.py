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
from harness.lab.event_log import EventLog, spell_out
from harness.lab.journal import Journal
from tests.kernel.test_telling import CUT, TOLD

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


def told(path: Path) -> Path:
    """A file with every kind of message, and with an event of a daemon before and behind them."""
    log = EventLog(path)
    journal = Journal("moon", lambda entry: log.write("moon", entry))
    for event in ("up", *TOLD, CUT, "down"):
        journal.record(event)
    log.close()
    return path


def test_messages_of_the_kernel_are_in_words_when_the_run_is_over(tmp_path: Path) -> None:
    path = told(tmp_path / "events.jsonl")
    unread = lines(path)
    assert [line["event"] for line in unread if "event" in line] == ["up", "down"]
    journal = Journal("moon")
    for message in (*TOLD, CUT):
        journal.record(message)
    spell_out(tmp_path)
    spelled = lines(path)
    events = [str(entry.event) for entry in journal.entries]
    assert [line["event"] for line in spelled] == ["up", *events, "down"]
    assert [line["time_ns"] for line in spelled] == [line["time_ns"] for line in unread]
    assert [line["event"] for line in spelled if "sa" in line] == [
        str(entry.event) for entry in journal.of(SaAdded)
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["events.jsonl"]


def test_the_keys_are_found_before_and_after_the_messages_are_in_words(tmp_path: Path) -> None:
    path = told(tmp_path / "events.jsonl")
    before = read_events(path)
    spell_out(tmp_path)
    assert before == read_events(path)
    assert len(before.secrets.ipsec) == 1


def test_a_broken_line_stays_as_it_is_when_the_others_are_spelled_out(tmp_path: Path) -> None:
    path = told(tmp_path / "events.jsonl")
    broken = ['{"xfrm": [16, "00', '{"xfrm": 7}', '["xfrm"]', '"xfrm"']
    path.write_text(path.read_text() + "\n".join(broken) + "\n")
    spell_out(tmp_path)
    assert path.read_text().splitlines()[-4:] == broken
    assert path.read_text().count('"xfrm"') == 4


def test_a_folder_without_events_and_a_file_in_words_are_left_alone(tmp_path: Path) -> None:
    spell_out(tmp_path)
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "events.jsonl"
    path.write_text('{"node": "moon", "event": "up"}')
    before = path.stat()
    spell_out(tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
