# SPDX-License-Identifier: GPL-2.0-or-later
"""What SA payloads offer, in the words of `alternatives`; unknown numbers stay numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.names import hyphened, name_of
from harness.ike.proposals import Proposal
from harness.ike.transforms import (
    UnknownAlgorithm,
    encryption_by_esp_id,
    encryption_by_id,
    encryption_by_phase1_id,
    integrity_by_ah_id,
    integrity_by_auth_id,
    integrity_by_id,
    key_exchange_by_id,
    prf_by_hash_id,
    prf_by_id,
)
from harness.verdict.diagnosis.alternatives import (
    ADDITIONAL,
    EXTENDED,
    NONE,
    NOT_EXTENDED,
    Alternative,
    Alternatives,
    Aspect,
    SaKind,
)

MOST = 256
"""Alternatives that are looked at: a hostile proposal may have thousands."""

_TRANSPORT = frozenset(
    {
        n1.EncapsulationMode.TRANSPORT,
        n1.EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT,
        n1.EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT_DRAFT,
    }
)
_METHODS = {
    n1.AuthenticationMethod.PRE_SHARED_KEY: "pre-shared key",
    n1.AuthenticationMethod.RSA_SIGNATURES: "RSA signatures",
    n1.AuthenticationMethod.ECDSA_SHA256_P256: "ECDSA signatures on P-256",
    n1.AuthenticationMethod.ECDSA_SHA384_P384: "ECDSA signatures on P-384",
    n1.AuthenticationMethod.ECDSA_SHA512_P521: "ECDSA signatures on P-521",
}


def offered_v1(payload: v1.SecurityAssociation) -> tuple[SaKind, Alternatives]:
    """What an IKEv1 SA payload offers (RFC 2409 appendix A, RFC 2407 4.5)."""
    if any(one.protocol == n1.ProtocolId.ISAKMP for one in payload.proposals):
        found = [_phase_1(each) for one in payload.proposals for each in one.transforms]
        return SaKind.ISAKMP_SA, tuple(found[:MOST])
    return SaKind.IPSEC_SA, tuple(_phase_2(payload.proposals)[:MOST])


def offered_v2(
    payload: v2.SecurityAssociation, *, later: bool = False
) -> tuple[SaKind, Alternatives]:
    """What an IKEv2 SA payload offers (RFC 7296 3.3); `later` is that of CREATE_CHILD_SA."""
    ike = any(one.protocol == n2.ProtocolId.IKE for one in payload.proposals)
    kind = SaKind.LATER_CHILD_SA if later else SaKind.CHILD_SA
    found = [_proposal_v2(one) for one in payload.proposals[:MOST]]
    return SaKind.IKE_SA if ike else kind, tuple(found)


def group_named(number: int) -> str:
    """The name of a Diffie-Hellman group or other key exchange method."""
    return _named(key_exchange_by_id, "group", number)


# -- IKEv1 --------------------------------------------------------------------------------------


def _phase_1(transform: v1.Transform) -> Alternative:
    a = n1.Phase1Attribute
    cipher = transform.number_of(a.ENCRYPTION_ALGORITHM)
    digest = transform.number_of(a.HASH_ALGORITHM)
    group = transform.number_of(a.GROUP_DESCRIPTION)
    method = transform.number_of(a.AUTHENTICATION_METHOD)
    found: dict[Aspect, Sequence[str]] = {}
    if cipher is not None:
        bits = transform.number_of(a.KEY_LENGTH)
        found[Aspect.ENCRYPTION] = [_cipher(encryption_by_phase1_id, cipher, bits)]
    if digest is not None:
        found[Aspect.HASH] = [_named(prf_by_hash_id, "hash", digest)]
    if group is not None:
        found[Aspect.GROUP] = [group_named(group)]
    if method is not None:
        found[Aspect.AUTHENTICATION] = [method_named(method)]
    lifetime = _lifetime(transform, a.LIFE_TYPE, a.LIFE_DURATION)
    return Alternative.of({**found, Aspect.LIFETIME: [lifetime] if lifetime else []})


def _phase_2(proposals: Sequence[Proposal[v1.Transform]]) -> list[Alternative]:
    found = []
    numbers = [one.number for one in proposals]
    for proposal in proposals:
        protocol = hyphened(n1.ProtocolId, proposal.protocol).removeprefix("IPSEC-")
        if numbers.count(proposal.number) > 1:
            protocol += " in a bundle"
        found += [
            _phase_2_transform(protocol, proposal.protocol, one) for one in proposal.transforms
        ]
    return found


def _phase_2_transform(protocol: str, number: int, transform: v1.Transform) -> Alternative:
    a = n1.IpsecAttribute
    found: dict[Aspect, Sequence[str]] = {Aspect.PROTOCOL: [protocol]}
    authentication = transform.number_of(a.AUTHENTICATION_ALGORITHM)
    if number == n1.ProtocolId.IPSEC_ESP:
        bits = transform.number_of(a.KEY_LENGTH)
        found[Aspect.ENCRYPTION] = [_cipher(encryption_by_esp_id, transform.id, bits)]
        if authentication is not None:
            found[Aspect.INTEGRITY] = [_named(integrity_by_auth_id, "integrity", authentication)]
    elif number == n1.ProtocolId.IPSEC_AH:
        found[Aspect.INTEGRITY] = [_named(integrity_by_ah_id, "AH", transform.id)]
    group = transform.number_of(a.GROUP_DESCRIPTION)
    if group is not None:
        found[Aspect.PFS] = [group_named(group)]
    mode = transform.number_of(a.ENCAPSULATION_MODE) or n1.EncapsulationMode.TUNNEL
    found[Aspect.MODE] = ["transport" if mode in _TRANSPORT else "tunnel"]
    lifetime = _lifetime(transform, a.SA_LIFE_TYPE, a.SA_LIFE_DURATION)
    return Alternative.of({**found, Aspect.LIFETIME: [lifetime] if lifetime else []})


def method_named(number: int) -> str:
    """The Authentication Method of IKEv1 in words."""
    words = _METHODS.get(n1.AuthenticationMethod(number)) if number in _KNOWN_METHODS else None
    return words or hyphened(n1.AuthenticationMethod, number)


_KNOWN_METHODS = frozenset(int(one) for one in n1.AuthenticationMethod)


def lifetime_text(seconds: int, kilobytes: int = 0) -> str:
    """A lifetime as a table shows it, empty for none."""
    parts = [f"{seconds} s"] if seconds else []
    return ", ".join(parts + ([f"{kilobytes} KB"] if kilobytes else []))


def _lifetime(transform: v1.Transform, life_type: int, duration: int) -> str:
    amounts = {n1.LifeType.SECONDS: 0, n1.LifeType.KILOBYTES: 0}
    kind: int | None = None
    for attribute in transform.attributes:
        if attribute.type == life_type:
            kind = attribute.number
        elif attribute.type == duration and kind in (1, 2):
            amounts[n1.LifeType(kind)] = attribute.number
    return lifetime_text(amounts[n1.LifeType.SECONDS], amounts[n1.LifeType.KILOBYTES])


# -- IKEv2 --------------------------------------------------------------------------------------


def _proposal_v2(proposal: Proposal[v2.Transform]) -> Alternative:
    ike = proposal.protocol == n2.ProtocolId.IKE
    found: dict[Aspect, list[str]] = {}
    if not ike:
        found[Aspect.PROTOCOL] = [name_of(n2.ProtocolId, proposal.protocol)]
    for transform in proposal.transforms:
        aspect = _aspect(transform.type, ike)
        if aspect is not None:
            found.setdefault(aspect, []).append(_transform_named(transform))
    return Alternative.of(found)


def _aspect(kind: int, ike: bool) -> Aspect | None:
    match kind:
        case n2.TransformType.ENCR:
            return Aspect.ENCRYPTION
        case n2.TransformType.PRF:
            return Aspect.PRF
        case n2.TransformType.INTEG:
            return Aspect.INTEGRITY
        case n2.TransformType.KE:
            return Aspect.GROUP if ike else Aspect.PFS
        case n2.TransformType.SN:
            return Aspect.SEQUENCE_NUMBERS
    place = kind - n2.TransformType.ADDKE1
    return ADDITIONAL[place] if 0 <= place < len(ADDITIONAL) else None


def _transform_named(transform: v2.Transform) -> str:
    kind, number = transform.type, transform.id
    if kind == n2.TransformType.ENCR:
        return _cipher(encryption_by_id, number, transform.key_length)
    if kind == n2.TransformType.SN:
        return {0: NOT_EXTENDED, 1: EXTENDED}.get(number, f"sequence numbers {number}")
    if not number:
        return NONE
    if kind == n2.TransformType.PRF:
        return _named(prf_by_id, "PRF", number)
    if kind == n2.TransformType.INTEG:
        return _named(integrity_by_id, "integrity", number)
    return group_named(number)


# -- names --------------------------------------------------------------------------------------


def _named(find: Callable[[int], Any], what: str, number: int) -> str:
    try:
        name: str = find(number).name
    except UnknownAlgorithm:
        return f"{what} {number}"
    return name


def _cipher(find: Callable[[int, int | None], Any], number: int, bits: int | None) -> str:
    try:
        found = find(number, bits)
    except UnknownAlgorithm:
        return f"encryption {number}" + (f" with {bits} bits" if bits else "")
    if bits is None and found.key_attribute:
        return f"{found.rfc_name.removeprefix('ENCR_')} without a key length"
    name: str = found.name
    return name


def union(alternatives: Iterable[Alternative], aspect: Aspect) -> tuple[str, ...]:
    """Every choice that some alternative has of an aspect, each once."""
    return tuple(dict.fromkeys(value for one in alternatives for value in one[aspect]))
