# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that was on the wires of a run, in memory and in a pcapng file as it happens."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self, overload

from harness.capture.pcapng import (
    Direction,
    enhanced_packet,
    interface_description,
    packet_options,
    section_header,
)

# How much longer than its deadline a wait watches, to be able to say that something came late.
GRACE = 0.5


class RecordingFailed(Exception):
    """The capture could not be written to its end; one sentence says why and what is kept."""


class FrameNotSeen(Exception):
    """A frame that was waited for did not come in time; one sentence says what came instead."""


class Frame(NamedTuple):
    """A frame that a node sent onto a wire, or that the wire delivered later or again.

    A tuple, because there is one for each frame of a run. `number` is the frame's number in the
    capture, from 1, as Wireshark counts. `time_ns` is the lab's clock. `fault` says what the wire
    did to the frame, and is empty for one that just passed. `copy_of` is the number of the frame
    that the wire now delivers late, again or changed; it is 0 for what a node sent. `delivered`
    says whether the receiver got the frame there and then.
    """

    number: int
    wire: str
    sender: str
    receiver: str
    time_ns: int
    data: bytes
    fault: str = ""
    copy_of: int = 0
    delivered: bool = True


class Frames(Sequence[Frame]):
    """Frames in the order in which they were recorded; grows as the lab runs."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._waiting: list[asyncio.Future[None]] = []

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        return self._frames[index]

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    async def first(
        self,
        matches: Callable[[Frame], bool],
        expected: str,
        *,
        since: int = 0,
        deadline: float = 5.0,
    ) -> Frame:
        """Return the first frame from position `since` on that matches, as soon as there is one.

        `expected` names it in the error: raises FrameNotSeen when none came in `deadline` seconds.
        """
        started = time.monotonic()
        position = since
        while True:
            while position < len(self._frames):
                frame = self._frames[position]
                position += 1
                if matches(frame):
                    waited = time.monotonic() - started
                    if waited > deadline:
                        raise FrameNotSeen(
                            f"{expected} was expected within {deadline:g} s "
                            f"and came late, at {waited:.1f} s (frame {frame.number})"
                        )
                    return frame
            left = started + deadline * (1 + GRACE) - time.monotonic()
            if left <= 0:
                seen = f"{len(self._frames) - since} other frames came"
                raise FrameNotSeen(f"{expected} did not come within {deadline:g} s: {seen}")
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, left)

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


class WireRecord:
    """One wire's part of a recording; `ends` are the two nodes' names."""

    def __init__(self, recording: "Recording", index: int, name: str, ends: tuple[str, str]):
        self.name = name
        self.ends = ends
        self.frames = Frames()
        self._recording = recording
        self._index = index
        # What the first end sent goes out, what the second end sent comes in.
        self._directions = (Direction.OUTBOUND, Direction.INBOUND)
        self._options = tuple(packet_options(direction) for direction in self._directions)

    def next(self, end: int, time_ns: int, data: bytes) -> Frame:
        """Return what end 0 or 1 sent, with the number that it would be recorded under."""
        number = len(self._recording.frames) + 1
        return Frame(number, self.name, self.ends[end], self.ends[1 - end], time_ns, data)

    def add(self, end: int, frame: Frame) -> None:
        """Record what `next` has just returned for `end`; `flush` writes it."""
        options = self._options[end]
        if frame.fault:
            options = packet_options(self._directions[end], frame.fault)
        recording = self._recording
        recording._blocks.append(enhanced_packet(self._index, frame.time_ns, frame.data, options))
        recording.frames._add(frame)
        self.frames._add(frame)

    def flush(self) -> None:
        """Write what was added and wake who waits for it; never raises (see Recording.error)."""
        self._recording.flush()
        self.frames._wake()


class Recording:
    """The capture of a run: every frame of every wire, in order.

    With a `path` each frame is in the file as soon as the wire's batch is done, so that a run
    which is killed keeps what was recorded; without one it is kept in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.frames = Frames()
        self.error: RecordingFailed | None = None
        self._path = path
        self._fd = -1
        self._written = 0
        self._wires: list[WireRecord] = []
        self._blocks = [section_header()]
        if path is not None:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.flush()

    def wire(self, name: str, ends: tuple[str, str]) -> WireRecord:
        """Return the record for a new wire between two nodes."""
        self._blocks.append(
            interface_description(name, f"outbound {ends[0]} to {ends[1]}, inbound back")
        )
        record = WireRecord(self, len(self._wires), name, ends)
        self._wires.append(record)
        self.flush()
        return record

    def flush(self) -> None:
        """Write what has been added; a failure is kept in `error`, not raised."""
        blocks = self._blocks
        if blocks:
            self._blocks = []
            if self._fd >= 0:
                self._write(blocks)
            self.frames._wake()

    def check(self) -> None:
        """Raise RecordingFailed when the file does not hold everything."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the file; the frames stay."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, blocks: list[bytes]) -> None:
        data = b"".join(blocks)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:] if done else data)
        except OSError as error:
            self._give_up(error, blocks, done)
        self._written += done

    def _give_up(self, error: OSError, blocks: list[bytes], done: int) -> None:
        """Cut the file behind the last whole block, so that every reader can read it."""
        whole = kept = 0
        for block in blocks:
            if whole + len(block) > done:
                break
            whole += len(block)
            kept += 1
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._written + whole)
        os.close(self._fd)
        self._fd = -1
        last = len(self.frames) - (len(blocks) - kept)
        self.error = RecordingFailed(
            f"the capture {self._path} ends with frame {max(last, 0)}: {error.strerror}; "
            "make room and run again"
        )
