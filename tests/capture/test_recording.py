# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from harness.capture.pcapng import Direction, parse, read
from harness.capture.recording import Frame, FrameNotSeen, Recording, RecordingFailed

ROOT = Path(__file__).parents[2]


def add(record: object, end: int, time_ns: int, data: bytes, fault: str = "") -> Frame:
    frame = record.next(end, time_ns, data)._replace(fault=fault)  # type: ignore[attr-defined]
    record.add(end, frame)  # type: ignore[attr-defined]
    return frame


def test_frames_of_all_wires_are_in_the_file_in_order_as_soon_as_flushed(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    with Recording(path) as recording:
        wan = recording.wire("wan", ("moon", "sun"))
        lan = recording.wire("lan", ("alice", "moon"))
        first = add(wan, 0, 1, b"a" * 14)
        second = add(lan, 1, 2, b"b" * 15, "dropped")
        third = add(wan, 1, 3, b"c" * 16)
        assert read(path).packets == ()
        lan.flush()
        wan.flush()
        kept = read(path)
        assert kept.problem is None
    assert [(one.interface, one.time_ns, one.data, one.comment) for one in kept.packets] == [
        (0, 1, b"a" * 14, ""),
        (1, 2, b"b" * 15, "dropped"),
        (0, 3, b"c" * 16, ""),
    ]
    assert [one.direction for one in kept.packets] == [
        Direction.OUTBOUND,
        Direction.INBOUND,
        Direction.INBOUND,
    ]
    assert [frame.number for frame in (first, second, third)] == [1, 2, 3]
    assert (second.sender, second.receiver) == ("moon", "alice")
    assert list(wan.frames) == [first, third]
    assert list(recording.frames) == [first, second, third]


def test_a_wait_finds_what_was_there_and_what_comes() -> None:
    async def body() -> None:
        recording = Recording()
        wan = recording.wire("wan", ("moon", "sun"))
        add(wan, 0, 1, b"old")
        wan.flush()
        assert (await wan.frames.first(lambda f: f.data == b"old", "old")).number == 1
        waiting = asyncio.create_task(
            wan.frames.first(lambda f: f.data != b"other", "new", since=len(wan.frames))
        )
        await asyncio.sleep(0)
        add(wan, 0, 2, b"other")
        wan.flush()
        await asyncio.sleep(0)
        assert not waiting.done()
        add(wan, 0, 3, b"new")
        wan.flush()
        assert (await waiting).data == b"new"

    asyncio.run(body())


def test_a_wait_that_fails_says_what_was_missing_or_that_it_came_late() -> None:
    async def body() -> None:
        recording = Recording()
        wan = recording.wire("wan", ("moon", "sun"))
        add(wan, 0, 1, b"x")
        with pytest.raises(FrameNotSeen, match=r"a DELETE did not come within 0\.01 s: 1 other"):
            await wan.frames.first(lambda f: False, "a DELETE", deadline=0.01)

        def come() -> None:
            add(wan, 0, 2, b"late")
            wan.flush()

        asyncio.get_running_loop().call_later(0.24, come)
        with pytest.raises(FrameNotSeen, match=r"came late, at \d\.\d s \(frame 2\)"):
            await wan.frames.first(lambda f: f.data == b"late", "a DELETE", deadline=0.2)

    asyncio.run(body())


FULL_DISK = """
import os, sys
from pathlib import Path
from harness.capture.recording import Recording
path = Path(sys.argv[1]) / "capture.pcapng"
recording = Recording(path)
wan = recording.wire("wan", ("moon", "sun"))
for number in range(500):
    for _ in range(3):
        wan.add(0, wan.next(0, number, bytes(1000)))
    wan.flush()
print(recording.error, file=sys.stderr)
print(len(wan.frames), file=sys.stderr)
sys.stdout.buffer.write(path.read_bytes())
"""


def test_a_full_disk_is_one_sentence_and_keeps_whole_packets(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=256k tmpfs {disk} && exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", FULL_DISK, str(disk)]
    done = subprocess.run(argv, capture_output=True, cwd=ROOT, check=True)
    sentence, frames = done.stderr.decode().splitlines()
    kept = parse(done.stdout)
    assert kept.problem is None
    assert 200 < len(kept.packets) < 262
    assert sentence == (
        f"the capture {disk}/capture.pcapng ends with frame {len(kept.packets)}: "
        "No space left on device; make room and run again"
    )
    assert frames == "1500"


def test_a_capture_that_is_not_complete_cannot_be_overlooked(tmp_path: Path) -> None:
    recording = Recording(Path("/dev/full"))
    with pytest.raises(RecordingFailed, match="No space left on device"):
        recording.check()
    recording.close()
    Recording(tmp_path / "fine").check()
