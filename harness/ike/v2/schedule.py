# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of thousands of IKE SAs has something to do next, and how often strangers are answered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Schedule(Generic[Item]):
    """Items by their deadlines; an item that was put again counts with its last deadline."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        self._current: dict[Item, tuple[float, int]] = {}
        self._count = 0

    def put(self, item: Item, at: float | None) -> None:
        """Note that an item has something to do at an instant, or never."""
        if at is None:
            self._current.pop(item, None)
            return
        if item in self._current and self._current[item][0] == at:
            return
        self._count += 1
        self._current[item] = (at, self._count)
        heappush(self._heap, (at, self._count, item))
        if len(self._heap) > 64 + 4 * len(self._current):
            self._heap = [(at, n, one) for one, (at, n) in self._current.items()]
            heapify(self._heap)

    def remove(self, item: Item) -> None:
        """Forget an item."""
        self._current.pop(item, None)

    def earliest(self, deadline: Callable[[Item], float | None]) -> float | None:
        """The first instant at which some item has something to do."""
        while self._heap:
            at, number, item = self._heap[0]
            if self._current.get(item) == (at, number):
                actual = deadline(item)
                if actual == at:
                    return at
                heappop(self._heap)
                del self._current[item]
                self.put(item, actual)
            else:
                heappop(self._heap)
        return None

    def due(self, now: float, deadline: Callable[[Item], float | None]) -> Iterator[Item]:
        """Each item whose instant has come, once."""
        found: list[Item] = []
        while (at := self.earliest(deadline)) is not None and at <= now:
            _, _, item = heappop(self._heap)
            del self._current[item]
            found.append(item)
        yield from found


class RateLimit:
    """Allows so many a second; instants are in seconds."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0.0
        self._used = 0

    def allows(self, now: float) -> bool:
        """Whether there is one left in this second; counts it."""
        if not 0 <= now - self._second < 1:
            self._second, self._used = now, 0
        self._used += 1
        return self._used <= self._per_second
