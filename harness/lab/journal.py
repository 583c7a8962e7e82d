# SPDX-License-Identifier: GPL-2.0-or-later
"""What happened on one gateway, as it was told: its daemon's events and its kernel's, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from harness.kernel.messages import Message
from harness.kernel.telling import kind_of, read

GRACE = 0.5
"""How much longer than its deadline a wait watches, as a share of it."""

E = TypeVar("E")


class NotSeen(AssertionError):
    """An event that was expected did not come, or came late; the text says what was seen."""


@dataclass(frozen=True)
class Entry:
    """What was told, its place in the journal, and when the harness took it.

    `time_ns` is in nanoseconds of the lab's clock. `told` is an event, or a message of the kernel's
    that tells of one.
    """

    position: int
    time_ns: int
    told: Any

    @property
    def kind(self) -> type:
        """The class of the event."""
        return kind_of(self.told) if isinstance(self.told, Message) else type(self.told)

    @cached_property
    def event(self) -> Any:
        """The event; a message is read the first time that somebody asks."""
        return read(self.told) if isinstance(self.told, Message) else self.told


class Journal:
    """The events of one gateway; belongs to the lab's loop. `keep` is given each as it comes."""

    def __init__(self, node: str, keep: Callable[[Entry], None] = lambda _: None) -> None:
        self.node = node
        self._keep = keep
        self.entries: list[Entry] = []
        self._waiting: list[tuple[Callable[[Entry], bool], asyncio.Future[Entry]]] = []

    def record(self, event: Any) -> None:
        """Take an event, or a message of the kernel's; whoever waits for it goes on."""
        entry = Entry(len(self.entries), time.time_ns(), event)
        self.entries.append(entry)
        self._keep(entry)
        for wanted, found in self._waiting:
            if not found.done() and wanted(entry):
                found.set_result(entry)

    def of(
        self, kinds: type[E] | tuple[type[E], ...], matches: Callable[[E], bool] = lambda _: True
    ) -> Iterator[Entry]:
        """All entries so far of these kinds that match."""
        return (entry for entry in self.entries if _is(entry, kinds) and matches(entry.event))

    async def changed(self, deadline: float) -> bool:
        """Wait for one more event, at most `deadline` seconds; False when none came."""
        return await self._next(lambda _: True, deadline) is not None

    async def first(
        self,
        kinds: type[E] | tuple[type[E], ...],
        matches: Callable[[E], bool],
        expected: str,
        within: float,
        since: int = 0,
    ) -> Entry:
        """The first entry from position `since` on that matches, as soon as there is one.

        `within` is in seconds. Raises `NotSeen` when it does not come, or comes late: it is watched
        for half as long again, so that the error can say which.
        """

        def wanted(entry: Entry) -> bool:
            return _is(entry, kinds) and matches(entry.event)

        for entry in self.entries[since:]:
            if wanted(entry):
                return entry
        started = time.monotonic()
        found = await self._next(wanted, within * (1 + GRACE))
        if found is None:
            raise NotSeen(f"{self.node}: {expected} did not come within {within:g} s; {self}")
        waited = time.monotonic() - started
        if waited > within:
            raise NotSeen(
                f"{self.node}: {expected} was expected within {within:g} s"
                f" and came late, at {waited:.1f} s"
            )
        return found

    async def _next(self, wanted: Callable[[Entry], bool], seconds: float) -> Entry | None:
        found: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        waiter = (wanted, found)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                return await found
        except TimeoutError:
            return None
        finally:
            self._waiting.remove(waiter)

    def __str__(self) -> str:
        if not self.entries:
            return "nothing was seen at all"
        return f"last seen: {self.entries[-1].event}"


def _is(entry: Entry, kinds: type | tuple[type, ...]) -> bool:
    """Whether it is an event of these kinds; only a message of theirs is read for it."""
    return issubclass(entry.kind, kinds) and isinstance(entry.event, kinds)
