# SPDX-License-Identifier: GPL-2.0-or-later
"""What the messages of one IKE SA travel in: its keys, and the fragments that have come so far."""

from __future__ import annotations

from harness.ike.address import Path
from harness.ike.chance import Draw
from harness.ike.constants_v2 import Flag
from harness.ike.v2.fragments import Reassembly
from harness.ike.v2.keys import KeySet
from harness.ike.v2.message import Arrival, Plain
from harness.ike.v2.opening import Broken, open_message
from harness.ike.v2.sealing import Sealer, clear_octets
from harness.ike.wire import Message


class Envelope:
    """Seals and opens messages; without keys, those that may be in clear."""

    def __init__(self, draw: Draw) -> None:
        self.keys: KeySet | None = None
        self._draw = draw
        self._sealer: Sealer | None = None
        self._former: tuple[int, Sealer | None] = (0, None)
        self._requests = Reassembly()
        self._responses = Reassembly()

    def use(self, keys: KeySet, *, initiator: bool, until: int) -> None:
        """Seal and open with these keys from now on.

        Requests before the Message ID `until` were answered under the keys before, and may still
        be repeated (RFC 9370 2.2.2).
        """
        self.keys = keys
        self._former = (until, self._sealer)
        self._sealer = Sealer(*keys.protections(initiator=initiator), self._draw)

    def seal(self, plain: Plain, fragment_size: int) -> tuple[bytes, ...]:
        """The messages that carry `plain`; `fragment_size` is as in `Sealer.seal`."""
        if not plain.protected or self._sealer is None:
            return (clear_octets(plain),)
        return self._sealer.seal(plain, fragment_size)

    def open(self, message: Message, octets: bytes, path: Path) -> Arrival | Broken | None:
        """The message in clear; None where it is a fragment and others are missing."""
        response = bool(message.flags & Flag.RESPONSE)
        until, former = self._former
        sealer = former if not response and message.message_id < until else self._sealer
        parts = self._responses if response else self._requests
        return open_message(message, octets, path, sealer, parts)

    def forget_fragments(self, *, response: bool) -> None:
        """Forget what has come of a response, or of a request, that is there whole by now."""
        (self._responses if response else self._requests).clear()
