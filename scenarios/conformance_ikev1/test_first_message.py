# SPDX-License-Identifier: GPL-2.0-or-later
"""First messages of Main Mode that are unusual or wrong, each under a cookie of its own."""

from __future__ import annotations

from dataclasses import replace

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import Flag, PayloadType, ProtocolId, Situation
from harness.ike.constants_v1 import Phase1Attribute as A
from harness.ike.payload import RawPayload
from harness.ike.payloads_v1 import SecurityAssociation, VendorId
from harness.ike.script import with_header, with_payloads, without
from harness.ike.v1.script import Change
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.changes import with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance_ikev1.changes import (
    UNKNOWN,
    Attributes,
    chosen,
    numbered,
    with_attributes,
    with_proposals,
    with_sa,
    with_transforms,
)
from scenarios.conformance_ikev1.prober import Prober
from scenarios.conformance_ikev1.requests import LIFE, OFFER, SUITE

MANY = 40
RESERVED_TYPE = 100
"""A payload type that is none, not even for private use (RFC 2408 3.1)."""
UNKNOWN_TRANSFORM = replace(OFFER, id=UNKNOWN)
UNKNOWN_CIPHER = replace(
    OFFER, attributes=(*LIFE, Attribute(A.ENCRYPTION_ALGORITHM, 65_001), *SUITE[1:])
)
TAKES_ANY = {"strongswan": "it takes any transform of the ISAKMP protocol for KEY_IKE"}
TAKES_IT = {"strongswan": "it answers as if that were right"}


