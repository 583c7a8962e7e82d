# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv1 Security Association payload and its transforms.

RFC 2408 3.4 to 3.6 for the layout, RFC 2407 4.6.1 for the IPsec situation. Attributes are kept in
their order and form, since a responder must send back what was offered, octet for octet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import ClassVar

from harness.ike.attributes import Attribute, decode_attributes, encode_attributes
from harness.ike.constants_v1 import Doi, Situation
from harness.ike.malformed import Malformed
from harness.ike.proposals import (
    MORE_TRANSFORMS,
    Proposal,
    chosen,
    decode_proposals,
    encode_proposals,
    unusual,
)

_WORD = Struct(">I")
_TRANSFORM = Struct(">BBHBBH")
_IPSEC_DOI = int(Doi.IPSEC)
_LABELED = int(Situation.SECRECY | Situation.INTEGRITY)  # Labels before the proposals.
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Transform:
    """One set of attributes on offer (RFC 2408 3.6).

    `following`, `length`: None is the right value (3 or 0; the octets), a number forges it.
    `reserved` is the octet after `following`, `reserved_id` the two after the transform id.
    """

    number: int
    id: int
    attributes: tuple[Attribute, ...] = ()
    following: int | None = None
    reserved: int = 0
    reserved_id: int = 0
    length: int | None = None

    def attribute(self, type: int) -> Attribute | None:
        """The first attribute of this type, or None."""
        return next((one for one in self.attributes if one.type == type), None)

    def number_of(self, type: int) -> int | None:
        """The value of the first attribute of this type as a number, or None."""
        found = self.attribute(type)
        return None if found is None else found.number


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """The SA payload: DOI, situation and proposals (RFC 2408 3.4, RFC 2407 4.6.1).

    Only the IPsec DOI (1) without labels says where the proposals begin. With another DOI
    `situation` is None; with that, or with labels, everything behind is kept in `opaque`.
    """

    payload_type: ClassVar[int] = 1

    proposals: tuple[Proposal[Transform], ...] = ()
    doi: int = _IPSEC_DOI
    situation: int | None = int(Situation.IDENTITY_ONLY)
    opaque: bytes = b""
    flags: int = 0

    def body(self) -> bytes:
        """DOI, situation and proposals as octets: SAi_b of RFC 2409 5."""
        situation = b"" if self.situation is None else _WORD.pack(self.situation)
        proposals = encode_proposals(self.proposals, encode_transform)
        return _WORD.pack(self.doi) + situation + proposals + self.opaque


def decode_security_association(
    data: bytes, start: int, end: int, flags: int
) -> SecurityAssociation:
    """The SA payload whose body is `data[start:end]`; raises `Malformed`."""
    size = end - start
    if size < 4:
        raise Malformed(f"an SA body of {size} octets", start, "a DOI of four", "2408 3.4")
    doi = _WORD.unpack_from(data, start)[0]
    if doi != _IPSEC_DOI:
        return SecurityAssociation((), doi, None, data[start + 4 : end], flags)
    if size < 8:
        raise Malformed(
            f"an SA body of {size} octets", start, "DOI and situation, eight", "2407 4.6.1"
        )
    situation = _WORD.unpack_from(data, start + 4)[0]
    if situation & _LABELED:
        return SecurityAssociation((), doi, situation, data[start + 8 : end], flags)
    proposals = decode_proposals(data, start + 8, end, decode_transform)
    return SecurityAssociation(proposals, doi, situation, b"", flags)


def encode_transform(transform: Transform, more: bool) -> bytes:
    """The octets of one transform; `more` says that another one follows."""
    attributes = encode_attributes(transform.attributes)
    return (
        _TRANSFORM.pack(
            chosen(transform.following, MORE_TRANSFORMS if more else 0),
            transform.reserved,
            chosen(transform.length, 8 + len(attributes)),
            transform.number,
            transform.id,
            transform.reserved_id,
        )
        + attributes
    )


def decode_transform(octets: bytes, more: bool) -> Transform:
    """The transform that these octets are; raises `Malformed` with an offset within them."""
    return _read_small(octets, more) if len(octets) <= _SMALL else _read(octets, more)


def _read(octets: bytes, more: bool) -> Transform:
    following, reserved, _, number, id_, reserved_id = _TRANSFORM.unpack_from(octets)
    return Transform(
        number,
        id_,
        decode_attributes(octets, 8, len(octets)),
        unusual(following, MORE_TRANSFORMS if more else 0),
        reserved,
        reserved_id,
    )


# Peers draw from some dozens of transforms, so that most need not be read twice. It is a pure
# function of at most 64 octets: strangers cannot make it hold more than a few hundred KB.
_read_small = lru_cache(maxsize=512)(_read)
