# SPDX-License-Identifier: GPL-2.0-or-later
"""The two exceptions of the codec: bytes that are no message, and values that are no bytes."""

from __future__ import annotations


class Malformed(ValueError):
    """What is wrong with received bytes, where, and what the RFC has there instead.

    `found` says what was there, `offset` is the octet at which it was noticed, counted from the
    start of what was decoded, `expected` is what the RFC wants, `rfc` is number and section.
    No other exception leaves a decoder, whatever the bytes.
    """

    def __init__(self, found: str, offset: int, expected: str, rfc: str) -> None:
        super().__init__(found, offset, expected, rfc)
        self.found = found
        self.offset = offset
        self.expected = expected
        self.rfc = rfc

    def __str__(self) -> str:
        return f"{self.found} at offset {self.offset}: expected {self.expected} (RFC {self.rfc})"

    def moved(self, by: int) -> Malformed:
        """The same finding, `by` octets further on: for a part that was decoded by itself."""
        return Malformed(self.found, self.offset + by, self.expected, self.rfc)


class Unencodable(ValueError):
    """Why a value cannot be written: a number too big for its field, or a body too long."""
