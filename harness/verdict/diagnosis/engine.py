# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of the project's own engines as wishes, for all dialects of ikelabd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from harness.ike.description import identity as readable
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.v1 import configuration as v1
from harness.ike.v1.identity import Identity as IdentityV1
from harness.ike.v2 import connection as v2
from harness.ike.v2.suites import ChildProposal, IkeProposal
from harness.verdict.diagnosis.alternatives import (
    ADDITIONAL,
    ANY,
    EXTENDED,
    NONE,
    NOT_EXTENDED,
    Alternative,
    Aspect,
    SaKind,
)
from harness.verdict.diagnosis.offers import lifetime_text, method_named
from harness.verdict.diagnosis.plain import Plain
from harness.verdict.diagnosis.traffic import proxy, range_text
from harness.verdict.diagnosis.wishes import Lifetime, Place, Setting, Spelling, Wishes

PLAIN = Plain()
NOWHERE: Mapping[Setting, Place] = MappingProxyType({})


def wishes_v1(
    connection: v1.Connection,
    node: str,
    spelling: Spelling = PLAIN,
    places: Mapping[Setting, Place] = NOWHERE,
    child: v1.Child | None = None,
) -> Wishes:
    """What one end of IKEv1 wants, with that child, else its first."""
    psk = isinstance(connection.credentials, v1.PreSharedKey)
    phase_1, child = connection.phase1, child or next(iter(connection.children), None)
    found = Wishes(
        node,
        spelling,
        (connection.local.host,),
        (connection.remote.host,) if connection.remote else (),
        (1,),
        {
            SaKind.ISAKMP_SA: _phase_1(phase_1, connection.credentials.method),
            SaKind.IPSEC_SA: _phase_2(child) if child else (),
        },
        local_identity=_identity_v1(connection.local_identity),
        remote_identity=(
            _identity_v1(connection.remote_identity) if connection.remote_identity else None
        ),
        local_subnets=(proxy(child.local.payload()),) if child else (),
        remote_subnets=(proxy(child.remote.payload()),) if child else (),
        mode=("transport" if child.transport else "tunnel") if child else None,
        method="psk" if psk else "pubkey",
        lifetimes={
            SaKind.ISAKMP_SA: _lifetime(phase_1.lifetime),
            SaKind.IPSEC_SA: _lifetime(child.lifetime) if child else Lifetime(),
        },
        checks={
            SaKind.ISAKMP_SA: phase_1.check.value,
            **({SaKind.IPSEC_SA: child.check.value} if child else {}),
        },
        aggressive=phase_1.mode is v1.Phase1Mode.AGGRESSIVE,
        accepts_aggressive=phase_1.accept_aggressive_psk,
        places=places,
    )
    match connection.credentials:
        case v1.PreSharedKey(secret):
            return replace(found, secret=secret)
        case v1.Signer(chain=chain, anchors=anchors):
            own = _pem(chain[0]) if chain else None
            return replace(found, certificate=own, trusted=tuple(map(_pem, anchors)))


def _phase_1(phase_1: v1.Phase1, method: int) -> tuple[Alternative, ...]:
    lifetime = lifetime_text(phase_1.lifetime.seconds, phase_1.lifetime.kilobytes)
    return tuple(
        Alternative.of(
            {
                Aspect.ENCRYPTION: [cipher.name],
                Aspect.HASH: [digest.name],
                Aspect.GROUP: [group.name],
                Aspect.AUTHENTICATION: [method_named(method)],
                Aspect.LIFETIME: [lifetime] if lifetime else [],
            }
        )
        for cipher, digest, group in product(phase_1.encryptions, phase_1.hashes, phase_1.groups)
    )


