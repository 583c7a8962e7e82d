# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments of one message put together again (RFC 7383 2.6)."""

from __future__ import annotations

from dataclasses import dataclass

MOST_OCTETS = 65_535
"""A message cannot be longer, whole or not; more fragments than that are refused."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A reassembled plaintext: type of its first payload, and the octets."""

    first_payload: int
    plaintext: bytes


class Reassembly:
    """Collects opened fragments of one message at a time, and never more than 64 KiB of it."""

    def __init__(self) -> None:
        self._message_id: int | None = None
        self._total = 0
        self._first_payload = 0
        self._parts: dict[int, bytes] = {}

    def add(
        self, message_id: int, number: int, total: int, first_payload: int, plaintext: bytes
    ) -> Whole | None:
        """The whole message once its last missing fragment came, else None.

        Fragments of a larger total mean that the sender cut the message again in smaller pieces
        and replace what was there; those of a smaller total are late (RFC 7383 2.6).
        """
        if not 1 <= number <= total:
            return None
        if message_id != self._message_id or total > self._total:
            self.clear()
            self._message_id, self._total = message_id, total
        if total < self._total or number in self._parts:
            return None
        if sum(map(len, self._parts.values())) + len(plaintext) > MOST_OCTETS or (
            len(self._parts) >= MOST_OCTETS // 16
        ):
            self.clear()
            return None
        self._parts[number] = plaintext
        if number == 1:
            self._first_payload = first_payload
        if len(self._parts) < total:
            return None
        whole = Whole(self._first_payload, b"".join(self._parts[n] for n in range(1, total + 1)))
        self.clear()
        return whole

    def clear(self) -> None:
        """Forget what was collected."""
        self._message_id = None
        self._total = 0
        self._first_payload = 0
        self._parts = {}
