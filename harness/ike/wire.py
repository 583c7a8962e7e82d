# SPDX-License-Identifier: GPL-2.0-or-later
"""One codec for the messages of IKEv1 (ISAKMP, RFC 2408 3) and IKEv2 (RFC 7296 3).

`decode` reads a datagram (without the non-ESP marker) into a `Message`, `encode` writes one. What
an encoder can compute - lengths, next payloads, counts - is None in a value and written rightly;
a number is written as it stands, so that any wrong message can be made. A decoder sets such a
field only where a sender wrote something else, so that `encode(decode(octets)) == octets`, always.

Encrypted parts stay opaque: in IKEv1 the whole body is `Message.encrypted`, in IKEv2 the last
payload is `Encrypted` or `EncryptedFragment`. Their plaintext is a chain of payloads again:
`decode_payloads` and `encode_payloads`. Work and memory grow linearly with the octets given.

To forge a message, replace what is computed, or put `Forged` around a payload, or `RawPayload` in
its place:

    replace(message, version=0x21, flags=0xFF, length=7, next_payload=99)
    replace(message, payloads=(Forged(nonce, length=3), RawPayload(200, b"?", flags=CRITICAL)))
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from struct import Struct
from types import MappingProxyType

from harness.ike import payloads_v1, payloads_v2
from harness.ike.malformed import Malformed, Unencodable
from harness.ike.payload import Decoder, Forged, Payload, RawPayload
from harness.ike.payloads_v2 import Encrypted, EncryptedFragment
from harness.ike.proposals import chosen, unusual

HEADER_SIZE = 28
VERSION_1 = 0x10
VERSION_2 = 0x20

_HEADER = Struct(">8s8sBBBBII")
_GENERIC = Struct(">BBH")
_ENCRYPTION = 0x01
_RFC_HEADER = "2408 3.1, 7296 3.1"
_RFC_GENERIC = "2408 3.2, 7296 3.2"
_DECODERS: Mapping[int, Mapping[int, Decoder]] = MappingProxyType(
    {1: payloads_v1.DECODERS, 2: payloads_v2.DECODERS}
)
_SEALED = frozenset({Encrypted.payload_type, EncryptedFragment.payload_type})


@dataclass(frozen=True, slots=True)
class Message:
    """A message of either version: header fields, payloads, and what is not payloads.

    `encrypted` is the body of an IKEv1 message whose encryption bit is set. `trailing` is what
    stands behind the payloads, inside or after `length`; all of it, for an unknown major version.
    `next_payload` and `length` are computed where None: the type of the first payload, and the
    whole datagram.
    """

    version: int
    exchange: int
    initiator_spi: bytes
    responder_spi: bytes = bytes(8)
    message_id: int = 0
    flags: int = 0
    payloads: tuple[Payload, ...] = ()
    encrypted: bytes = b""
    trailing: bytes = b""
    next_payload: int | None = None
    length: int | None = None

    @property
    def major_version(self) -> int:
        """1 for ISAKMP and IKEv1, 2 for IKEv2, or what a peer said."""
        return self.version >> 4

    @property
    def first_payload(self) -> int:
        """The next payload field of the header as it is on the wire."""
        usual = self.payloads[0].payload_type if self.payloads else 0
        return chosen(self.next_payload, usual)

    @property
    def sealed(self) -> Encrypted | EncryptedFragment | None:
        """The SK or SKF payload at the end of an IKEv2 message, or None."""
        last = self.payloads[-1] if self.payloads else None
        return last if isinstance(last, Encrypted | EncryptedFragment) else None


def decode(datagram: bytes | bytearray | memoryview) -> Message:
    """The message that these octets are; raises `Malformed` and nothing else."""
    data = bytes(datagram)
    size = len(data)
    if size < HEADER_SIZE:
        raise Malformed(f"a message of {size} octets", 0, "a header of 28 octets", _RFC_HEADER)
    initiator, responder, kind, version, exchange, flags, message_id, length = _HEADER.unpack_from(
        data
    )
    if not HEADER_SIZE <= length <= size:
        raise Malformed(f"length {length}", 24, f"28 to {size}, the datagram", _RFC_HEADER)
    major = version >> 4
    payloads: tuple[Payload, ...] = ()
    encrypted = b""
    at = HEADER_SIZE
    if major == 1 and flags & _ENCRYPTION:
        encrypted = data[HEADER_SIZE:length]
        at = length
    elif major in _DECODERS:
        payloads, at = _decode_chain(_DECODERS[major], kind, data, HEADER_SIZE, length, major == 2)
    return Message(
        version,
        exchange,
        initiator,
        responder,
        message_id,
        flags,
        payloads,
        encrypted,
        data[at:],
        unusual(kind, payloads[0].payload_type if payloads else 0),
        unusual(length, size),
    )


def decode_payloads(
    major_version: int, first_payload: int, plaintext: bytes
) -> tuple[tuple[Payload, ...], bytes]:
    """The payloads of a decrypted body, and what stands behind them (the padding of IKEv1).

    `first_payload` is `Message.first_payload` in IKEv1 and `first_payload` of SK or of the first
    SKF in IKEv2, where the caller has taken off padding and Pad Length. Offsets in a `Malformed`
    count from the start of `plaintext`. Major versions but 1 and 2 raise `ValueError`.
    """
    if major_version not in _DECODERS:
        raise ValueError(f"there are no payloads in major version {major_version}; use 1 or 2")
    data = bytes(plaintext)
    decoders = _DECODERS[major_version]
    payloads, at = _decode_chain(decoders, first_payload, data, 0, len(data), major_version == 2)
    return payloads, data[at:]


def encode(message: Message) -> bytes:
    """The octets of a message, wrong where the value says so; raises `Unencodable`."""
    kind, body = encode_payloads(message.payloads)
    behind = body + message.encrypted + message.trailing
    if len(message.initiator_spi) != 8 or len(message.responder_spi) != 8:
        raise Unencodable("an SPI of the header does not have eight octets; give it eight")
    try:
        header = _HEADER.pack(
            message.initiator_spi,
            message.responder_spi,
            chosen(message.next_payload, kind),
            message.version,
            message.exchange,
            message.flags,
            message.message_id,
            chosen(message.length, HEADER_SIZE + len(behind)),
        )
    except struct.error as error:
        raise Unencodable(f"a header field does not fit: {error}") from error
    return header + behind


def encode_payloads(payloads: Iterable[Payload]) -> tuple[int, bytes]:
    """The type of the first payload (0 for none) and the octets of them all.

    The last payload says that none follows; raises `Unencodable`.
    """
    chain = tuple(payloads)
    out = bytearray()
    for position, payload in enumerate(chain, 1):
        try:
            body = payload.body()
            following = chain[position].payload_type if position < len(chain) else 0
            length = 4 + len(body)
            match payload:
                case Encrypted() | EncryptedFragment():
                    following = payload.first_payload
                case Forged(payload=inner):
                    if isinstance(inner, Encrypted | EncryptedFragment):
                        following = inner.first_payload
                    following = chosen(payload.next_payload, following)
                    length = chosen(payload.length, length)
            out += _GENERIC.pack(following, payload.flags, length)
        except (struct.error, OverflowError) as error:
            name = type(payload).__name__
            raise Unencodable(f"payload {position}, {name}, does not fit: {error}") from error
        out += body
    return (chain[0].payload_type if chain else 0), bytes(out)


def sealed_prefix(message: Message, size: int) -> bytes:
    """What stands before the data of the SK or SKF that ends `message`, if that has `size` octets.

    These are the octets that an AEAD authenticates beside the ciphertext (RFC 5282 5.1, RFC 7383
    2.5.1), and with the plaintext's size those of IntAuth (RFC 9242 3.3.2). The data that the
    payload has is not looked at. Raises `ValueError` where the last payload is neither.
    """
    last = message.sealed
    if last is None:
        raise ValueError("the message does not end in SK or SKF; put one there")
    blank = replace(last, data=bytes(size))
    whole = encode(replace(message, payloads=(*message.payloads[:-1], blank), trailing=b""))
    return whole[: len(whole) - size]


def sealed_offset(message: Message, datagram_size: int) -> int:
    """Where in its datagram the data (IV, ciphertext, ICV) of a decoded message's SK or SKF starts.

    Raises `ValueError` where the message does not end in one.
    """
    if message.sealed is None:
        raise ValueError("the message does not end in SK or SKF; look at `sealed` first")
    return datagram_size - len(message.trailing) - len(message.sealed.data)


def _decode_chain(
    decoders: Mapping[int, Decoder],
    first: int,
    data: bytes,
    start: int,
    end: int,
    sealing: bool,
) -> tuple[tuple[Payload, ...], int]:
    """The payloads from `start` on and where they end; `sealing`: SK and SKF are the last."""
    found: list[Payload] = []
    kind = first
    at = start
    while kind:
        room = end - at
        if room < 4:
            raise Malformed(
                f"{room} octets for payload {kind}", at, "a header of four octets", _RFC_GENERIC
            )
        following, flags, length = _GENERIC.unpack_from(data, at)
        if not 4 <= length <= room:
            raise Malformed(
                f"payload {kind} with length {length}", at + 2, f"4 to {room}", _RFC_GENERIC
            )
        stop = at + length
        decoder = decoders.get(kind)
        if decoder is None:
            found.append(RawPayload(kind, data[at + 4 : stop], flags))
        else:
            found.append(decoder(kind, following, flags, data, at + 4, stop))
        at = stop
        if sealing and kind in _SEALED:
            break
        kind = following
    return tuple(found), at
