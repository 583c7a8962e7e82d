# SPDX-License-Identifier: GPL-2.0-or-later
"""CHILD_SAs that were rekeyed and only receive any more, until their time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.daemon.reports import Child


class Retired:
    """What is still received with, by instant."""

    def __init__(self) -> None:
        self._until: dict[int, tuple[float, Child]] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter([child for _, child in self._until.values()])

    def add(self, child: Child, until: float) -> None:
        """Keep one until an instant."""
        self._until[child.inbound] = (until, replace(child, outbound=0, state="rekeyed"))

    def deadline(self) -> float | None:
        """The instant at which the time of one is over."""
        return min((until for until, _ in self._until.values()), default=None)

    def take_due(self, now: float) -> list[Child]:
        """Those whose time is over; they are forgotten."""
        return self._take(lambda until, _: until <= now)

    def take_of(self, connection: str) -> list[Child]:
        """Those of a connection; they are forgotten."""
        return self._take(lambda _, child: child.connection == connection)

    def _take(self, matches: Callable[[float, Child], bool]) -> list[Child]:
        taken = [child for until, child in self._until.values() if matches(until, child)]
        for child in taken:
            del self._until[child.inbound]
        return taken
