# SPDX-License-Identifier: GPL-2.0-or-later
"""First messages of Quick Mode that are unusual or wrong, under an ISAKMP SA that stays."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import EncapsulationMode, Flag, PayloadType, ProtocolId
from harness.ike.constants_v1 import IpsecAttribute as A
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import (
    Identification,
    Nonce,
    Notification,
    Proposal,
    SecurityAssociation,
    Transform,
)
from harness.ike.script import with_header, with_payloads, without
from harness.ike.transforms import key_exchange
from harness.ike.v1.identity import subnet_identity
from harness.ike.v1.script import Change
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.conformance.changes import with_all, with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance_ikev1.changes import (
    UNKNOWN,
    Attributes,
    Proposals,
    Transforms,
    chosen,
    numbered,
    with_attributes,
    with_proposals,
    with_sa,
    with_transforms,
)
from scenarios.conformance_ikev1.prober import QUICK, Prober
from scenarios.conformance_ikev1.requests import NAME, QUICK_REQUEST

MANY = 40
ANY_STATUS = 40_999
HMAC_SHA1 = Attribute(A.AUTHENTICATION_ALGORITHM, 2)
ENCRYPTED = int(Flag.ENCRYPTION)
TAKES_IT = {"strongswan": "it makes the SAs as if that were right"}


@scenario(
    "conformance-ikev1-quick-mode",
    "A Quick Mode that cannot be granted makes nothing, one that is only unusual is granted.",
    rfc="2409 5.5",
)
def test_ikev1_quick_mode(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established(child=None)
    quick = prober.quick_mode
    with Rules(lab, sun) as rule:
        with rule("payloads-in-another-order", rfc="2409 5.5"):
            assert quick(with_all(nonce_last)) == ""
        with rule("unknown-notify", rfc="2408 5.14"):
            assert quick(with_payloads(Notification(ANY_STATUS, b"?"))) == ""
        with rule("commit-bit", rfc="2408 3.1"):
            assert quick(with_header(flags=ENCRYPTED | Flag.COMMIT)) == ""
        with rule("no-nonce", rfc="2409 5.5"):
            assert quick(without(PayloadType.NONCE)) != ""
        with rule("nonce-too-short", rfc="2409 5"):
            assert quick(with_each(Nonce, lambda own: replace(own, data=own.data[:7]))) != ""
        with rule("no-sa", rfc="2409 5.5"):
            assert quick(without(PayloadType.SA)) != ""
        with rule("identities-of-nobody", rfc="2409 5.5"):
            assert quick(with_each(Identification, elsewhere)) != ""
        with rule("one-identity", rfc="2409 5.5"):
            assert quick(with_all(lambda own: own[:-1])) != ""
        with rule("situation-unknown", rfc="2407 4.2", deviates=TAKES_IT):
            assert quick(with_sa(situation=0x41)) != ""
        with rule("reserved-octet-of-payload", rfc="2408 5.3", deviates=TAKES_IT):
            assert quick(with_each(Nonce, lambda own: replace(own, flags=1))) != ""
        with rule("all-survive", rfc="2409 5.5"):
            prober.goes_on(children=0)


@scenario(
    "conformance-ikev1-phase2-proposals",
    "Of unusual proposals the responder takes the first that it can, and none that conflicts.",
    rfc="2407 4.5",
)
def test_ikev1_phase2_proposals(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established(child=None)
    with Rules(lab, sun) as rule:
        with rule("unknown-transform-first", rfc="2408 5.6"):
            assert taken(prober, with_transforms(lambda own: numbered(unknown(own), *own))) == 2
        with rule("last-of-many-transforms", rfc="2408 3.6"):
            many = with_transforms(lambda own: numbered(*[unknown(own)] * MANY, *own))
            assert taken(prober, many) == MANY + 1
        with rule("transform-numbers-with-gaps", rfc="2408 3.6"):
            gaps = with_transforms(
                lambda own: (replace(unknown(own), number=3), replace(own[0], number=200))
            )
            assert taken(prober, gaps) == 200
        # AH with ESP is one choice, ESP alone the other.
        with rule("bundle-first", rfc="2408 4.2"):
            assert taken(prober, with_proposals(also_in_a_bundle)) == 1
        with rule("nothing-that-is-known", rfc="2408 5.4"):
            assert prober.quick_mode(with_transforms(lambda own: (unknown(own),))) != ""
        with rule("attributes-in-another-order", rfc="2408 3.6"):
            assert taken(prober, with_attributes(lambda own: (*own[2:], *own[:2]))) == 1
        for name, value in DURATIONS.items():
            with rule(f"life-duration-{name}", rfc="2407 4.5"):
                assert taken(prober, with_attributes(partial(lasting, value))) == 1
        with rule("two-lifetimes", rfc="2407 4.5.2"):
            assert taken(prober, with_attributes(also_kilobytes)) == 1
        with rule("attribute-twice-with-one-value", rfc="2407 4.5.2"):
            assert taken(prober, with_attributes(lambda own: (*own, own[2]))) == 1
        with rule("conflicting-modes", rfc="2407 4.5.2", deviates=TAKES_IT):
            transport = Attribute(A.ENCAPSULATION_MODE, EncapsulationMode.TRANSPORT)
            assert prober.quick_mode(with_attributes(lambda own: (*own, transport))) != ""
        with rule("conflicting-algorithms", rfc="2407 4.5.2", deviates=TAKES_IT):
            assert prober.quick_mode(with_attributes(lambda own: (*own, HMAC_SHA1))) != ""
        with rule("attribute-not-supported", rfc="2407 4.5.3", deviates=TAKES_IT):
            rounds = Attribute(A.KEY_ROUNDS, 3)
            assert prober.quick_mode(with_attributes(lambda own: (*own, rounds))) != ""
        with rule("group-without-ke", rfc="2409 5.5"):
            group = Attribute(A.GROUP_DESCRIPTION, key_exchange("MODP_2048").id)
            assert prober.quick_mode(with_attributes(lambda own: (*own, group))) != ""
        with rule("spi-of-2-octets", rfc="2408 5.5"):
            assert prober.quick_mode(with_spi(b"\x12\x34")) != ""
        with rule("all-survive", rfc="2409 5.5"):
            prober.goes_on(children=0)


@scenario(
    "conformance-ikev1-spi-zero",
    "An SPI of zero, which no packet may have, is not agreed on.",
    rfc="4303 2.1",
)
def test_ikev1_spi_zero(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established(child=None)
    with Rules(lab, sun) as rule, rule("spi-zero", rfc="4303 2.1", deviates=TAKES_IT):
        is_not_begun(prober, change=with_spi(bytes(4)))


@scenario(
    "conformance-ikev1-message-id",
    "A Message ID that a Quick Mode has had is not taken for another one.",
    rfc="2408 3.1",
)
def test_ikev1_message_id(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established()
    earlier = prober.said("QUICK_MODE")[0].message_id
    with Rules(lab, sun) as rule, rule("message-id-used-before", rfc="2408 3.1"):
        is_not_begun(prober, message_id=earlier, children=1)


@scenario(
    "conformance-ikev1-third-message",
    "A responder that misses the third message of a Quick Mode repeats the second, and gets it.",
    rfc="2408 5.1",
    needs=("esp",),
)
def test_ikev1_third_message(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun).established(child=None)
    lost = prober.script.sent(exchange=QUICK, skip=1)
    lost.drop()
    with Rules(lab, sun) as rule:
        with rule("third-message-lost", rfc="2408 5.1"):
            prober.net.moon.initiate(NAME)
            prober.net.sun.await_up(NAME)
            assert lost.met >= 2, "no third message was lost"
            seconds = [one.data for one in prober.said("QUICK_MODE")]
            assert len(seconds) >= 2, "the second message did not come again"
            assert len(set(seconds)) == 1, "the second message came again as another one"
        with rule("all-survive", rfc="2409 5.5"):
            prober.goes_on()


def is_not_begun(
    prober: Prober,
    *,
    change: Change | None = None,
    message_id: int | None = None,
    children: int = 0,
) -> None:
    """Check that sun does not answer a first message of Quick Mode, and goes on."""
    prober.forge(*QUICK_REQUEST, exchange=QUICK, change=change, message_id=message_id)
    try:
        heard = [one.exchange for one in prober.goes_on(children=children)]
        assert QUICK.name not in heard, "sun answers"
    except AssertionError:
        # It has half of what was asked for, which nobody will complete or delete.
        prober.net.sun.crash()
        raise


DURATIONS: dict[str, int | bytes] = {
    "basic": 3_600,
    "of-2-octets": (3_600).to_bytes(2),
    "of-3-octets": (86_400).to_bytes(3),
    "of-4-octets": (86_400).to_bytes(4),
    "of-8-octets": (86_400).to_bytes(8),
}
"""An integer is of the basic form, octets of the variable one (RFC 2408 3.3)."""


def taken(prober: Prober, change: Change) -> int:
    """The number of the transform that sun took."""
    refused_with = prober.quick_mode(change)
    assert refused_with == "", f"refused with {refused_with}"
    return chosen(prober.last_answer).number


def nonce_last(own: tuple[Payload, ...]) -> tuple[Payload, ...]:
    return tuple(sorted(own, key=lambda one: isinstance(one, Nonce)))


def nonce_first(own: tuple[Payload, ...]) -> tuple[Payload, ...]:
    return tuple(sorted(own, key=lambda one: not isinstance(one, Nonce)))


def elsewhere(own: Identification) -> Identification:
    return replace(own, data=subnet_identity("10.77.0.0/16").data)


def unknown(own: Transforms) -> Transform:
    return replace(own[0], id=UNKNOWN)


def also_in_a_bundle(own: Proposals) -> Proposals:
    """AH and ESP as proposal 1, and ESP alone as proposal 2."""
    (esp,) = own
    authentication = replace(esp.transforms[0], id=5)
    ah = Proposal(1, ProtocolId.IPSEC_AH, esp.spi, (authentication,))
    return (ah, esp, replace(esp, number=2))


def lasting(value: int | bytes, own: Attributes) -> Attributes:
    return (own[0], Attribute(A.SA_LIFE_DURATION, value), *own[2:])


def also_kilobytes(own: Attributes) -> Attributes:
    more = (Attribute(A.SA_LIFE_TYPE, 2), Attribute(A.SA_LIFE_DURATION, 50_000))
    return (*own[:2], *more, *own[2:])


def with_spi(spi: bytes) -> Change:
    return with_each(
        SecurityAssociation,
        lambda own: replace(own, proposals=tuple(replace(one, spi=spi) for one in own.proposals)),
    )
