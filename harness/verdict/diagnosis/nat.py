# SPDX-License-Identifier: GPL-2.0-or-later
"""What NAT detection said: whose address is not the one that its packets have (RFC 7296 2.23)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.ike import constants_v1 as n1
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.address import Address
from harness.ike.constants_v2 import NotifyType
from harness.ike.transforms import Prf, UnknownAlgorithm, prf_by_hash_id
from harness.ike.v1 import nat_traversal
from harness.ike.v2 import nat_detection
from harness.verdict.diagnosis.negotiations import Message, Negotiation

SOURCE, DESTINATION = NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP


def situation(negotiation: Negotiation) -> str:
    """A clause that says whom a NAT translates by the hashes; empty where none does.

    The capture may have been taken on either side of a NAT, and an end may forge its hash to get
    UDP encapsulation: a hash only proves that the address on this wire is not the one it was made
    with.
    """
    told = []
    seen = ((one, entry) for one in negotiation.messages for entry in (one.entry, *one.onward))
    for message, entry in seen:
        hashes, ports = _hashes(negotiation, message), entry.headers.ports
        if hashes is None or ports is None:
            continue
        ends = (
            Address(entry.headers.source, ports[0]),
            Address(entry.headers.destination, ports[1]),
        )
        of_source, of_destination = hashes
        if _hash(negotiation, message, ends[0]) not in of_source:
            told.append(_translated(message.sender, ends[0], message))
        if _hash(negotiation, message, ends[1]) not in of_destination:
            told.append(_translated(message.receiver, ends[1], message))
    return "; ".join(dict.fromkeys(told))


def _translated(node: str, address: Address, message: Message) -> str:
    return (
        f"a NAT translates {node}, or it forces UDP encapsulation: the NAT detection hash of "
        f"{message.sender} is not made with {address.host} port {address.port}"
    )


Hashes = tuple[Sequence[bytes], Sequence[bytes]]


def _hashes(negotiation: Negotiation, message: Message) -> Hashes | None:
    """The hashes of the sender's own addresses and of the receiver's, None without both."""
    if negotiation.version == 2:
        notifies = message.all(v2.Notify)
        sources = [one.data for one in notifies if one.notify_type == SOURCE]
        destinations = [one.data for one in notifies if one.notify_type == DESTINATION]
    else:
        found = [one.data for one in message.all(v1.NatDetection)]
        destinations, sources = found[:1], found[1:]
    return (sources, destinations) if sources and destinations else None


def _hash(negotiation: Negotiation, message: Message, address: Address) -> bytes:
    header = message.ike.header
    if negotiation.version == 2:
        return nat_detection.address_hash(header.initiator_spi, header.responder_spi, address)
    prf = _negotiated(negotiation)
    if prf is None:
        return b""
    return nat_traversal.address_hash(prf, header.initiator_spi + header.responder_spi, address)


def _negotiated(negotiation: Negotiation) -> Prf | None:
    for message in negotiation.messages[1:2]:
        association = message.one(v1.SecurityAssociation)
        for proposal in association.proposals if association else ():
            for transform in proposal.transforms:
                number = transform.number_of(n1.Phase1Attribute.HASH_ALGORITHM)
                try:
                    return prf_by_hash_id(number or 0)
                except UnknownAlgorithm:
                    return None
    return None
