# SPDX-License-Identifier: GPL-2.0-or-later
"""Things to do at an instant: a heap from which nothing need be removed in the middle."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush

Action = Callable[[float], None]


class Timers:
    """Actions by key, each at one instant in seconds; setting a key again moves it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._due: dict[Hashable, int] = {}
        self._actions: dict[int, tuple[Hashable, Action, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._actions)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._due

    def set(self, key: Hashable, at: float, action: Action) -> None:
        """Do `action` at that instant, and no longer what the key stood for before."""
        self.cancel(key)
        self._count += 1
        self._due[key] = self._count
        self._actions[self._count] = (key, action, at)
        heappush(self._heap, (at, self._count))
        # What was cancelled stays in the heap until it outweighs what is there.
        if len(self._heap) > 64 + 2 * len(self._actions):
            self._heap = [(due, number) for number, (_, _, due) in self._actions.items()]
            heapify(self._heap)

    def cancel(self, key: Hashable) -> None:
        """Forget a key; nothing happens where it is not set."""
        number = self._due.pop(key, None)
        if number is not None:
            del self._actions[number]

    def deadline(self) -> float | None:
        """The next instant at which something is to be done, or None."""
        while self._heap and self._heap[0][1] not in self._actions:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Do all that is due, in order; what an action sets for now waits for the next call."""
        last = self._count
        while (due := self.deadline()) is not None and due <= now:
            number = self._heap[0][1]
            if number > last:
                return
            heappop(self._heap)
            key, action, _ = self._actions.pop(number)
            del self._due[key]
            action(now)
