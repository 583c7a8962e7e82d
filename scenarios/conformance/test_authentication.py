# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_AUTH requests that prove nothing, or ask for what cannot be."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

from harness.capture.exchanges import IkeAuth
from harness.ike.constants_v2 import ExchangeType, PayloadType, TransformType
from harness.ike.payload import CRITICAL, RawPayload
from harness.ike.payloads_v2 import Authentication, Certificate, Notify
from harness.ike.retransmission import Retransmission
from harness.ike.script import with_payloads, without
from harness.ike.traffic_selectors import TrafficSelector, TrafficSelectors
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.script import Change
from harness.lab.lab import Lab
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET
from scenarios.conformance.changes import reordered, unknown, with_each, with_proposals
from scenarios.conformance.prober import NAME, Prober, notifies
from scenarios.conformance.rules import Rules

IKE_AUTH = ExchangeType.IKE_AUTH
X509 = 4
UNKNOWN_PAYLOAD, ANY_STATUS = 200, 40_999
ELSEWHERE = TrafficSelector.of(ip_network("10.77.0.0/16"))
IMPATIENT = Retransmission(first=0.5, factor=1.0, tries=1)
"""After a second without an answer there is none: 0.5 and 0.5 again."""
SILENT = {"strongswan": "it says nothing"}
MOON, SUN = "moon.strongswan.org", "sun.strongswan.org"


@scenario(
    "conformance-authentication",
    "Nobody gets an IKE SA without proof, and a CHILD_SA that is refused costs no IKE SA.",
    rfc="7296 2.21.2",
)
def test_authentication(lab: Lab, sun: Peer) -> None:
    prober = Prober.up(lab, sun, NET_NET.with_ike(on="moon", retransmission=IMPATIENT))
    with Rules(lab, sun) as rule:
        with rule("auth-does-not-verify", rfc="7296 2.21.2"):
            answer = attempt(prober, with_each(Authentication, of_zeros))
            assert answer.error == "AUTHENTICATION_FAILED"
            assert list(prober.net.sun.sas()) == []
        # Without AUTH an initiator asks for EAP (7296 2.16), which sun is not configured for.
        with rule("no-auth", rfc="7296 2.16"):
            assert attempt(prober, without(PayloadType.AUTH)).error == "AUTHENTICATION_FAILED"
            assert list(prober.net.sun.sas()) == []
        with rule("no-identity", rfc="7296 2.21.2", deviates=SILENT):
            answer = attempt(prober, without(PayloadType.IDi))
            assert answer.error in ("INVALID_SYNTAX", "AUTHENTICATION_FAILED")
            assert list(prober.net.sun.sas()) == []
        # AUTH is right for this identity, which sun does not expect.
        with rule("identity-of-somebody", rfc="7296 2.21.2"):
            assert as_somebody(prober).error == "AUTHENTICATION_FAILED"
            assert list(prober.net.sun.sas()) == []
        with rule("request-after-failure", rfc="7296 2.21.2"):
            assert goes_on_all_the_same(prober) == []
        with rule("reserved-fields-of-payloads", rfc="7296 3.8"):
            odd = with_each(Authentication, lambda own: replace(own, reserved=0xFF, flags=0x7F))
            also = with_each(TrafficSelectors, lambda own: replace(own, reserved=0xFFFFFF))
            assert attempt(prober, lambda plain: also(odd(plain))) == IkeAuth(MOON, SUN)
        with rule("certificate-of-many-octets", rfc="7296 2"):
            filled = with_payloads(Certificate(X509, bytes(2_400)))
            assert attempt(prober, filled) == IkeAuth(MOON, SUN)
        with rule("unknown-critical-payload", rfc="7296 2.5"):
            answer = attempt(prober, with_payloads(RawPayload(UNKNOWN_PAYLOAD, b"?", CRITICAL)))
            unsupported = ("UNSUPPORTED_CRITICAL_PAYLOAD", bytes([UNKNOWN_PAYLOAD]))
            assert notifies(answer) == [unsupported]
        with rule("unknown-notify", rfc="7296 3.10.1"):
            answer = attempt(prober, with_payloads(Notify(ANY_STATUS, b"?")))
            assert answer == IkeAuth(MOON, SUN)
        with rule("payloads-in-another-order", rfc="7296 2.5"):
            assert attempt(prober, reordered) == IkeAuth(MOON, SUN)
        with rule("no-known-proposal-for-child", rfc="7296 2.21.2"):
            refused = with_proposals(lambda own: (unknown(own[0], TransformType.ENCR),))
            answer = attempt(prober, refused)
            assert answer == IkeAuth(MOON, SUN, error="NO_PROPOSAL_CHOSEN")
        with rule("traffic-of-nobody", rfc="7296 2.9"):
            answer = attempt(prober, with_each(TrafficSelectors, elsewhere))
            assert answer == IkeAuth(MOON, SUN, error="TS_UNACCEPTABLE")


def attempt(prober: Prober, change: Change) -> IkeAuth:
    answer = prober.opens(change, IKE_AUTH)
    assert isinstance(answer, IkeAuth)
    return answer


def as_somebody(prober: Prober) -> IkeAuth:
    """An IKE_AUTH in which moon says that it is another, and proves that with the secret."""

    def named(name: bytes) -> Callable[[Endpoint, float], None]:
        def change(engine: Endpoint, now: float) -> None:
            (own,) = engine.connections
            engine.connections = (replace(own, local_id=replace(own.local_id, data=name)),)

        return change

    prober.net.moon.act(named(b"somebody.example"))
    try:
        return attempt(prober, lambda plain: plain)
    finally:
        prober.net.moon.act(named(MOON.encode()))


def goes_on_all_the_same(prober: Prober) -> list[str]:
    """What sun answers to a request under an IKE SA whose IKE_AUTH it has refused."""
    prober.script.sent(exchange=IKE_AUTH).replace(with_each(Authentication, of_zeros))
    refusal = prober.script.received(exchange=IKE_AUTH).hold()
    spi = prober.net.moon.act(lambda engine, now: engine.commands.initiate(NAME, now))
    prober.net.moon.until(lambda: bool(refusal.messages))

    def ask(engine: Endpoint, now: float) -> None:
        sa = engine.ike_sa(spi)
        assert sa is not None
        sa.send(ExchangeType.INFORMATIONAL, 2, (), sa.path, response=False)

    prober.net.moon.act(ask)
    # Who has answered a later one has done with it.
    attempt(prober, lambda plain: plain)
    prober.net.moon.act(lambda engine, now: engine.commands.abandon(spi, now))
    heard = (one for one in prober.heard if one.initiator_spi == spi)
    return [str(one) for one in heard if one.exchange == "INFORMATIONAL"]


def of_zeros(own: Authentication) -> Authentication:
    return replace(own, data=bytes(len(own.data)))


def elsewhere(own: TrafficSelectors) -> TrafficSelectors:
    return replace(own, selectors=(ELSEWHERE,))