def _phase_2(child: v1.Child) -> tuple[Alternative, ...]:
    lifetime = lifetime_text(child.lifetime.seconds, child.lifetime.kilobytes)
    # Who does not insist takes more secrecy than it asks for (racoon's proposal_check).
    obeys = child.pfs is None and child.check is not v1.LifetimeCheck.EXACT
    suites = [
        (cipher, mac)
        for cipher in child.encryptions
        for mac in ((None,) if cipher.combined else child.integrities)
    ]
    found = (
        Alternative.of(
            {
                Aspect.PROTOCOL: ["ESP"],
                Aspect.ENCRYPTION: [cipher.name],
                Aspect.INTEGRITY: [mac.name] if mac else [],
                Aspect.PFS: [child.pfs.name] if child.pfs else [ANY] if obeys else [],
                Aspect.MODE: ["transport" if child.transport else "tunnel"],
                Aspect.LIFETIME: [lifetime] if lifetime else [],
            }
        )
        for cipher, mac in suites
    )
    return tuple(dict.fromkeys(found))


def _lifetime(lifetime: v1.Lifetime) -> Lifetime:
    return Lifetime(lifetime.seconds, lifetime.kilobytes)


def _identity_v1(identity: IdentityV1) -> str:
    return readable(identity.id_type, identity.data, 1)


# -- IKEv2 --------------------------------------------------------------------------------------


def wishes_v2(
    connection: v2.Connection,
    node: str,
    own_address: str = "",
    spelling: Spelling = PLAIN,
    places: Mapping[Setting, Place] = NOWHERE,
    child: v2.ChildConfig | None = None,
) -> Wishes:
    """What one end of IKEv2 wants, with that child, else its first."""
    child = child or next(iter(connection.children), None)
    found = Wishes(
        node,
        spelling,
        (own_address,) if own_address else (),
        (connection.remote.host,) if connection.remote else (),
        (2,),
        {
            SaKind.IKE_SA: tuple(_ike(one) for one in connection.proposals),
            SaKind.CHILD_SA: tuple(_child(one, False) for one in child.proposals) if child else (),
            SaKind.LATER_CHILD_SA: (
                tuple(_child(one, True) for one in child.proposals) if child else ()
            ),
        },
        local_identity=_identity_v2(connection.local_id),
        remote_identity=_identity_v2(connection.remote_id) if connection.remote_id else None,
        local_subnets=_subnets(child.local) if child else (),
        remote_subnets=_subnets(child.remote) if child else (),
        mode=("transport" if child.transport else "tunnel") if child else None,
        places=places,
    )
    match connection.remote_auth:
        case v2.SharedKey(secret):
            return replace(found, method="psk", secret=secret)
        case v2.Anchors(certificates):
            own = connection.local_auth
            chain = own.chain if isinstance(own, v2.Signer) else ()
            return replace(
                found,
                method="pubkey",
                certificate=_pem(chain[0]) if chain else None,
                trusted=tuple(map(_pem, certificates)),
            )


def _ike(proposal: IkeProposal) -> Alternative:
    return Alternative.of(
        {
            Aspect.ENCRYPTION: [one.name for one in proposal.encryptions],
            Aspect.INTEGRITY: [one.name for one in proposal.integrities],
            Aspect.PRF: [one.name for one in proposal.prfs],
            Aspect.GROUP: [one.name for one in proposal.groups],
            **_additional(proposal),
        }
    )


def _child(proposal: ChildProposal, later: bool) -> Alternative:
    found: dict[Aspect, Iterable[str]] = {
        Aspect.PROTOCOL: ["ESP"],
        Aspect.ENCRYPTION: [one.name for one in proposal.encryptions],
        Aspect.INTEGRITY: [one.name for one in proposal.integrities],
        Aspect.SEQUENCE_NUMBERS: [EXTENDED if one else NOT_EXTENDED for one in proposal.esn],
    }
    if later:
        found |= {Aspect.PFS: [one.name for one in proposal.groups], **_additional(proposal)}
    return Alternative.of(found)


def _additional(proposal: IkeProposal | ChildProposal) -> dict[Aspect, Iterable[str]]:
    return {
        aspect: [one.name if one else NONE for one in methods]
        for aspect, methods in zip(ADDITIONAL, proposal.additional, strict=False)
    }


def _subnets(selectors: Iterable[TrafficSelector]) -> tuple[str, ...]:
    return tuple(range_text((one.start_address, one.end_address)) for one in selectors)


def _identity_v2(identity: v2.Identity) -> str:
    return readable(identity.type, identity.data, 2)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
