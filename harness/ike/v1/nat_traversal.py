# SPDX-License-Identifier: GPL-2.0-or-later
"""NAT traversal: who knows it, and which end is translated (RFC 3947).

draft-ietf-ipsec-nat-t-ike-02 has other numbers and is else the same.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from harness.ike import vendor_ids
from harness.ike.address import Address, Path
from harness.ike.chance import Draw, Purpose
from harness.ike.constants_v1 import EncapsulationMode as Mode
from harness.ike.constants_v1 import PayloadType
from harness.ike.payload import Payload, every
from harness.ike.payloads_v1 import NatDetection, VendorId
from harness.ike.prfs import hash_output
from harness.ike.transforms import Prf

OFFERED = (vendor_ids.RFC_3947, vendor_ids.NAT_T_DRAFT_02_NEWLINE)
"""The vendor ids that an initiator sends, the best first."""

_DRAFTS = frozenset({vendor_ids.NAT_T_DRAFT_02_NEWLINE, vendor_ids.NAT_T_DRAFT_02})


@dataclass(frozen=True, slots=True)
class NatSituation:
    """Which ends a NAT translates, and whether the peer could tell at all, by the draft or not."""

    local: bool = False
    remote: bool = False
    supported: bool = False
    draft: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a NAT at either end, so that everything goes to port 4500."""
        return self.local or self.remote

    @property
    def payload_type(self) -> int:
        """The number of NAT-D."""
        return PayloadType.NAT_D_DRAFT if self.draft else PayloadType.NAT_D

    def mode(self, transport: bool) -> int:
        """The Encapsulation Mode of an IPsec SA on this path (RFC 3947 5.1)."""
        if not self.present:
            return Mode.TRANSPORT if transport else Mode.TUNNEL
        if self.draft:
            return (
                Mode.UDP_ENCAPSULATED_TRANSPORT_DRAFT
                if transport
                else Mode.UDP_ENCAPSULATED_TUNNEL_DRAFT
            )
        return Mode.UDP_ENCAPSULATED_TRANSPORT if transport else Mode.UDP_ENCAPSULATED_TUNNEL


def best_vendor_id(payloads: Iterable[Payload]) -> bytes | None:
    """The best of the NAT-T vendor ids in a message that is known here too, or None."""
    marks = {vendor.data for vendor in every(payloads, VendorId)}
    for known in (*OFFERED, vendor_ids.NAT_T_DRAFT_02):
        if known in marks:
            return known
    return None


def situation_of(mark: bytes | None) -> NatSituation:
    """What is known once the vendor ids are: whether to detect, and in which numbers."""
    return NatSituation(supported=mark is not None, draft=mark in _DRAFTS)


def address_hash(digest: Prf, cookies: bytes, address: Address) -> bytes:
    """HASH(CKY-I | CKY-R | IP | Port) with the negotiated hash (RFC 3947 3.2)."""
    octets = cookies + address.packed + address.port.to_bytes(2, "big")
    return hash_output(digest, octets)


def detection_payloads(
    situation: NatSituation, digest: Prf, cookies: bytes, path: Path, force: bool, draw: Draw
) -> tuple[NatDetection, ...]:
    """NAT-D of the peer's address and then of the own one, or nothing without support.

    `force` sends noise for the own address, so that the peer finds a NAT before this end.
    """
    if not situation.supported:
        return ()
    kind = situation.payload_type
    own = address_hash(digest, cookies, path.local)
    if force:
        own = draw(Purpose.NAT_DISGUISE, len(own))
    return (
        NatDetection(address_hash(digest, cookies, path.remote), kind),
        NatDetection(own, kind),
    )


def detected(
    situation: NatSituation,
    payloads: Iterable[Payload],
    digest: Prf,
    cookies: bytes,
    path: Path,
    force: bool,
) -> NatSituation:
    """What the peer's NAT-D payloads say: first of this end's address, then of its own ones.

    Without two of them the peer does not support it after all. `force` counts as translated.
    """
    hashes = [each.data for each in every(payloads, NatDetection, situation.payload_type)]
    if not situation.supported or len(hashes) < 2:
        return NatSituation()
    local = address_hash(digest, cookies, path.local)
    remote = address_hash(digest, cookies, path.remote)
    return NatSituation(
        local=force or not hmac.compare_digest(hashes[0], local),
        remote=not any(hmac.compare_digest(each, remote) for each in hashes[1:]),
        supported=True,
        draft=situation.draft,
    )
