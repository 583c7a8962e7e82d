# SPDX-License-Identifier: GPL-2.0-or-later
"""Data attributes: the type/value pairs inside transforms and Mode Config payloads.

IKEv1 and IKEv2 write them alike (RFC 2408 3.3, RFC 7296 3.3.5). The form is part of the value
here: an `int` is the basic form (type and 16-bit value, AF = 1), `bytes` is the variable form
(type, length, value, AF = 0). RFC 2409 lets a peer choose, and a responder must answer with what
it was offered, so the form is kept as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from harness.ike.malformed import Malformed, Unencodable

_PAIR = Struct(">HH")
_BASIC = 0x8000
_RFC = "2408 3.3, 7296 3.3.5"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; `type` has 15 bits, `length` forges the length of the variable form."""

    type: int
    value: int | bytes
    length: int | None = None

    @property
    def number(self) -> int:
        """The value as an unsigned number, whichever form it has on the wire."""
        if isinstance(self.value, bytes):
            return int.from_bytes(self.value, "big")
        return self.value

    @classmethod
    def shortest(cls, type: int, number: int) -> Attribute:
        """The basic form where the number fits in 16 bits, else four octets (or as many more).

        This is what racoon and SEIL do with a lifetime: 60 is basic, 86400 is four octets.
        """
        if number < 0x10000:
            return cls(type, number)
        return cls(type, number.to_bytes(max(4, (number.bit_length() + 7) // 8), "big"))


def encode_attributes(attributes: Iterable[Attribute]) -> bytes:
    """The octets of the attributes, one after the other; raises `Unencodable`."""
    out = bytearray()
    for attribute in attributes:
        value = attribute.value
        if attribute.type >= _BASIC:
            raise Unencodable(f"attribute type {attribute.type} does not fit in 15 bits")
        if isinstance(value, bytes):
            length = len(value) if attribute.length is None else attribute.length
            out += _PAIR.pack(attribute.type, length)
            out += value
        else:
            out += _PAIR.pack(attribute.type + _BASIC, value)
    return bytes(out)


def decode_attributes(data: bytes, start: int, end: int) -> tuple[Attribute, ...]:
    """The attributes in `data[start:end]`, which they must fill; raises `Malformed`."""
    found = []
    at = start
    while at < end:
        if end - at < 4:
            raise Malformed(f"an attribute of {end - at} octets", at, "at least four octets", _RFC)
        kind, value = _PAIR.unpack_from(data, at)
        if kind >= _BASIC:
            found.append(Attribute(kind - _BASIC, value))
            at += 4
            continue
        stop = at + 4 + value
        if stop > end:
            raise Malformed(
                f"attribute {kind} with length {value}", at, f"at most {end - at - 4} octets", _RFC
            )
        found.append(Attribute(kind, data[at + 4 : stop]))
        at = stop
    return tuple(found)
