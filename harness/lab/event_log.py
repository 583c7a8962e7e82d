# SPDX-License-Identifier: GPL-2.0-or-later
"""`events.jsonl` of a run: what its gateways were told, one line each, from the moment it came."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.kernel.events import SaAdded, SaUpdated
from harness.lab.journal import Entry

encode = json.JSONEncoder().encode


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
        # Put together by hand: an encoder for each line would cost more than all that is in it.
        line = f'"node": {encode(node)}, "time_ns": {entry.time_ns}'
        line += f', "event": {encode(str(entry.event))}'
        # The SAD at the end has no keys of SAs that were replaced: they are only here.
        if isinstance(entry.event, SaAdded | SaUpdated):
            line += f', "sa": {encode(entry.event.sa.keys_as_json())}'
        try:
            self._file.write(f"{{{line}}}\n")
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
