# SPDX-License-Identifier: GPL-2.0-or-later
"""Phase 2 proposals for ESP: lists multiplied into transforms, and the choice (RFC 2407 4.4, 4.5).

Attributes stand in the order of racoon and SEIL: 1, 2, 4, 6, 5, 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import EncapsulationMode, IpsecAttribute, NotifyType, ProtocolId
from harness.ike.payloads_v1 import Proposal, SecurityAssociation, Transform
from harness.ike.transforms import (
    Encryption,
    Integrity,
    KeyExchange,
    UnknownAlgorithm,
    encryption_by_esp_id,
    integrity_by_auth_id,
    key_exchange_by_id,
)
from harness.ike.v1.configuration import Child, Lifetime, LifetimeCheck
from harness.ike.v1.lifetimes import (
    AgreedLifetime,
    agreed_lifetime,
    lifetime_attributes,
    read_lifetime,
)
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Refusal, Unacceptable
from harness.ike.v1.sa_rules import (
    check_attributes,
    check_conflicts,
    check_lifetime,
    check_situation,
)

A = IpsecAttribute
_TOLD = 16
SPI_SIZE = 4
FIRST_FREE_SPI = 256
_DEFAULT_LIFETIME = 28800
_UNSUPPORTED = (A.KEY_ROUNDS, A.COMPRESS_DICTIONARY_SIZE, A.COMPRESS_PRIVATE_ALGORITHM)
"""What is defined and not to be had must not be taken for nothing (RFC 2407 4.5.3)."""
_TRANSPORT = frozenset(
    {
        EncapsulationMode.TRANSPORT,
        EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT,
        EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT_DRAFT,
    }
)


@dataclass(frozen=True, slots=True)
class Phase2Choice:
    """What an IPsec SA is made of; `mode` is the Encapsulation Mode attribute."""

    encryption: Encryption
    integrity: Integrity | None
    pfs: KeyExchange | None
    mode: int
    lifetime: Lifetime

    @property
    def transport(self) -> bool:
        """Whether it is transport mode, in UDP or not."""
        return self.mode in _TRANSPORT

    @property
    def encapsulated(self) -> bool:
        """Whether ESP travels in UDP."""
        return self.mode not in (EncapsulationMode.TUNNEL, EncapsulationMode.TRANSPORT)

    def __str__(self) -> str:
        parts = [self.encryption, self.integrity, self.pfs]
        names = [part.name for part in parts if part is not None]
        mode = "transport" if self.transport else "tunnel"
        return "/".join([*names, mode + (" in UDP" if self.encapsulated else "")])


@dataclass(frozen=True, slots=True)
class Phase2Selection:
    """A responder's choice: the peer's SPI, and what the answer repeats of the offer."""

    choice: Phase2Choice
    lifetime: AgreedLifetime
    peer_spi: bytes
    sa: SecurityAssociation
    proposal: Proposal[Transform]
    transform: Transform

    def answer(self, spi: bytes) -> SecurityAssociation:
        """The SA payload with the own SPI and the chosen transform as it was offered."""
        chosen = replace(
            self.proposal, spi=spi, transforms=(replace(self.transform, following=None),),
            following=None, transform_count=None,
        )  # fmt: skip
        return replace(self.sa, proposals=(chosen,))


def choices(child: Child, mode: int) -> tuple[Phase2Choice, ...]:
    """The product of the lists, in order: encryption, integrity.

    An algorithm that authenticates by itself stands alone.
    """
    found: dict[Phase2Choice, None] = {}
    for cipher in child.encryptions:
        macs = (None,) if cipher.combined else child.integrities
        for mac in macs:
            found[Phase2Choice(cipher, mac, child.pfs, mode, child.lifetime)] = None
    return tuple(found)


def offer(child: Child, mode: int, spi: bytes) -> SecurityAssociation:
    """The SA payload of an initiator: one ESP proposal with a transform for each choice."""
    transforms = tuple(
        _transform(number, choice) for number, choice in enumerate(choices(child, mode), 1)
    )
    return SecurityAssociation((Proposal(1, ProtocolId.IPSEC_ESP, spi, transforms),))


def _transform(number: int, choice: Phase2Choice) -> Transform:
    size = choice.encryption.key_length_attribute
    attributes = [
        *lifetime_attributes(choice.lifetime, A.SA_LIFE_TYPE, A.SA_LIFE_DURATION),
        Attribute(A.ENCAPSULATION_MODE, choice.mode),
        *([] if size is None else [Attribute(A.KEY_LENGTH, size)]),
    ]
    if choice.integrity is not None:
        attributes.append(Attribute(A.AUTHENTICATION_ALGORITHM, choice.integrity.auth_id or 0))
    if choice.pfs is not None:
        attributes.append(Attribute(A.GROUP_DESCRIPTION, choice.pfs.id))
    return Transform(number, choice.encryption.esp_id or 0, tuple(attributes))


def read_transform(transform: Transform) -> Phase2Choice:
    """What a transform stands for; raises `Unacceptable` where something in it is not known."""
    check_conflicts(transform.attributes, several=(A.SA_LIFE_TYPE, A.SA_LIFE_DURATION))
    for unsupported in _UNSUPPORTED:
        if transform.attribute(unsupported) is not None:
            raise Unacceptable(f"attribute {unsupported.name.replace('_', ' ')}")
    size = transform.number_of(A.KEY_LENGTH)
    auth = transform.number_of(A.AUTHENTICATION_ALGORITHM)
    group = transform.number_of(A.GROUP_DESCRIPTION)
    try:
        cipher = encryption_by_esp_id(transform.id, size)
        if size is None and cipher.key_attribute:
            raise Unacceptable(f"{cipher.rfc_name} without a key length")
        mac = None if auth is None else integrity_by_auth_id(auth)
        pfs = None if group is None else key_exchange_by_id(group)
    except UnknownAlgorithm as unknown:
        raise Unacceptable(str(unknown)) from None
    if transform.number_of(A.EXTENDED_SEQUENCE_NUMBER):
        raise Unacceptable(f"{cipher.name} with extended sequence numbers")
    # No mode means that it depends on the host (RFC 2407 4.5), which is tunnel for a gateway.
    mode = transform.number_of(A.ENCAPSULATION_MODE) or EncapsulationMode.TUNNEL
    lifetime = read_lifetime(transform.attributes, A.SA_LIFE_TYPE, A.SA_LIFE_DURATION)
    if lifetime == Lifetime():
        lifetime = Lifetime(_DEFAULT_LIFETIME)
    return Phase2Choice(cipher, mac, pfs, mode, lifetime)


def select(sa: SecurityAssociation, child: Child, modes: frozenset[int]) -> Phase2Selection:
    """The first transform of the initiator that is acceptable here; raises `Refusal`.

    `modes` are the Encapsulation Modes that the path and the child allow. A proposal that comes
    with another one of its number (IPComp, AH) asks for a bundle, which is not taken.
    """
    check_situation(sa)
    told: list[str] = []
    numbers = [proposal.number for proposal in sa.proposals]
    for proposal in sa.proposals:
        bundled = numbers.count(proposal.number) > 1
        if proposal.protocol != ProtocolId.IPSEC_ESP or bundled or not _usable(proposal.spi):
            told.append(f"protocol {proposal.protocol}{' in a bundle' if bundled else ''}")
            continue
        for transform in proposal.transforms:
            try:
                offered = read_transform(transform)
                _check(offered, child, modes)
                agreed = agreed_lifetime(child.check, child.lifetime, offered.lifetime)
            except Unacceptable as why:
                told.append(str(why))
                continue
            choice = replace(offered, lifetime=agreed.lifetime)
            return Phase2Selection(choice, agreed, proposal.spi, sa, proposal, transform)
    own = ", ".join(str(one) for mode in sorted(modes) for one in choices(child, mode))
    raise Refusal(
        Reason.NO_PROPOSAL_CHOSEN,
        NotifyType.NO_PROPOSAL_CHOSEN,
        f"offered {', '.join(dict.fromkeys(told[:_TOLD])) or 'nothing'}; configured {own}",
    )


def _usable(spi: bytes) -> bool:
    return len(spi) == SPI_SIZE and int.from_bytes(spi, "big") >= FIRST_FREE_SPI


def _check(offered: Phase2Choice, child: Child, modes: frozenset[int]) -> None:
    same = any(
        one.encryption == offered.encryption and one.integrity == offered.integrity
        for one in choices(child, offered.mode)
    )
    # Who obeys takes more secrecy than it asked for, but never less (racoon's proposal_check).
    pfs = offered.pfs == child.pfs or (child.pfs is None and child.check is not LifetimeCheck.EXACT)
    if not same or offered.mode not in modes or not pfs:
        raise Unacceptable(str(offered))
    if offered.pfs is not None and not offered.pfs.ikev1:
        raise Unacceptable(f"{offered.pfs.name}, which IKEv1 does not have")


def check_answer(
    offered: SecurityAssociation, answer: SecurityAssociation
) -> tuple[Phase2Choice, bytes]:
    """The responder's choice and SPI; raises `Refusal` unless it chose what was offered.

    One with another lifetime says so beside that, with RESPONDER-LIFETIME (RFC 2407 4.5.4).
    """
    transforms = [each for one in answer.proposals for each in one.transforms]
    if len(answer.proposals) != 1 or len(transforms) != 1:
        raise _unoffered(f"{len(transforms)} transforms in {len(answer.proposals)} proposals")
    proposal = answer.proposals[0]
    if proposal.protocol != ProtocolId.IPSEC_ESP or not _usable(proposal.spi):
        raise _unoffered(f"protocol {proposal.protocol} with SPI {proposal.spi.hex() or 'none'}")
    try:
        chosen = read_transform(transforms[0])
    except Unacceptable as why:
        raise _unoffered(str(why)) from None
    for transform in offered.proposals[0].transforms:
        own = read_transform(transform)
        if replace(own, lifetime=chosen.lifetime) == chosen:
            try:
                check_attributes(transform, transforms[0])
                check_lifetime(own.lifetime, chosen.lifetime)
            except Unacceptable as why:
                raise _unoffered(str(why)) from None
            return chosen, proposal.spi
    raise _unoffered(str(chosen))


def _unoffered(what: str) -> Refusal:
    return Refusal(
        Reason.UNACCEPTABLE_ANSWER,
        NotifyType.BAD_PROPOSAL_SYNTAX,
        f"the responder chose {what}, which was not offered",
    )
