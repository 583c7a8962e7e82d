# SPDX-License-Identifier: GPL-2.0-or-later
"""What every payload of IKEv1 and IKEv2 has, the unknown payload, and the forged one.

The generic payload header (RFC 2408 3.2, RFC 7296 3.2) is next payload, one octet, length. The
octet is called `flags` here: RESERVED in IKEv1; the critical bit and seven reserved bits in
IKEv2. Next payload and length are computed when a message is encoded, unless `Forged` says
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from harness.ike.malformed import Malformed

CRITICAL = 0x80
"""The critical bit of IKEv2 in a payload's `flags`."""

P = TypeVar("P")


class Payload(Protocol):
    """A payload: its type, the second octet of its header, and the octets behind the header."""

    @property
    def payload_type(self) -> int:
        """The number by which the payload before it (or the header) announces it."""

    @property
    def flags(self) -> int:
        """The octet between next payload and length."""

    def body(self) -> bytes:
        """The octets after the generic payload header, as on the wire."""


Decoder = Callable[[int, int, int, bytes, int, int], Payload]
"""Reads a body: payload type, the type that follows, flags, the octets, and its start and end."""


@dataclass(frozen=True, slots=True)
class RawPayload:
    """A payload of any type with its body as octets: of an unknown type, or to forge one."""

    payload_type: int
    data: bytes = b""
    flags: int = 0

    def body(self) -> bytes:
        """The octets as they came."""
        return self.data


@dataclass(frozen=True, slots=True)
class Forged:
    """A payload that is announced or measured wrongly on purpose; a decoder never makes one.

    `announced_as` is the type that what stands before it announces, `next_payload` the type that
    it announces itself, `length` its payload length in octets; None is the right value.
    """

    payload: Payload
    next_payload: int | None = None
    length: int | None = None
    announced_as: int | None = None

    @property
    def payload_type(self) -> int:
        """The forged type, or the payload's own."""
        return self.payload.payload_type if self.announced_as is None else self.announced_as

    @property
    def flags(self) -> int:
        """The payload's own flags."""
        return self.payload.flags

    def body(self) -> bytes:
        """The payload's own body."""
        return self.payload.body()


def is_critical(payload: Payload) -> bool:
    """Whether an IKEv2 receiver that does not know this payload must refuse (RFC 7296 2.5)."""
    return bool(payload.flags & CRITICAL)


def first(payloads: Iterable[object], kind: type[P], payload_type: int | None = None) -> P | None:
    """The first payload of class `kind` (and of this type, for IDi/IDr or TSi/TSr), or None."""
    return next(iter(every(payloads, kind, payload_type)), None)


def every(
    payloads: Iterable[object], kind: type[P], payload_type: int | None = None
) -> tuple[P, ...]:
    """All payloads of class `kind` (and of this type), in order."""
    return tuple(
        payload
        for payload in payloads
        if isinstance(payload, kind)
        and (payload_type is None or getattr(payload, "payload_type", None) == payload_type)
    )


def need(size: int, least: int, start: int, what: str, rfc: str) -> None:
    """Raise `Malformed` at `start` where `what` has `size` octets and needs `least`."""
    if size < least:
        raise Malformed(f"{what} of {size} octets", start, f"at least {least} octets", rfc)
