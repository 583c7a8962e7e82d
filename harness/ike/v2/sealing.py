# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages sealed into SK or SKF payloads and opened again (RFC 7296 3.14, RFC 7383)."""

from __future__ import annotations

from dataclasses import replace

from harness.ike.chance import Draw, Purpose, drawing
from harness.ike.encrypted_payload import fresh_iv, open_payloads, seal_payloads, sealed_size
from harness.ike.payloads_v2 import Encrypted, EncryptedFragment
from harness.ike.protection import Protection
from harness.ike.v2.message import Plain
from harness.ike.wire import (
    HEADER_SIZE,
    Message,
    encode,
    encode_payloads,
    sealed_offset,
    sealed_prefix,
)

_IP_AND_UDP = 48
"""Octets that IPv6 and UDP headers take of a fragment size; with IPv4 twenty are left over."""
_MARKER = 4
_SK_HEADER = 4
_SKF_HEADER = 8
_LEAST_FRAGMENT = 64


class Sealer:
    """The two protections of an IKE SA and the counter that keeps its IVs apart."""

    def __init__(self, outbound: Protection, inbound: Protection, draw: Draw) -> None:
        self._outbound = outbound
        self._inbound = inbound
        self._randomness = drawing(draw, Purpose.IV)
        self._counter = 0

    def seal(self, plain: Plain, fragment_size: int = 0) -> tuple[bytes, ...]:
        """The messages that carry `plain`: one, or fragments where it exceeds `fragment_size`.

        `fragment_size` is in octets with IP and UDP headers; 0 never cuts.
        """
        kind, inner = encode_payloads(plain.message.payloads)
        room = fragment_size - _IP_AND_UDP - _MARKER - HEADER_SIZE
        if fragment_size and sealed_size(self._outbound, len(inner)) + _SK_HEADER > room:
            return self._fragments(plain, kind, inner, room - _SKF_HEADER)
        return (self._sealed(plain, Encrypted(kind, b""), inner),)

    def open(self, message: Message, octets: bytes) -> bytes:
        """The plaintext of the SK or SKF at the end of `message`; raises `IntegrityFailure`.

        `octets` is the datagram that `message` was decoded from, without marker.
        """
        sealed = message.sealed
        if sealed is None:
            raise ValueError("the message ends in neither SK nor SKF; look at `sealed` first")
        start = sealed_offset(message, len(octets))
        return open_payloads(self._inbound, octets[:start], sealed.data)

    def _fragments(self, plain: Plain, kind: int, inner: bytes, room: int) -> tuple[bytes, ...]:
        least = sealed_size(self._outbound, 0) + self._outbound.alignment
        size = max(room - least, _LEAST_FRAGMENT)
        pieces = [inner[at : at + size] for at in range(0, len(inner), size)]
        return tuple(
            self._sealed(
                plain if number == 1 else replace(plain, clear=()),
                EncryptedFragment(kind if number == 1 else 0, number, len(pieces), b""),
                piece,
            )
            for number, piece in enumerate(pieces, 1)
        )

    def _sealed(self, plain: Plain, payload: Encrypted | EncryptedFragment, inner: bytes) -> bytes:
        outer = replace(plain.message, payloads=(*plain.clear, payload), trailing=b"")
        prefix = sealed_prefix(outer, sealed_size(self._outbound, len(inner)))
        self._counter += 1
        iv = fresh_iv(self._outbound, self._counter, self._randomness)
        body = seal_payloads(self._outbound, prefix, inner, iv)
        return prefix + body + plain.message.trailing


def authenticated_part(message: Message, first_payload: int, size: int, flags: int = 0) -> bytes:
    """A of IntAuth: header and SK header as if SK held `size` octets in clear (RFC 9242 3.3.2).

    A message that came in fragments counts as if it had come whole.
    """
    outer = replace(
        message,
        payloads=(Encrypted(first_payload, b"", flags),),
        next_payload=None,
        length=None,
        trailing=b"",
    )
    return sealed_prefix(outer, size)


def clear_octets(plain: Plain) -> bytes:
    """The octets of a message that is not protected."""
    return encode(plain.message)
