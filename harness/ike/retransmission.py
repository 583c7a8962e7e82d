# SPDX-License-Identifier: GPL-2.0-or-later
"""How long an end waits for an answer before it says a thing again, in either version."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retransmission:
    """When a message is sent again: after `first` seconds, then `factor` times as long each time.

    After `tries` repetitions without an answer the last wait decides that the peer is gone (RFC
    7296 2.4).
    """

    first: float = 2.0
    factor: float = 1.8
    tries: int = 5

    def wait(self, repetitions: int) -> float:
        """Seconds until the next step, after a message was sent again that many times."""
        return float(self.first * self.factor**repetitions)
