# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether two distinguished names in DER name the same subject (RFC 5280 7.1).

One name has many encodings: a string type is the writer's choice, and strongSwan encodes a name
that was configured as text otherwise than the certificate's issuer did. Case and blanks do not
count either.
"""

from __future__ import annotations

from collections.abc import Iterator

_SEQUENCE = 0x30
_OID = 0x06
_CODECS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}

Parts = tuple[frozenset[tuple[bytes, str | bytes]], ...]


def same_name(one: bytes, other: bytes) -> bool:
    """Whether both are the same name; octets that are no name equal only themselves."""
    if one == other:
        return True
    try:
        return _parts(one) == _parts(other)
    except ValueError:
        return False


def _parts(der: bytes) -> Parts:
    """The attributes of each RDN; raises ValueError."""
    names = [body for tag, body in _elements(der) if tag == _SEQUENCE]
    if len(names) != 1:
        raise ValueError("not one sequence")
    return tuple(
        frozenset(_attribute(pair) for _, pair in _elements(rdn)) for _, rdn in _elements(names[0])
    )


def _attribute(pair: bytes) -> tuple[bytes, str | bytes]:
    (kind, oid), (tag, value) = _two(pair)
    if kind != _OID:
        raise ValueError("an attribute without its type")
    codec = _CODECS.get(tag)
    return oid, value if codec is None else " ".join(value.decode(codec).casefold().split())


def _two(octets: bytes) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    first, second = _elements(octets)
    return first, second


def _elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each element; raises ValueError where lengths do not fit."""
    at = 0
    while at < len(octets):
        if len(octets) - at < 2:
            raise ValueError("an element of one octet")
        tag, size = octets[at], octets[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(octets[at : at + count], "big")
            at += count
        if not 0 <= size <= len(octets) - at:
            raise ValueError("an element that is longer than what holds it")
        yield tag, octets[at : at + size]
        at += size
