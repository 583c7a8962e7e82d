# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv1 connections of ikelabd's TOML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeVar

from harness.daemon.configuration import Startup
from harness.daemon.credentials import Certified, Credentials
from harness.daemon.identities import identity_of
from harness.daemon.kernel.selectors import networks
from harness.daemon.native.connections import ends, mode, named_children, note_startup, own_identity
from harness.daemon.native.table import Table, Unusable
from harness.daemon.native.values import traffic
from harness.daemon.proposals import Transforms, transforms_in
from harness.ike.address import Address
from harness.ike.retransmission import Retransmission
from harness.ike.signatures import SignatureFailure
from harness.ike.transforms import PRFS, Encryption, Integrity, KeyExchange, Prf
from harness.ike.v1.configuration import (
    Child,
    Connection,
    DeadPeerDetection,
    Lifetime,
    LifetimeCheck,
    NatTraversal,
    Phase1,
    Phase1Mode,
    PreSharedKey,
    Rekeying,
    Signer,
)
from harness.ike.v1.identity import Identity, address_identity, subnet_identity

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

CHECKS = ("obey", "strict", "claim", "exact")
NOWHERE = Address("0.0.0.0")
USUAL_PHASE1, USUAL_PHASE2 = 86_400, 28_800


def read(
    name: str,
    table: Table,
    credentials: Credentials,
    startup: dict[str, Startup],
    again: Retransmission,
    keep_rekeyed: float,
) -> Connection:
    """A connection; it is of no use after a complaint."""
    proved = credentials.read(table)
    local, remote = ends(table)
    who = own_identity(table, proved, local)
    peer = table.made("remote-id", identity_of, None)
    phase1 = _phase1(table)
    children = tuple(
        _child(child, inner, local, remote, startup) for child, inner in named_children(name, table)
    )
    if local is None:
        table.complain("local", "is one address with IKEv1, not any; write it")
    method: PreSharedKey | Signer
    if isinstance(proved, Certified):
        method = _signer(table, proved)
    else:
        method = PreSharedKey(proved.octets if proved else b"")
    return Connection(
        name,
        local or NOWHERE,
        remote,
        method,
        who.v1 if who else address_identity(NOWHERE.host),
        peer.v1 if peer else None,
        phase1,
        tuple(one for one in children if one is not None),
        responder_only=table.flag("responder-only", False),
        dpd=DeadPeerDetection(table.number("dpd", 0)),
        nat=NatTraversal(force=table.flag("encapsulate", False)),
        retransmission=again,
        rekeying=Rekeying.INITIATOR if table.flag("rekeys", True) else Rekeying.NEVER,
        rekey_at=table.number("rekey-at", 0.8, least=0.01),
        delete_superseded_after=keep_rekeyed,
        initial_contact=table.flag("initial-contact", True),
    )


def _signer(table: Table, proved: Certified) -> PreSharedKey | Signer:
    try:
        return Signer(proved.chain, proved.key, proved.anchors)
    except SignatureFailure as failure:
        table.complain("private-key", f"is of no use here: {failure}")
        return PreSharedKey(b"")


def _phase1(table: Table) -> Phase1:
    found = _product(table, ike_transforms)
    lifetime = Lifetime(table.whole("life", USUAL_PHASE1), table.whole("life-kilobytes", 0))
    exchange = Phase1Mode(table.choice("exchange", ("main", "aggressive"), "main"))
    check = LifetimeCheck(table.choice("check", CHECKS, "obey"))
    accept = table.flag("accept-aggressive-psk", False)
    encryptions, hashes, groups = found or ((), (), ())
    return Phase1(encryptions, hashes, groups, lifetime, exchange, check, accept)


