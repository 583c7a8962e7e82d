# SPDX-License-Identifier: GPL-2.0-or-later
"""CREATE_CHILD_SA requests that are unusual or cannot be granted, under an IKE SA that stays."""

from dataclasses import replace
from ipaddress import ip_network

from cryptography.hazmat.primitives.asymmetric import ec

from harness.capture.exchanges import CreateChild, Rekey
from harness.ike.constants_v2 import ExchangeType, NotifyType, PayloadType, ProtocolId
from harness.ike.constants_v2 import TransformType as Type
from harness.ike.payload import CRITICAL, RawPayload
from harness.ike.payloads_v2 import Delete, KeyExchange, Notify
from harness.ike.sa_v2 import Transform
from harness.ike.script import with_payloads, without
from harness.ike.traffic_selectors import TrafficSelector, TrafficSelectors
from harness.ike.transforms import key_exchange
from harness.ike.v2.script import Change
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET
from scenarios.conformance.changes import (
    Proposals,
    chosen,
    reordered,
    unknown,
    with_each,
    with_proposals,
)
from scenarios.conformance.prober import Prober, notifies
from scenarios.conformance.requests import KEY_LENGTH, REQUEST, SPI
from scenarios.conformance.rules import Rules

CREATE_CHILD_SA = ExchangeType.CREATE_CHILD_SA
UNKNOWN_PAYLOAD, ANY_STATUS = 200, 40_999
MANY = 40
NOBODYS_SPI = bytes.fromhex("0badcafe")
ELSEWHERE = TrafficSelector.of(ip_network("10.77.0.0/16"))
POINT = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_numbers()
A_POINT = POINT.x.to_bytes(32) + POINT.y.to_bytes(32)
ECP_256, X25519 = key_exchange("ECP_256").id, key_exchange("X25519").id


@scenario(
    "conformance-create-child",
    "A CREATE_CHILD_SA request that cannot be granted is refused by name, and all else stays.",
    rfc="7296 1.3",
)
def test_create_child(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_child(proposals=("aes128gcm16",))).established()
    with Rules(lab, sun) as rule:
        with rule("unknown-transforms-in-first-proposal", rfc="7296 3.3.6"):
            changed = with_proposals(lambda own: (unknown(own[0], Type.ENCR), *own))
            assert made(prober, changed) == 2
        with rule("unknown-transform-beside-known", rfc="7296 3.3.6"):
            assert made(prober, with_proposals(also_unknown)) == 1
        with rule("last-of-many-proposals", rfc="7296 3.3"):
            many = with_proposals(lambda own: (unknown(own[0], Type.ENCR),) * MANY + own)
            assert made(prober, many) == MANY + 1
        with rule("payloads-in-another-order", rfc="7296 2.5"):
            assert made(prober, reordered) == 1
        with rule("unknown-notify", rfc="7296 3.10.1"):
            assert made(prober, with_payloads(Notify(ANY_STATUS, b"?"))) == 1
        with rule("no-known-proposal", rfc="7296 1.3.1"):
            refused = with_proposals(lambda own: (unknown(own[0], Type.ENCR),))
            assert ask(prober, refused).error == "NO_PROPOSAL_CHOSEN"
        with rule("traffic-of-nobody", rfc="7296 2.9"):
            changed = with_each(TrafficSelectors, lambda own: replace(own, selectors=(ELSEWHERE,)))
            assert ask(prober, changed).error == "TS_UNACCEPTABLE"
        with rule("unknown-critical-payload", rfc="7296 2.5"):
            answer = ask(prober, with_payloads(RawPayload(UNKNOWN_PAYLOAD, b"?", CRITICAL)))
            unsupported = ("UNSUPPORTED_CRITICAL_PAYLOAD", bytes([UNKNOWN_PAYLOAD]))
            assert notifies(answer) == [unsupported]
        with rule("rekey-of-unknown-spi", rfc="7296 2.25.1"):
            rekey = Notify(NotifyType.REKEY_SA, protocol=ProtocolId.ESP, spi=NOBODYS_SPI)
            answer = ask(prober, with_payloads(rekey))
            assert answer == Rekey(int.from_bytes(NOBODYS_SPI), error="CHILD_SA_NOT_FOUND")
        with rule("all-survive", rfc="7296 1.3"):
            assert prober.goes_on() == []


@scenario(
    "conformance-malformed",
    "A request that is no CREATE_CHILD_SA at all is answered INVALID_SYNTAX, and ends the IKE SA.",
    rfc="7296 2.21.3",
)
def test_malformed(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_child(proposals=("aes128gcm16",))).established()
    with Rules(lab, sun) as rule:
        with rule("invalid-syntax", rfc="7296 2.21.3"):
            assert prober.breaks(*REQUEST, exchange=CREATE_CHILD_SA, change=without_nonce) == [
                ("INVALID_SYNTAX", b"")
            ]
        # Nobody needs to be told so by a Delete.
        with rule("ends-the-ike-sa", rfc="7296 2.21.3"):
            assert list(prober.net.sun.sas()) == []


@scenario(
    "conformance-group-of-child",
    "A group that a CHILD_SA must have, and that a request does not have, is asked for.",
    rfc="7296 1.3",
)
def test_group_of_child(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_child(proposals=("aes128gcm16-x25519",)))
    prober.established()
    with Rules(lab, sun) as rule:
        with rule("ke-of-another-group", rfc="7296 1.3"):
            both = with_groups(X25519, ECP_256)
            other = with_payloads(KeyExchange(ECP_256, A_POINT))
            answer = ask(prober, lambda plain: other(both(plain)))
            assert notifies(answer) == [("INVALID_KE_PAYLOAD", X25519.to_bytes(2))]
        with rule("group-that-is-not-offered", rfc="7296 2.7"):
            assert ask(prober, lambda plain: plain).error == "NO_PROPOSAL_CHOSEN"
        with rule("group-without-ke", rfc="7296 1.3"):
            answer = ask(prober, with_groups(X25519))
            assert answer.error in ("INVALID_KE_PAYLOAD", "INVALID_SYNTAX")
        with rule("all-survive", rfc="7296 1.3"):
            assert prober.goes_on() == []


without_nonce = without(PayloadType.NONCE)


def ask(prober: Prober, change: Change) -> CreateChild | Rekey:
    answer = prober.ask(*REQUEST, exchange=CREATE_CHILD_SA, change=change)
    assert isinstance(answer, CreateChild | Rekey)
    return answer


def made(prober: Prober, change: Change) -> int:
    """The number of the proposal that sun took; the CHILD_SA is deleted again."""
    answer = ask(prober, change)
    assert answer.error == ""
    prober.ask(Delete(ProtocolId.ESP, (SPI,)))
    return chosen(answer.about.response).number


def also_unknown(own: Proposals) -> Proposals:
    """The proposal with one transform more, which nobody knows, in front."""
    transforms = (Transform(Type.ENCR, 1_023, KEY_LENGTH), *own[0].transforms)
    return (replace(own[0], transforms=transforms),)


def with_groups(*groups: int) -> Change:
    """A change that offers these groups too."""
    more = tuple(Transform(Type.KE, group) for group in groups)
    return with_proposals(
        lambda own: tuple(replace(one, transforms=one.transforms + more) for one in own)
    )
