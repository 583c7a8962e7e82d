# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers that tie policies to SAs, the same for an SA and for what replaces it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import NamedTuple

MOST_IDLE = 1024
"""Peers without an SA whose numbers are remembered: anybody who may connect is one."""


class _Whose(NamedTuple):
    connection: str
    child: str
    peer: str


class Reqids:
    """Gives a child with one peer the same number each time, counted from 1.

    Beyond `most_idle` the number of who has had no SA for longest is forgotten.
    """

    def __init__(self, most_idle: int = MOST_IDLE) -> None:
        self._most_idle = most_idle
        self._next = itertools.count(1)
        self._given: dict[_Whose, int] = {}
        self._whose: dict[int, _Whose] = {}
        self._used: Counter[int] = Counter()
        self._idle: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._given)

    def of(self, connection: str, child: str, peer: str) -> int:
        """The number of a child of a connection with the peer at an address."""
        whose = _Whose(connection, child, peer)
        if whose not in self._given:
            reqid = self._given[whose] = next(self._next)
            self._whose[reqid] = whose
            self._rests(reqid)
        return self._given[whose]

    def child_of(self, reqid: int) -> tuple[str, str] | None:
        """The connection and the child that a number was given to, or None."""
        whose = self._whose.get(reqid)
        return None if whose is None else (whose.connection, whose.child)

    def taken(self, reqid: int) -> None:
        """Note that an SA or a route has a number: it is kept until that is `released`."""
        self._used[reqid] += 1
        self._idle.pop(reqid, None)

    def released(self, reqid: int) -> None:
        """Note that what had a number is gone."""
        self._used[reqid] -= 1
        if self._used[reqid] <= 0:
            del self._used[reqid]
            self._rests(reqid)

    def _rests(self, reqid: int) -> None:
        self._idle[reqid] = None
        while len(self._idle) > self._most_idle:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            del self._given[self._whose.pop(oldest)]
