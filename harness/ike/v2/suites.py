# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals offered, chosen and understood (RFC 7296 2.7 and 3.3, RFC 9370 2.2.2).

An offer is a list of alternatives, each with one or more algorithms of each transform type. A type
that an alternative leaves out counts as NONE (id 0), which is how RFC 7296 3.3.3 treats integrity
beside combined algorithms and a key exchange in IKE_AUTH.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.ike import transforms as algorithms
from harness.ike.constants_v2 import ProtocolId, TransformAttribute, TransformType
from harness.ike.payloads_v2 import Proposal, SecurityAssociation, Transform
from harness.ike.transforms import Encryption, Integrity, KeyExchange, Prf

ADDITIONAL = tuple(range(TransformType.ADDKE1, TransformType.ADDKE7 + 1))
_KNOWN = frozenset({1, 2, 3, 4, 5, *ADDITIONAL})

Choice = tuple[int, int | None]
"""A transform id and its key length in bits."""
_NONE: Choice = (0, None)


@dataclass(frozen=True, slots=True)
class IkeProposal:
    """One alternative for an IKE SA, each type in order of preference.

    `additional` holds the methods of ADDKE1, ADDKE2, ... (RFC 9370); `None` among them is NONE.
    """

    encryptions: tuple[Encryption, ...]
    prfs: tuple[Prf, ...]
    groups: tuple[KeyExchange, ...]
    integrities: tuple[Integrity, ...] = ()
    additional: tuple[tuple[KeyExchange | None, ...], ...] = ()

    def choices(self) -> dict[int, tuple[Choice, ...]]:
        """The algorithms as numbers, by transform type."""
        return _filled(
            {
                TransformType.ENCR: _encryption_choices(self.encryptions),
                TransformType.PRF: tuple((prf.id or 0, None) for prf in self.prfs),
                TransformType.INTEG: tuple((mac.id or 0, None) for mac in self.integrities),
                TransformType.KE: tuple((group.id, None) for group in self.groups),
                **_additional_choices(self.additional),
            }
        )


@dataclass(frozen=True, slots=True)
class ChildProposal:
    """One alternative for a CHILD_SA with ESP; `groups` are for CREATE_CHILD_SA only.

    `esn` lists whether sequence numbers have 64 bits, in order of preference.
    """

    encryptions: tuple[Encryption, ...]
    integrities: tuple[Integrity, ...] = ()
    groups: tuple[KeyExchange, ...] = ()
    esn: tuple[bool, ...] = (False,)
    additional: tuple[tuple[KeyExchange | None, ...], ...] = ()

    def choices(self, *, key_exchange: bool) -> dict[int, tuple[Choice, ...]]:
        """The algorithms as numbers, by transform type."""
        found: dict[int, tuple[Choice, ...]] = {
            TransformType.ENCR: _encryption_choices(self.encryptions),
            TransformType.INTEG: tuple((mac.id or 0, None) for mac in self.integrities),
            TransformType.SN: tuple((int(extended), None) for extended in self.esn),
        }
        if key_exchange:
            found[TransformType.KE] = tuple((group.id, None) for group in self.groups)
            found.update(_additional_choices(self.additional))
        return _filled(found)


