# SPDX-License-Identifier: GPL-2.0-or-later
"""What was last sent and received in one exchange, so that both can be repeated (RFC 2408 5.1).

An IKEv1 message has no number: a repetition is known by being the same octets. The last message
received, come again, means that the answer was lost; an earlier one means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from harness.ike.v1.seam import Plain

_LONGEST = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was sealed, and in clear."""

    plain: Plain
    octets: bytes = field(repr=False)


class Conversation:
    """The memory of one exchange; holds one message and at most eight digests."""

    def __init__(self) -> None:
        self.sent: Sent | None = None
        self.repetitions = 0
        self._received: list[bytes] = []

    def is_last(self, octets: bytes) -> bool:
        """Whether these octets are the message that was received last."""
        return bool(self._received) and self._received[-1] == sha256(octets).digest()

    def knows(self, octets: bytes) -> bool:
        """Whether these octets were received before."""
        return sha256(octets).digest() in self._received

    def received(self, octets: bytes) -> None:
        """Remember a message that was taken; what was sent before it has been answered."""
        self._received = [*self._received[-_LONGEST + 1 :], sha256(octets).digest()]
        self.sent = None
        self.repetitions = 0

    def answered(self, sent: Sent) -> None:
        """Remember what was sent."""
        self.sent = sent
        self.repetitions = 0
