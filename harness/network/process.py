# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that run in nodes, and what they leave behind."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Completed:
    """What a program left behind when it ended; a negative return code is a signal's number."""

    stdout: bytes
    stderr: bytes
    returncode: int


class Process:
    """A program that runs in a node. `pid` is the harness's number for it, not the node's."""

    def __init__(
        self, argv: Sequence[str], pid: int, handle: int, ended: "asyncio.Future[int]"
    ) -> None:
        self.argv = tuple(argv)
        self.pid = pid
        self._handle = handle
        self._ended = ended
        ended.add_done_callback(lambda _: os.close(handle))

    @property
    def returncode(self) -> int | None:
        """The exit code, a negative signal number, or None as long as the program runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Return the exit code once the program has ended; negative is a signal's number."""
        return await asyncio.shield(self._ended)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the signal to the program, and do nothing when it has already ended."""
        if self._ended.done():
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)