@scenario(
    "conformance-ikev1-first-message",
    "A first message of Main Mode that is wrong anywhere is not answered with a second one.",
    rfc="2408 5.2",
)
def test_ikev1_first_message(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("as-it-should-be", rfc="2409 5.4"):
            assert set(chosen(prober.opens()).attributes) == set(OFFER.attributes)
        with rule("cookie-of-initiator-zero", rfc="2408 2.5.3"):
            prober.shuns(with_header(initiator_spi=bytes(8)))
        with rule("cookie-of-responder-unknown", rfc="2408 5.2"):
            prober.shuns(with_header(responder_spi=b"somebody"))
        with rule("major-version", rfc="2408 5.2"):
            prober.shuns(with_header(version=0x30))
        with rule("minor-version", rfc="2408 3.1", deviates=TAKES_IT):
            prober.shuns(with_header(version=0x11))
        with rule("exchange-type-unknown", rfc="2408 5.2"):
            prober.shuns(with_header(exchange=UNKNOWN))
        with rule("encryption-flag", rfc="2408 5.2"):
            prober.shuns(with_header(flags=int(Flag.ENCRYPTION)))
        with rule("flags-unknown", rfc="2408 5.2", deviates=TAKES_IT):
            prober.shuns(with_header(flags=0xF8))
        with rule("message-id-not-zero", rfc="2408 3.1"):
            prober.shuns(with_header(message_id=1))
        with rule("length-beyond-datagram", rfc="2408 5.1", deviates=TAKES_IT):
            prober.shuns(with_header(length=4_000))
        with rule("length-short-of-datagram", rfc="2408 5.1", deviates=TAKES_IT):
            prober.shuns(with_header(length=40))
        with rule("reserved-octet-of-payload", rfc="2408 5.3", deviates=TAKES_IT):
            prober.shuns(with_each(VendorId, lambda own: replace(own, flags=1)))
        with rule("payload-type-unknown", rfc="2408 5.3", deviates=TAKES_IT):
            prober.shuns(with_payloads(RawPayload(RESERVED_TYPE, b"?")))
        with rule("no-sa", rfc="2409 5.4"):
            prober.shuns(without(PayloadType.SA))
        with rule("sa-cut-off", rfc="2408 5.4"):
            prober.shuns(with_each(SecurityAssociation, cut))
        with rule("doi-unknown", rfc="2408 5.4"):
            prober.shuns(with_sa(doi=77, situation=None))
        with rule("situation-unknown", rfc="2407 4.2", deviates=TAKES_IT):
            prober.shuns(with_sa(situation=int(Situation.IDENTITY_ONLY) | 0x40))
        with rule("first-message-repeated", rfc="2408 5.1"):
            prober.repeats_its_answer()


@scenario(
    "conformance-ikev1-phase1-proposals",
    "Of unusual proposals the responder takes the first that it can, and sends it back as it came.",
    rfc="2408 4.2",
)
def test_ikev1_phase1_proposals(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("unknown-transform-first", rfc="2408 5.6", deviates=TAKES_ANY):
            more = with_transforms(lambda own: numbered(UNKNOWN_TRANSFORM, *own))
            assert chosen(prober.opens(more)).number == 2
        with rule("unknown-cipher-first", rfc="2408 4.2"):
            more = with_transforms(lambda own: numbered(UNKNOWN_CIPHER, *own))
            assert chosen(prober.opens(more)).number == 2
        with rule("last-of-many-transforms", rfc="2408 3.6"):
            many = with_transforms(lambda own: numbered(*[UNKNOWN_CIPHER] * MANY, *own))
            assert chosen(prober.opens(many)).number == MANY + 1
        with rule("transform-numbers-with-gaps", rfc="2408 3.6"):
            gaps = with_transforms(
                lambda own: (replace(UNKNOWN_CIPHER, number=3), replace(own[0], number=200))
            )
            assert chosen(prober.opens(gaps)).number == 200
        with rule("nothing-that-is-known", rfc="2408 5.4"):
            prober.shuns(with_transforms(lambda own: (UNKNOWN_CIPHER,)))
        # What is in it is the cookies' business, whatever its size.
        for size in (8, 16):
            with rule(f"spi-of-{size}-octets", rfc="2408 3.5"):
                spi = with_proposals(lambda own, size=size: (replace(own[0], spi=bytes(size)),))
                assert chosen(prober.opens(spi)).number == 1
        with rule("protocol-of-ipsec", rfc="2408 5.5"):
            esp = ProtocolId.IPSEC_ESP
            prober.shuns(with_proposals(lambda own: (replace(own[0], protocol=esp),)))
        with rule("transform-count-wrong", rfc="2408 5.5"):
            prober.shuns(with_proposals(lambda own: (replace(own[0], transform_count=2),)))
        with rule("attributes-in-another-order", rfc="2408 3.6"):
            assert chosen(prober.opens(with_attributes(suite_first))).number == 1
        for name, value in DURATIONS.items():
            with rule(f"life-duration-{name}", rfc="2409 A"):
                assert chosen(prober.opens(lasting(value))).number == 1
        with rule("two-lifetimes", rfc="2409 A"):
            assert chosen(prober.opens(with_attributes(also_kilobytes))).number == 1


DURATIONS: dict[str, int | bytes] = {
    "basic": 3_600,
    "of-2-octets": (3_600).to_bytes(2),
    "of-3-octets": (86_400).to_bytes(3),
    "of-4-octets": (86_400).to_bytes(4),
    "of-8-octets": (86_400).to_bytes(8),
}
"""An integer is of the basic form, octets of the variable one (RFC 2408 3.3)."""


def lasting(value: int | bytes) -> Change:
    """A change that gives every transform this life duration."""
    return with_attributes(lambda own: (own[0], Attribute(A.LIFE_DURATION, value), *own[2:]))


def also_kilobytes(own: Attributes) -> Attributes:
    more = (Attribute(A.LIFE_TYPE, 2), Attribute(A.LIFE_DURATION, 50_000))
    return (*own[:2], *more, *own[2:])


def suite_first(own: Attributes) -> Attributes:
    return (*own[2:], *own[:2])


def cut(own: SecurityAssociation) -> RawPayload:
    return RawPayload(PayloadType.SA, own.body()[:-6])
