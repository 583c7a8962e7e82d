# SPDX-License-Identifier: GPL-2.0-or-later
"""Dead peer detection: who was asked what, and when to give up (RFC 3706 5 and 6)."""

from __future__ import annotations

from harness.ike.v1.configuration import DeadPeerDetection

_SEQUENCES = 1 << 32


class Liveness:
    """The questions of one end to its peer; each repetition has the same sequence number."""

    def __init__(self, policy: DeadPeerDetection, first_sequence: int) -> None:
        self._policy = policy
        # The first number must leave room to count on (RFC 3706 5.4).
        self._sequence = first_sequence % (_SEQUENCES >> 1)
        self._asked = 0

    @property
    def is_dead(self) -> bool:
        """Whether the peer was asked as often as it may be."""
        return self._asked >= self._policy.limit

    def ask(self) -> int:
        """The sequence number of the next question."""
        if not self._asked:
            self._sequence = (self._sequence + 1) % _SEQUENCES
        self._asked += 1
        return self._sequence

    def answered(self, sequence: int) -> bool:
        """Whether that is the answer which was waited for."""
        if not self._asked or sequence != self._sequence:
            return False
        self._asked = 0
        return True

    def wait(self) -> float:
        """Seconds until the next question: the interval, or the retry time while one is open."""
        return self._policy.retry if self._asked else self._policy.interval
