# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv2 Security Association payload and its transforms (RFC 7296 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import ClassVar

from harness.ike.attributes import Attribute, decode_attributes, encode_attributes
from harness.ike.constants_v2 import TransformAttribute
from harness.ike.proposals import (
    MORE_TRANSFORMS,
    Proposal,
    chosen,
    decode_proposals,
    encode_proposals,
    unusual,
)

_TRANSFORM = Struct(">BBHBBH")
_KEY_LENGTH = int(TransformAttribute.KEY_LENGTH)
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Transform:
    """One algorithm on offer: transform type, id and attributes (RFC 7296 3.3.2).

    `following`, `length`: None is the right value (3 or 0; the octets), a number forges it.
    `reserved` is the octet after `following`, `reserved_type` the one after the type.
    """

    type: int
    id: int
    attributes: tuple[Attribute, ...] = ()
    following: int | None = None
    reserved: int = 0
    reserved_type: int = 0
    length: int | None = None

    @property
    def key_length(self) -> int | None:
        """The Key Length attribute in bits (RFC 7296 3.3.5), or None where there is none."""
        for attribute in self.attributes:
            if attribute.type == _KEY_LENGTH:
                return attribute.number
        return None

    @classmethod
    def of(cls, type: int, id: int, key_length: int | None = None) -> Transform:
        """A transform, with a Key Length attribute in bits where one is given."""
        return cls(type, id, () if key_length is None else (Attribute(_KEY_LENGTH, key_length),))


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """The SA payload: proposals in order of preference (RFC 7296 3.3)."""

    payload_type: ClassVar[int] = 33

    proposals: tuple[Proposal[Transform], ...] = ()
    flags: int = 0

    def body(self) -> bytes:
        """The proposals as octets."""
        return encode_proposals(self.proposals, encode_transform)


def decode_security_association(
    data: bytes, start: int, end: int, flags: int
) -> SecurityAssociation:
    """The SA payload whose body is `data[start:end]`; raises `Malformed`."""
    return SecurityAssociation(decode_proposals(data, start, end, decode_transform), flags)


def encode_transform(transform: Transform, more: bool) -> bytes:
    """The octets of one transform; `more` says that another one follows."""
    attributes = encode_attributes(transform.attributes)
    return (
        _TRANSFORM.pack(
            chosen(transform.following, MORE_TRANSFORMS if more else 0),
            transform.reserved,
            chosen(transform.length, 8 + len(attributes)),
            transform.type,
            transform.reserved_type,
            transform.id,
        )
        + attributes
    )


def decode_transform(octets: bytes, more: bool) -> Transform:
    """The transform that these octets are; raises `Malformed` with an offset within them."""
    return _read_small(octets, more) if len(octets) <= _SMALL else _read(octets, more)


def _read(octets: bytes, more: bool) -> Transform:
    following, reserved, _, type_, reserved_type, id_ = _TRANSFORM.unpack_from(octets)
    return Transform(
        type_,
        id_,
        decode_attributes(octets, 8, len(octets)),
        unusual(following, MORE_TRANSFORMS if more else 0),
        reserved,
        reserved_type,
    )


# Peers draw from some dozens of transforms, so that most need not be read twice. It is a pure
# function of at most 64 octets: strangers cannot make it hold more than a few hundred KB.
_read_small = lru_cache(maxsize=512)(_read)
