# SPDX-License-Identifier: GPL-2.0-or-later
"""A `Side` as a SEIL's configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from harness.ike.transforms import (
    Dialect,
    Encryption,
    Integrity,
    KeyExchange,
    UnknownAlgorithm,
    encryption_named,
    integrity_named,
    key_exchange_named,
)
from harness.peers.connection import PreSharedKey, Side
from harness.peers.contract import Unsupported

REKEYED_AT = 0.8
"""The part of a lifetime after which a SEIL replaces an SA."""
TUNNEL = "interface.ipsec0"


@dataclass(frozen=True)
class _Lists:
    """Algorithms of several proposals, each once."""

    encryptions: tuple[Encryption, ...]
    integrities: tuple[Integrity, ...]
    groups: tuple[KeyExchange, ...]


def seil_text(side: Side) -> str:
    """The configuration; raises `Unsupported` for what a SEIL does not have."""
    return "".join(f"{key} : {value}\n" for key, value in _lines(side))


def _lines(side: Side) -> Iterator[tuple[str, object]]:
    ike, child = side.ike, side.child
    if ike.version != 1:
        raise Unsupported("a SEIL has IKEv1 only; give the connection version 1")
    if not isinstance(side.authentication, PreSharedKey):
        raise Unsupported("a SEIL has preshared keys only, and no certificates")
    if child.mode != "tunnel":
        raise Unsupported("a SEIL's tunnel interface has no transport mode")
    if len(side.local.subnets) > 1 or len(side.remote.subnets) > 1:
        raise Unsupported("a SEIL's tunnel interface has one network at each end")
    yield f"{TUNNEL}.preshared-key", side.authentication.secret
    yield f"{TUNNEL}.ipv4.source", side.local.address
    yield f"{TUNNEL}.ipv4.destination", side.remote.address
    if side.local.identity != side.local.address:
        yield f"{TUNNEL}.ike.my-identifier", side.local.identity.removeprefix("@")
    yield f"{TUNNEL}.ike.peers-identifier", side.remote.identity.removeprefix("@")
    if not ike.dpd_delay:
        yield f"{TUNNEL}.ike.dpd", "disable"
    else:
        yield "ike.dpd-interval", ike.dpd_delay
    if ike.force_encapsulation:
        yield f"{TUNNEL}.nat-traversal", "force"
    yield from _phase1(side)
    yield from _phase2(side)


def _phase1(side: Side) -> Iterator[tuple[str, object]]:
    stem = f"{TUNNEL}.ike.proposal.phase1"
    lists = _lists(side.ike.proposals, "IKE")
    for number, cipher in enumerate(lists.encryptions):
        yield f"{stem}.encryption.{number}.algorithm", _word(cipher)
    for number, mac in enumerate(lists.integrities):
        yield f"{stem}.hash.{number}.algorithm", _word(mac).removeprefix("hmac-")
    if len(lists.groups) != 1:
        raise Unsupported("a SEIL has exactly one Diffie-Hellman group for phase 1")
    yield f"{stem}.dh-group", _word(lists.groups[0])
    replaced = side.ike.reauth or side.ike.rekey
    if replaced:
        yield f"{stem}.lifetime", round(replaced / REKEYED_AT)


def _phase2(side: Side) -> Iterator[tuple[str, object]]:
    stem = f"{TUNNEL}.ike.proposal.phase2"
    lists = _lists(side.child.proposals, "ESP")
    for number, cipher in enumerate(lists.encryptions):
        yield f"{stem}.encryption.{number}.algorithm", _word(cipher)
    for number, mac in enumerate(lists.integrities):
        yield f"{stem}.authentication.{number}.algorithm", _word(mac)
    if len(lists.groups) > 1:
        raise Unsupported("a SEIL has at most one Diffie-Hellman group for phase 2")
    for group in lists.groups:
        yield f"{stem}.pfs-group", _word(group)
    if side.child.life:
        yield f"{stem}.lifetime-of-time", side.child.life
    for end, own in (("local", side.local), ("remote", side.remote)):
        yield f"{stem}.proxy-id.ipv4.{end}", own.subnets[0] if own.subnets else f"{own.address}/32"


def _word(record: Encryption | Integrity | KeyExchange) -> str:
    if record.names.seil is None:
        raise Unsupported(f"a SEIL has no {record.name}")
    return record.names.seil


def _lists(proposals: Sequence[str], what: str) -> _Lists:
    """The lists whose product the proposals are, in order."""
    read = [_proposal(proposal) for proposal in proposals]
    lists = _Lists(
        tuple(dict.fromkeys(one[0] for one in read)),
        tuple(dict.fromkeys(one[1] for one in read)),
        tuple(dict.fromkeys(one[2] for one in read if one[2] is not None)),
    )
    if list(product(lists.encryptions, lists.integrities)) != [one[:2] for one in read]:
        raise Unsupported(
            f"a SEIL offers every encryption with every hash; its {what} proposals are no such list"
        )
    return lists


def _proposal(proposal: str) -> tuple[Encryption, Integrity, KeyExchange | None]:
    words = proposal.split("-")
    try:
        cipher = encryption_named(Dialect.STRONGSWAN, words[0])
        mac = integrity_named(Dialect.STRONGSWAN, words[1])
        group = key_exchange_named(Dialect.STRONGSWAN, words[2]) if len(words) == 3 else None
    except (UnknownAlgorithm, IndexError):
        raise Unsupported(f"a SEIL has no proposal {proposal}") from None
    if len(words) > 3:
        raise Unsupported(f"a SEIL has no proposal {proposal}")
    return cipher, mac, group