def _child(
    name: str,
    table: Table,
    local: Address | None,
    remote: Address | None,
    startup: dict[str, Startup],
) -> Child | None:
    found = _product(table, child_transforms)
    here = _proxy(table, "local", local)
    there = _proxy(table, "remote", remote)
    lifetime = Lifetime(table.whole("life", USUAL_PHASE2), table.whole("life-kilobytes", 0))
    transport = mode(table)
    check = LifetimeCheck(table.choice("check", CHECKS, "obey"))
    note_startup(name, table, startup)
    table.close()
    if found is None or here is None or there is None:
        return None
    encryptions, integrities, groups = found
    if len(groups) > 1:
        table.complain("proposals", "names more than one group; Quick Mode has one for PFS")
    pfs = groups[0] if groups else None
    return Child(name, here, there, encryptions, integrities, pfs, transport, lifetime, check)


def ike_transforms(text: str) -> tuple[tuple[Encryption, ...], tuple[Prf, ...],
                                       tuple[KeyExchange, ...]]:  # fmt: skip
    """Encryptions, hashes and groups of phase 1; raises `Unusable`."""
    found = _common(text)
    hashes = tuple(
        next(prf for prf in PRFS if prf.hash_id and prf.hash == mac.hash)
        for mac in found.integrities
        if any(prf.hash_id and prf.hash == mac.hash for prf in PRFS)
    )
    ciphers = [one for one in found.encryptions if one.phase1_id is not None]
    if len(ciphers) < len(found.encryptions) or len(hashes) < len(found.integrities):
        raise Unusable(f"{text!r} names an algorithm that phase 1 of IKEv1 does not have")
    if not (ciphers and hashes and found.groups):
        raise Unusable(f"{text!r} is not encryption, hash and group, as in aes256-sha256-modp2048")
    return found.encryptions, hashes, found.groups


def child_transforms(text: str) -> tuple[tuple[Encryption, ...], tuple[Integrity, ...],
                                         tuple[KeyExchange, ...]]:  # fmt: skip
    """Encryptions, integrities and groups of phase 2; raises `Unusable`."""
    found = _common(text)
    if not found.encryptions:
        raise Unusable(f"{text!r} has no encryption, as in aes256-sha256")
    if any(one.esp_id is None for one in found.encryptions) or any(
        one.auth_id is None for one in found.integrities
    ):
        raise Unusable(f"{text!r} names an algorithm that phase 2 of IKEv1 does not have")
    if not found.integrities and not all(one.combined for one in found.encryptions):
        raise Unusable(f"{text!r} has no integrity, as in aes256-sha256")
    return found.encryptions, found.integrities, found.groups


def _common(text: str) -> Transforms:
    found = transforms_in(text)
    if found.prfs or found.esn or found.additional or not all(one.ikev1 for one in found.groups):
        raise Unusable(f"{text!r} names what only IKEv2 has")
    return found


def _product(
    table: Table, make: Callable[[str], tuple[tuple[A, ...], tuple[B, ...], tuple[C, ...]]]
) -> tuple[tuple[A, ...], tuple[B, ...], tuple[C, ...]] | None:
    """The lists of which the proposals are the product; None after a complaint."""
    found = table.needed("proposals", make, "aes256-sha256-modp2048")
    if not found:
        return None
    first, second, third = (_merged(column) for column in zip(*found, strict=True))
    written = {one for each in found for one in product(*(part or (None,) for part in each))}
    if len(written) < max(1, len(first)) * max(1, len(second)) * max(1, len(third)):
        table.complain(
            "proposals",
            "of IKEv1 are a product of lists; write one, as in aes256-aes128-sha256-modp2048",
        )
    return first, second, third


def _merged(columns: Sequence[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(one for column in columns for one in column))


def _proxy(table: Table, key: str, host: Address | None) -> Identity | None:
    """What a Quick Mode's ID says of one end's traffic (RFC 2407 4.6.2)."""
    found = table.all_made(key, traffic)
    if len(found) > 1:
        table.complain(key, "is one network with IKEv1; write a child for each")
    if found:
        network = networks(found[0])[0]
        port = found[0].start_port if found[0].end_port < 65_535 else 0
        if network.num_addresses == 1:
            return address_identity(str(network.network_address), found[0].protocol, port)
        return replace(subnet_identity(str(network)), protocol=found[0].protocol, port=port)
    if host is None:
        table.complain(key, "is missing, and there is no address; add a network")
        return None
    return address_identity(host.host)
