# SPDX-License-Identifier: GPL-2.0-or-later
"""Phase 1 proposals: lists multiplied into transforms, and the choice of one (RFC 2409 appendix A).

Attributes stand in the order of racoon and SEIL: 11, 12, 1, 14, 3, 2, 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import (
    AuthenticationMethod,
    NotifyType,
    Phase1Attribute,
    ProtocolId,
    TransformId,
)
from harness.ike.names import name_of
from harness.ike.payloads_v1 import Proposal, SecurityAssociation, Transform
from harness.ike.transforms import (
    Encryption,
    KeyExchange,
    Prf,
    UnknownAlgorithm,
    encryption_by_phase1_id,
    key_exchange_by_id,
    prf_by_hash_id,
)
from harness.ike.v1.configuration import Lifetime, Phase1
from harness.ike.v1.lifetimes import agreed_lifetime, lifetime_attributes, read_lifetime
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Refusal, Unacceptable
from harness.ike.v1.sa_rules import (
    check_attributes,
    check_conflicts,
    check_lifetime,
    check_situation,
)

A = Phase1Attribute
_TOLD = 16


@dataclass(frozen=True, slots=True)
class Phase1Choice:
    """What an ISAKMP SA is made of."""

    encryption: Encryption
    hash: Prf
    group: KeyExchange
    method: int
    lifetime: Lifetime

    def __str__(self) -> str:
        method = name_of(AuthenticationMethod, self.method)
        return f"{self.encryption.name}/{self.hash.name}/{self.group.name}/{method}"


@dataclass(frozen=True, slots=True)
class Selection:
    """A responder's choice, and the SA payload that says so."""

    choice: Phase1Choice
    answer: SecurityAssociation


def choices(phase1: Phase1, method: int) -> tuple[Phase1Choice, ...]:
    """The product of the lists, in order: encryption, hash, group."""
    return tuple(
        Phase1Choice(cipher, digest, group, method, phase1.lifetime)
        for cipher, digest, group in product(phase1.encryptions, phase1.hashes, phase1.groups)
    )


def offer(phase1: Phase1, method: int) -> SecurityAssociation:
    """The SA payload of an initiator: one proposal with a transform for each choice."""
    transforms = tuple(
        _transform(number, choice) for number, choice in enumerate(choices(phase1, method), 1)
    )
    return SecurityAssociation((Proposal(1, ProtocolId.ISAKMP, b"", transforms),))


def _transform(number: int, choice: Phase1Choice) -> Transform:
    size = choice.encryption.key_length_attribute
    attributes = [
        *lifetime_attributes(choice.lifetime, A.LIFE_TYPE, A.LIFE_DURATION),
        Attribute(A.ENCRYPTION_ALGORITHM, choice.encryption.phase1_id or 0),
        *([] if size is None else [Attribute(A.KEY_LENGTH, size)]),
        Attribute(A.AUTHENTICATION_METHOD, choice.method),
        Attribute(A.HASH_ALGORITHM, choice.hash.hash_id or 0),
        Attribute(A.GROUP_DESCRIPTION, choice.group.id),
    ]
    return Transform(number, TransformId.KEY_IKE, tuple(attributes))


def read_transform(transform: Transform) -> Phase1Choice:
    """What a transform stands for; raises `Unacceptable` where something in it is not known."""
    check_conflicts(transform.attributes, several=(A.LIFE_TYPE, A.LIFE_DURATION))
    if transform.id != TransformId.KEY_IKE:
        raise Unacceptable(f"transform {transform.id}, not KEY_IKE")
    numbers = [_number(transform, kind) for kind in (A.ENCRYPTION_ALGORITHM, A.HASH_ALGORITHM)]
    size = transform.number_of(A.KEY_LENGTH)
    try:
        cipher = encryption_by_phase1_id(numbers[0], size)
        if size is None and cipher.key_attribute:
            raise Unacceptable(f"{cipher.rfc_name} without a key length")
        digest = prf_by_hash_id(numbers[1])
        group = key_exchange_by_id(_number(transform, A.GROUP_DESCRIPTION))
    except UnknownAlgorithm as unknown:
        raise Unacceptable(str(unknown)) from None
    if not group.ikev1:
        raise Unacceptable(f"{group.name}, which IKEv1 does not have")
    method = _number(transform, A.AUTHENTICATION_METHOD)
    lifetime = read_lifetime(transform.attributes, A.LIFE_TYPE, A.LIFE_DURATION)
    return Phase1Choice(cipher, digest, group, method, lifetime)


def select(sa: SecurityAssociation, phase1: Phase1, method: int) -> Selection:
    """The first transform of the initiator that is acceptable here; raises `Refusal`.

    The detail of the refusal names what was offered and what is configured.
    """
    check_situation(sa)
    own = choices(phase1, method)
    told: list[str] = []
    for proposal in sa.proposals:
        if proposal.protocol != ProtocolId.ISAKMP:
            told.append(f"protocol {proposal.protocol}")
            continue
        for transform in proposal.transforms:
            try:
                offered = _acceptable(transform, own)
                agreed = agreed_lifetime(phase1.check, phase1.lifetime, offered.lifetime)
            except Unacceptable as why:
                told.append(str(why))
                continue
            answer = replace(
                sa,
                proposals=(
                    replace(
                        proposal, transforms=(replace(transform, following=None),),
                        following=None, transform_count=None,
                    ),
                ),
            )  # fmt: skip
            return Selection(replace(offered, lifetime=agreed.lifetime), answer)
    raise Refusal(
        Reason.NO_PROPOSAL_CHOSEN,
        NotifyType.NO_PROPOSAL_CHOSEN,
        f"offered {', '.join(dict.fromkeys(told[:_TOLD])) or 'nothing'};"
        f" configured {', '.join(str(one) for one in own)}",
    )


def _acceptable(transform: Transform, own: tuple[Phase1Choice, ...]) -> Phase1Choice:
    offered = read_transform(transform)
    for one in own:
        if replace(one, lifetime=offered.lifetime) == offered:
            return offered
    raise Unacceptable(str(offered))


def check_answer(offered: SecurityAssociation, answer: SecurityAssociation) -> Phase1Choice:
    """What the responder chose; raises `Refusal` unless it is one transform that was offered.

    The order and form of attributes may differ, and no value (RFC 2409 section 5).
    """
    transforms = [each for one in answer.proposals for each in one.transforms]
    if len(answer.proposals) != 1 or len(transforms) != 1:
        raise _unoffered(f"{len(transforms)} transforms in {len(answer.proposals)} proposals")
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
            return chosen
    raise _unoffered(str(chosen))


def _unoffered(what: str) -> Refusal:
    return Refusal(
        Reason.UNACCEPTABLE_ANSWER,
        NotifyType.BAD_PROPOSAL_SYNTAX,
        f"the responder chose {what}, which was not offered",
    )


def _number(transform: Transform, kind: Phase1Attribute) -> int:
    found = transform.number_of(kind)
    if found is None:
        raise Unacceptable(f"transform {transform.number} without {kind.name.replace('_', ' ')}")
    return found
