# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers that tie policies to SAs, the same for an SA and for what replaces it."""

from __future__ import annotations

import itertools


class Reqids:
    """Gives a child with one peer the same number each time, counted from 1."""

    def __init__(self) -> None:
        self._next = itertools.count(1)
        self._given: dict[tuple[str, str, str], int] = {}

    def of(self, connection: str, child: str, peer: str) -> int:
        """The number of a child of a connection with the peer at an address."""
        key = (connection, child, peer)
        if key not in self._given:
            self._given[key] = next(self._next)
        return self._given[key]

    def child_of(self, reqid: int) -> tuple[str, str] | None:
        """The connection and the child that a number was given to, or None."""
        for (connection, child, _), given in self._given.items():
            if given == reqid:
                return connection, child
        return None
