# SPDX-License-Identifier: GPL-2.0-or-later
"""What we say of a frame, in the fields and words of tshark."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.capture.entries import Entry, Ike, Ipsec, Status
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v1 import Phase1Attribute
from harness.ike.constants_v2 import TransformType
from harness.ike.payload import Payload
from tests.capture.tshark import FIELDS, Row, opens_esp

IPV4_ADDR, FQDN, USER_FQDN, IPV4_ADDR_SUBNET, IPV6_ADDR = range(1, 6)
"""Identity types of both versions (RFC 2407 section 4.6.2.1, RFC 7296 section 3.5)."""
IPV4_RANGE, IPV6_RANGE = 7, 8
"""Types of traffic selectors (RFC 7296 section 3.13.1)."""
ISAKMP, KEY_IKE = 1, 1
"""The protocol and transform of an ISAKMP SA (RFC 2407 sections 4.4.1 and 4.4.2)."""
OF_TRANSFORM = (
    TransformType.ENCR,
    TransformType.PRF,
    TransformType.INTEG,
    TransformType.KE,
    TransformType.SN,
)
OF_PHASE_1 = (
    Phase1Attribute.ENCRYPTION_ALGORITHM,
    Phase1Attribute.HASH_ALGORITHM,
    Phase1Attribute.AUTHENTICATION_METHOD,
    Phase1Attribute.GROUP_DESCRIPTION,
    Phase1Attribute.KEY_LENGTH,
)


def seen(entry: Entry) -> Row:
    """The values of a frame for each of FIELDS."""
    row: Row = {what: [] for what in FIELDS}
    outer = entry.headers
    row["addresses"] = addresses((outer.source, outer.destination))
    row["UDP ports"] = [str(port) for port in outer.ports or ()]
    match entry.content:
        case Ike():
            row |= of_message(entry.content)
        case Ipsec(protocol="AH"):
            row |= of_ah(entry, entry.content)
        case Ipsec():
            row |= of_esp(entry, entry.content)
    return {what: [value for value in values if value] for what, values in row.items()}


def of_message(content: Ike) -> Row:
    """The header of an IKE message, and its payloads."""
    head = content.header
    row = {
        "spis": [head.initiator_spi.hex(), head.responder_spi.hex()],
        "message id": [f"0x{head.message_id:08x}"],
        "exchange": [str(head.exchange_type)],
        "flags": [f"0x{head.flags:02x}"],
    }
    if content.message is None:
        return row
    sealed = content.message.sealed
    if sealed is not None and content.status is Status.BAD_ICV:
        row["ICV of IKEv2 wrong"] = ["1"]
    row |= of_payloads(content.payloads)
    around = [str(sealed.payload_type)] if sealed else []
    return row | {"payload types": [*around, *types(content.payloads)]}


def of_ah(entry: Entry, content: Ipsec) -> Row:
    """The header of AH, and what is behind it in clear."""
    row = {
        "AH SPI": [f"0x{content.spi:08x}"],
        "AH sequence": [str(content.sequence)],
    }
    return row | of_inner(entry, content) if content.status is Status.DECRYPTED else row


def of_esp(entry: Entry, content: Ipsec) -> Row:
    """The header of ESP, and where tshark has its algorithms what is inside."""
    row = {
        "ESP SPI": [f"0x{content.spi:08x}"],
        "ESP sequence": [str(content.sequence)],
    }
    if content.status is not Status.DECRYPTED or not opens_esp(content.secret):
        return row
    number = f"0x{content.next_header:02x}"
    return row | {"ICV good": ["1"], "next header": [number]} | of_inner(entry, content)


def of_inner(entry: Entry, content: Ipsec) -> Row:
    """Addresses and ports with those of the packet inside."""
    inner, outer = content.inner, entry.headers
    assert inner is not None
    tunnel = [(inner.src, inner.dst)] if content.mode == "tunnel" else []
    own = [(inner.sport, inner.dport)] if inner.haslayer("UDP") else []
    both = [*([outer.ports] if outer.ports else []), *own]
    return {
        "addresses": addresses((outer.source, outer.destination), *tunnel),
        "UDP ports": [str(pair[side]) for side in (0, 1) for pair in both],
    }


def types(payloads: Sequence[Payload]) -> Iterator[str]:
    """Payload types as tshark counts them: with proposals and transforms of an SA."""
    for payload in payloads:
        yield str(payload.payload_type)
        if isinstance(payload, v1.SecurityAssociation | v2.SecurityAssociation):
            for proposal in payload.proposals:
                yield "2"
                yield from ["3"] * len(proposal.transforms)


def spis(payloads: Sequence[Payload]) -> Iterator[bytes]:
    """The SPIs of proposals and notifies as they come."""
    for payload in payloads:
        match payload:
            case v1.SecurityAssociation() | v2.SecurityAssociation():
                yield from (one.spi for one in payload.proposals if one.spi)
            case v1.Notification() | v2.Notify() if payload.spi:
                yield payload.spi


def of_payloads(payloads: Sequence[Payload]) -> Row:
    """What tshark has fields for, from all payloads of a message."""

    def all_of(*kinds: type) -> list[Any]:
        return [one for one in payloads if isinstance(one, kinds)]

    offers = all_of(v1.SecurityAssociation, v2.SecurityAssociation)
    exchanges = all_of(v1.KeyExchange, v2.KeyExchange)
    deletes = all_of(v1.Delete, v2.Delete)
    proofs = all_of(v2.Authentication)
    return {
        "proposed protocols": [str(one.protocol) for each in offers for one in each.proposals],
        "SPIs of proposals and notifies": [spi.hex() for spi in spis(payloads)],
        "transforms of IKEv2": list(of_transforms(all_of(v2.SecurityAssociation))),
        "transforms of phase 1": list(of_phase_1(all_of(v1.SecurityAssociation))),
        "groups": [str(one.group) for one in all_of(v2.KeyExchange)],
        "public values": [one.data.hex() for one in exchanges],
        "nonces": [one.data.hex() for one in all_of(v1.Nonce, v2.Nonce)],
        "notify types": [str(one.notify_type) for one in all_of(v1.Notification, v2.Notify)],
        "deleted protocols": [str(one.protocol) for one in deletes],
        "deleted SPIs": [spi.hex() for one in deletes for spi in one.spis],
        "vendor ids": [one.data.hex() for one in all_of(v1.VendorId, v2.VendorId)],
        "identity types": [
            str(one.id_type)
            for one in all_of(v1.Identification, v1.NatOriginalAddress, v2.Identification)
        ],
        **of_identities(all_of(v1.Identification, v2.Identification)),
        "certificate encodings": [
            str(one.encoding) for one in all_of(v1.Certificate, v2.Certificate)
        ],
        "AUTH": [*(str(one.method) for one in proofs), *(one.data.hex() for one in proofs)],
        "hashes": [one.data.hex() for one in all_of(v1.Hash)],
        "signatures": [one.data.hex() for one in all_of(v1.Signature)],
        "NAT detection of IKEv1": [one.data.hex() for one in all_of(v1.NatDetection)],
        "addresses before NAT": [
            socket.inet_ntop(family, one.data)
            for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16))
            for one in all_of(v1.NatOriginalAddress)
            if len(one.data) == size
        ],
        "traffic selectors": list(of_selectors(all_of(v2.TrafficSelectors))),
    }


def of_transforms(offers: Iterable[v2.SecurityAssociation]) -> Iterator[str]:
    """Types of transforms, then their ids by type, then lengths of keys."""
    every = [one for offer in offers for each in offer.proposals for one in each.transforms]
    yield from (str(one.type) for one in every)
    for kind in OF_TRANSFORM:
        yield from (str(one.id) for one in every if one.type == kind)
    yield from (str(one.key_length) for one in every if one.key_length is not None)


def of_phase_1(offers: Iterable[v1.SecurityAssociation]) -> Iterator[str]:
    """Attributes of the transforms that an ISAKMP SA is offered with, by type."""
    every = [
        one
        for offer in offers
        for each in offer.proposals
        if each.protocol == ISAKMP
        for one in each.transforms
        if one.id == KEY_IKE
    ]
    for kind in OF_PHASE_1:
        for one in every:
            yield from (str(each.number) for each in one.attributes if each.type == kind)
    lives = [
        each
        for one in every
        for each in one.attributes
        if each.type == Phase1Attribute.LIFE_DURATION
    ]
    # In tshark one of eight octets is another field.
    for long in (False, True):
        yield from (
            str(each.number)
            for each in lives
            if (isinstance(each.value, bytes) and len(each.value) == 8) is long
        )


def of_identities(known: Sequence[v1.Identification | v2.Identification]) -> Row:
    """Identities by type; only those of IKEv1 have a protocol and port."""
    first = [one for one in known if isinstance(one, v1.Identification)]
    hosts = [one.data for one in known if one.id_type in (IPV4_ADDR, IPV4_ADDR_SUBNET)]
    hosts6 = [one.data for one in known if one.id_type == IPV6_ADDR]
    return {
        "protocols and ports of identities": [
            *(str(one.protocol) for one in first),
            *(str(one.port) for one in first),
        ],
        "names as identities": [
            one.data.decode() for kind in (FQDN, USER_FQDN) for one in known if one.id_type == kind
        ],
        "addresses as identities": [
            *(socket.inet_ntoa(one[:4]) for one in hosts),
            *(socket.inet_ntop(socket.AF_INET6, one) for one in hosts6),
            *(socket.inet_ntoa(one[4:]) for one in hosts if len(one) == 8),
        ],
    }


def of_selectors(payloads: Iterable[Any]) -> Iterator[str]:
    """Types, protocols and ports of traffic selectors, then their addresses."""
    every = [one for payload in payloads for one in payload.selectors]
    for field in ("type", "protocol", "start_port", "end_port"):
        yield from (str(getattr(one, field)) for one in every)
    for kind, family in ((IPV4_RANGE, socket.AF_INET), (IPV6_RANGE, socket.AF_INET6)):
        for field in ("start", "end"):
            yield from (
                socket.inet_ntop(family, getattr(one, field)) for one in every if one.type == kind
            )


def addresses(*pairs: tuple[str, str]) -> list[str]:
    """Sources and destinations of IPv4, then of IPv6, each from the outside in."""
    return [
        pair[side]
        for colon in (False, True)
        for side in (0, 1)
        for pair in pairs
        if (":" in pair[side]) is colon
    ]
