# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages in clear: what an end means to send before sealing, and what it got after opening."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.ike.address import Path
from harness.ike.constants_v2 import Flag, NotifyType
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v2 import KeyExchange, Nonce, Notify, SecurityAssociation
from harness.ike.wire import Message

FIRST_STATUS = 16384


@dataclass(frozen=True, slots=True)
class Plain:
    """A message whose `payloads` are in clear; `protected` puts them in SK, behind `clear`.

    Everything in `message` is written as it stands, so that a test can forge any field.
    """

    message: Message
    protected: bool
    clear: tuple[Payload, ...] = ()

    @property
    def response(self) -> bool:
        """Whether the Response flag is set."""
        return bool(self.message.flags & Flag.RESPONSE)

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The payloads in clear."""
        return self.message.payloads

    def forged(self, **changes: Any) -> Plain:
        """The same message with other header fields or payloads, by their names in `Message`."""
        return replace(self, message=replace(self.message, **changes))


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as it was sent: in clear, and the octets of each datagram without marker."""

    plain: Plain
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that was received: opened, with the path that it came along (local end first).

    `first_payload`, `plaintext` and `sk_flags` are what IntAuth covers (RFC 9242 3.3.2); `octets`
    is the datagram without marker.
    """

    plain: Plain
    path: Path
    octets: bytes
    plaintext: bytes = b""
    first_payload: int = 0
    sk_flags: int = 0

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The payloads in clear."""
        return self.plain.message.payloads

    def notify(self, kind: int) -> Notify | None:
        """The first notify of that type, or None."""
        return find_notify(self.payloads, kind)

    @property
    def error(self) -> Notify | None:
        """The first notify that reports an error, or None."""
        return first_error(self.payloads)

    @property
    def sa(self) -> SecurityAssociation | None:
        """The SA payload, or None."""
        return first(self.payloads, SecurityAssociation)

    @property
    def ke(self) -> KeyExchange | None:
        """The KE payload, or None."""
        return first(self.payloads, KeyExchange)

    @property
    def nonce(self) -> bytes | None:
        """The nonce, or None."""
        found = first(self.payloads, Nonce)
        return None if found is None else found.data


def find_notify(payloads: tuple[Payload, ...], kind: int) -> Notify | None:
    """The first notify of that type, or None."""
    for notify in every(payloads, Notify):
        if notify.notify_type == kind:
            return notify
    return None


def first_error(payloads: tuple[Payload, ...]) -> Notify | None:
    """The first notify that reports an error, or None."""
    for notify in every(payloads, Notify):
        if notify.notify_type < FIRST_STATUS:
            return notify
    return None


def wanted_group(notify: Notify) -> int | None:
    """The method that an INVALID_KE_PAYLOAD asks for, or None where it does not say (RFC 1.2)."""
    if notify.notify_type != NotifyType.INVALID_KE_PAYLOAD or len(notify.data) != 2:
        return None
    return int.from_bytes(notify.data, "big")