@dataclass(frozen=True, slots=True)
class Suite:
    """The algorithms that two ends agreed on; what an SA does not use is None or empty.

    `additional` has a method for each additional key exchange, in order, without the NONEs.
    """

    encryption: Encryption
    integrity: Integrity | None
    prf: Prf | None
    group: KeyExchange | None
    esn: bool
    additional: tuple[tuple[int, KeyExchange], ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """A received proposal that is acceptable: the suite, and the proposal to answer with."""

    suite: Suite
    proposal: Proposal[Transform]
    peer_spi: bytes


Choices = Mapping[int, tuple[Choice, ...]]


def offer(protocol: int, spi: bytes, alternatives: Iterable[Choices]) -> SecurityAssociation:
    """The SA payload that offers these alternatives, numbered from 1."""
    return SecurityAssociation(
        tuple(
            Proposal(
                number,
                protocol,
                spi,
                tuple(
                    Transform.of(kind, number_, bits)
                    for kind, found in choices.items()
                    for number_, bits in found
                ),
            )
            for number, choices in enumerate(alternatives, 1)
        )
    )


def select(
    alternatives: Iterable[Choices],
    received: SecurityAssociation,
    protocol: int,
    own_spi: bytes,
    preferred_group: int | None = None,
) -> Selection | None:
    """The first of our alternatives that a received proposal allows, or None.

    `preferred_group` is the method of the KE payload that came along: it wins among groups of one
    alternative, which saves a round trip.
    """
    readable = [(proposal, _understood(proposal)) for proposal in received.proposals]
    for choices in alternatives:
        for proposal, theirs in readable:
            if theirs is None or proposal.protocol != protocol:
                continue
            chosen = _intersection(choices, theirs, preferred_group)
            suite = None if chosen is None else _suite(chosen)
            if chosen is not None and suite is not None:
                answer = Proposal(proposal.number, protocol, own_spi, _transforms(chosen, theirs))
                return Selection(suite, answer, proposal.spi)
    return None


def accept(
    alternatives: Sequence[Choices], answered: SecurityAssociation, protocol: int
) -> Selection | None:
    """The suite that a responder chose from our offer, or None where it did not keep to it."""
    if len(answered.proposals) != 1:
        return None
    proposal = answered.proposals[0]
    theirs = _understood(proposal)
    if theirs is None or proposal.protocol != protocol:
        return None
    if not 1 <= proposal.number <= len(alternatives):
        return None
    if any(len(found) != 1 for found in theirs.values()):
        return None
    chosen = _intersection(alternatives[proposal.number - 1], theirs, None)
    suite = None if chosen is None else _suite(chosen)
    return None if suite is None else Selection(suite, proposal, proposal.spi)


def _encryption_choices(encryptions: Iterable[Encryption]) -> tuple[Choice, ...]:
    return tuple((found.id or 0, found.key_length_attribute) for found in encryptions)


def _additional_choices(
    additional: Sequence[Sequence[KeyExchange | None]],
) -> dict[int, tuple[Choice, ...]]:
    return {
        kind: tuple((method.id if method else 0, None) for method in methods)
        for kind, methods in zip(ADDITIONAL, additional, strict=False)
    }


def _filled(found: Mapping[int, tuple[Choice, ...]]) -> dict[int, tuple[Choice, ...]]:
    return {int(kind): choices for kind, choices in found.items() if choices}


def _understood(proposal: Proposal[Transform]) -> dict[int, tuple[Choice, ...]] | None:
    """What a proposal allows; None where it has a transform type that nobody knows.

    A transform with an unknown attribute is left out, but its type stays (RFC 7296 3.3.6).
    """
    found: dict[int, tuple[Choice, ...]] = {}
    for transform in proposal.transforms:
        if transform.type not in _KNOWN:
            return None
        known = all(
            attribute.type == TransformAttribute.KEY_LENGTH for attribute in transform.attributes
        )
        mine: tuple[Choice, ...] = ((transform.id, transform.key_length),) if known else ()
        found[transform.type] = found.get(transform.type, ()) + mine
    return found


def _intersection(ours: Choices, theirs: Choices, preferred_group: int | None) -> Choices | None:
    chosen: dict[int, tuple[Choice, ...]] = {}
    for kind in sorted({*ours, *theirs}):
        allowed = theirs.get(kind, (_NONE,))
        common = [choice for choice in ours.get(kind, (_NONE,)) if choice in allowed]
        if not common:
            return None
        favourite = (preferred_group, None)
        wanted = kind == TransformType.KE and favourite in common
        chosen[kind] = (favourite if wanted else common[0],)  # type: ignore[assignment]
    return chosen


def _transforms(chosen: Choices, theirs: Choices) -> tuple[Transform, ...]:
    """The answer has the types of the proposal, and NONE only where the proposal said so."""
    return tuple(
        Transform.of(kind, number, bits)
        for kind, found in chosen.items()
        for number, bits in found
        if kind in theirs
    )


def _suite(chosen: Choices) -> Suite | None:
    """The records of the chosen numbers; None where one of them has none."""

    def one(kind: int) -> Choice:
        return chosen.get(kind, (_NONE,))[0]

    try:
        encryption = algorithms.encryption_by_id(*one(TransformType.ENCR))
        mac, prf, group = (
            one(kind)[0] for kind in (TransformType.INTEG, TransformType.PRF, TransformType.KE)
        )
        return Suite(
            encryption,
            algorithms.integrity_by_id(mac) if mac else None,
            algorithms.prf_by_id(prf) if prf else None,
            algorithms.key_exchange_by_id(group) if group else None,
            bool(one(TransformType.SN)[0]),
            tuple(
                (kind, algorithms.key_exchange_by_id(one(kind)[0]))
                for kind in ADDITIONAL
                if one(kind)[0]
            ),
        )
    except algorithms.UnknownAlgorithm:
        return None


def ike_offer(proposals: Sequence[IkeProposal], spi: bytes = b"") -> SecurityAssociation:
    """The SA payload for an IKE SA; `spi` has 8 octets when it is rekeyed."""
    return offer(ProtocolId.IKE, spi, (proposal.choices() for proposal in proposals))
