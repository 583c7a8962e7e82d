# SPDX-License-Identifier: GPL-2.0-or-later
"""`events.jsonl` of a run: what its gateways were told, one line each, from the moment it came.

The kernel's messages are written as they come, and spelled out when the run is over: to read them
would cost an emulated guest more than all else that it does for them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.kernel.messages import Message
from harness.kernel.telling import UNREAD, spelled_out, write_event, write_unread
from harness.lab.journal import Entry

EVENTS = "events.jsonl"
_ENCODE = json.JSONEncoder().encode


class EventLog:
    """Writes events as they come: a run that is killed keeps them, and the keys in them.

    The file is for its owner only. What comes after `close` is not written.
    """

    def __init__(self, path: Path) -> None:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(opened, "w", buffering=1)
        self._problem: OSError | None = None

    def write(self, node: str, entry: Entry) -> None:
        """Write an event of one gateway; `time_ns` is in nanoseconds of the lab's clock.

        What cannot be written ends the file, not the run: `close` says so.
        """
        if self._file.closed or self._problem is not None:
            return
        told = entry.told
        what = write_unread(told) if isinstance(told, Message) else write_event(told)
        line = f'{{"node": {_ENCODE(node)}, "time_ns": {entry.time_ns}, {what}}}\n'
        try:
            self._file.write(line)
        except OSError as error:
            self._problem = error

    def close(self) -> None:
        """End the file; closing twice is fine. Raises OSError where it does not hold all."""
        problem, self._problem = self._problem, None
        try:
            self._file.close()
        except OSError as error:
            problem = problem or error
        if problem is not None:
            raise problem


def spell_out(folder: Path) -> None:
    """Write the kernel's messages in `events.jsonl` of a run's folder, if it has one, in words.

    The file is whole at every moment, the old one or the new one. Lines that cannot be read stay
    as they are. Raises OSError.
    """
    path = folder / EVENTS
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    told = [_spelled_out(line) for line in lines]
    if told == lines:
        return
    other = path.with_suffix(".part")
    opened = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "w") as file:
        file.writelines(f"{line}\n" for line in told)
    other.replace(path)


def _spelled_out(line: str) -> str:
    if f'"{UNREAD}"' not in line:
        return line
    try:
        return json.dumps(spelled_out(json.loads(line)))
    except (ValueError, TypeError):
        return line
