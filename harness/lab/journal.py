# SPDX-License-Identifier: GPL-2.0-or-later
"""What happened on one gateway, as it was told: its daemon's events and its kernel's, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

GRACE = 0.5
"""How much longer than its deadline a wait watches, as a share of it."""

E = TypeVar("E")


class NotSeen(AssertionError):
    """An event that was expected did not come, or came late; the text says what was seen."""


@dataclass(frozen=True)
class Entry:
    """An event, its place in the journal, and when the harness took it.

    `time_ns` is in nanoseconds of the lab's clock.
    """

    position: int
    time_ns: int
    event: Any


class Journal:
    """The events of one gateway; belongs to the lab's loop."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.entries: list[Entry] = []
        self._changed = asyncio.Event()

    def record(self, event: Any) -> None:
        """Take an event; whoever waits for it goes on."""
        self.entries.append(Entry(len(self.entries), time.time_ns(), event))
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, kind: type[E], matches: Callable[[E], bool] = lambda _: True) -> Iterator[Entry]:
        """All entries so far of one kind that match."""
        return (
            entry
            for entry in self.entries
            if isinstance(entry.event, kind) and matches(entry.event)
        )

    async def changed(self, deadline: float) -> bool:
        """Wait for one more event, at most `deadline` seconds; False when none came."""
        try:
            await asyncio.wait_for(self._changed.wait(), max(deadline, 0))
        except TimeoutError:
            return False
        return True

    async def first(
        self,
        kind: type[E],
        matches: Callable[[E], bool],
        expected: str,
        within: float,
        since: int = 0,
    ) -> Entry:
        """The first entry from position `since` on that matches, as soon as there is one.

        `within` is in seconds. Raises `NotSeen` when it does not come, or comes late: it is watched
        for half as long again, so that the error can say which.
        """
        started = time.monotonic()
        told_before = len(self.entries)
        position = since
        while True:
            while position < len(self.entries):
                entry = self.entries[position]
                position += 1
                if isinstance(entry.event, kind) and matches(entry.event):
                    waited = time.monotonic() - started
                    if waited > within and entry.position >= told_before:
                        raise NotSeen(
                            f"{self.node}: {expected} was expected within {within:g} s"
                            f" and came late, at {waited:.1f} s"
                        )
                    return entry
            left = started + within * (1 + GRACE) - time.monotonic()
            if left <= 0:
                raise NotSeen(f"{self.node}: {expected} did not come within {within:g} s; {self}")
            await self.changed(left)

    def __str__(self) -> str:
        if not self.entries:
            return "nothing was seen at all"
        return f"last seen: {self.entries[-1].event}"
