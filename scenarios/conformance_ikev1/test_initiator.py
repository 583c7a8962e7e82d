# SPDX-License-Identifier: GPL-2.0-or-later
"""What a peer that initiates makes of answers that are rare or wrong, in both phases."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from harness.ike.attributes import Attribute, encode_attributes
from harness.ike.constants_v1 import (
    Flag,
    IpsecAttribute,
    NotifyType,
    PayloadType,
    Phase1Attribute,
    ProtocolId,
)
from harness.ike.payloads_v1 import Hash, Identification, Notification, VendorId
from harness.ike.script import with_header, with_payloads, without
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.events import NotifyReceived, OutboundSwitched, PeerAlive
from harness.ike.v1.informational import about_isakmp, delete_isakmp
from harness.ike.v1.script import Change, Script, in_clear
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import NegotiationFailed, Peer
from harness.peers.ikelabd import Ikelabd
from harness.scenario import scenario
from scenarios.conformance.changes import reordered, with_all, with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance.sas import kept, only_ike
from scenarios.conformance_ikev1.changes import (
    Attributes,
    numbered,
    with_attributes,
    with_transforms,
)
from scenarios.conformance_ikev1.prober import INFORMATIONAL, MAIN, QUICK
from scenarios.conformance_ikev1.requests import IKEV1, NAME
from scenarios.conformance_ikev1.test_ignored import with_wrong_hash
from scenarios.conformance_ikev1.test_main_mode import of_zeros
from scenarios.conformance_ikev1.test_quick_mode import elsewhere, nonce_first, nonce_last

ANY_STATUS = 40_999
EVERY = 10
"""Seconds between two questions."""
AN_HOUR = (
    Attribute(IpsecAttribute.SA_LIFE_TYPE, 1),
    Attribute(IpsecAttribute.SA_LIFE_DURATION, 3_600),
)
UNASKED = Attribute(Phase1Attribute.PRF, 1)
TAKES_FIRST = {"strongswan": "it takes the first of them"}
USES_AT_ONCE = {"strongswan": "it sends with the new SA behind its last message"}
TAKES_IT = {"strongswan": "it goes on as if that were right"}


@scenario(
    "conformance-ikev1-first-answer",
    "An initiator takes an answer that is only unusual, and none that is not what it offered.",
    rfc="2409 5",
)
def test_ikev1_first_answer(lab: Lab, sun: Peer) -> None:
    net, script = with_scripted_responder(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("attributes-in-another-order", rfc="2409 A"):
            comes_up(net, script, MAIN, with_attributes(lambda own: (*own[2:], *own[:2])))
        with rule("vendor-ids-unknown", rfc="2408 3.16"):
            comes_up(net, script, MAIN, with_payloads(*[VendorId(b"a lab")] * 5))
        with rule("payloads-of-message-4-in-another-order", rfc="2409 5"):
            comes_up(net, script, MAIN, with_all(nonce_first), nth=2)
        with rule("hash-before-identity", rfc="2409 5"):
            comes_up(net, script, MAIN, reordered, nth=3)
        with rule("unknown-notify-in-message-6", rfc="2408 5.14"):
            unknown = with_payloads(about_isakmp(ANY_STATUS, bytes(16)))
            comes_up(net, script, MAIN, unknown, nth=3)
        with rule("two-transforms", rfc="2408 4.2", deviates=TAKES_FIRST):
            two = with_transforms(lambda own: numbered(*own, *own))
            stays_down(net, script, MAIN, two)
        with rule("attribute-changed", rfc="2409 5"):
            stays_down(net, script, MAIN, with_attributes(with_longer_key))
        with rule("lifetime-changed", rfc="2409 5", deviates=TAKES_IT):
            longer = with_attributes(partial(living_on, Phase1Attribute.LIFE_DURATION))
            stays_down(net, script, MAIN, longer)
        with rule("attribute-added", rfc="2409 5", deviates=TAKES_IT):
            stays_down(net, script, MAIN, with_attributes(lambda own: (*own, UNASKED)))
        with rule("attribute-left-out", rfc="2409 5", deviates=TAKES_IT):
            stays_down(net, script, MAIN, with_attributes(without_lifetime))
        with rule("hash-does-not-verify", rfc="2408 5.11"):
            stays_down(net, script, MAIN, with_each(Hash, of_zeros), nth=3)
        with rule("message-6-in-clear", rfc="2409 5.4"):
            stays_down(net, script, MAIN, in_clear, nth=3)


@scenario(
    "conformance-ikev1-quick-answer",
    "An initiator makes IPsec SAs of what it asked for, and of nothing else.",
    rfc="2409 5.5",
)
def test_ikev1_quick_answer(lab: Lab, sun: Peer) -> None:
    net, script = with_scripted_responder(lab, sun)
    with Rules(lab, sun) as rule:
        with rule("attributes-in-another-order", rfc="2408 3.6"):
            comes_up(net, script, QUICK, with_attributes(lambda own: (*own[2:], *own[:2])))
        with rule("nonce-behind-identities", rfc="2409 5.5"):
            comes_up(net, script, QUICK, with_all(nonce_last))
        with rule("unknown-notify", rfc="2408 5.14"):
            comes_up(net, script, QUICK, with_payloads(Notification(ANY_STATUS, b"?")))
        with rule("responder-lifetime", rfc="2407 4.6.3.1"):
            comes_up(net, script, QUICK, with_payloads(an_hour()))
        with rule("hash-does-not-verify", rfc="2408 5.11"):
            stays_down(net, script, QUICK, with_wrong_hash)
        with rule("in-clear", rfc="2409 5.5"):
            stays_down(net, script, QUICK, in_clear)
        with rule("no-nonce", rfc="2409 5.5"):
            stays_down(net, script, QUICK, without(PayloadType.NONCE))
        with rule("two-transforms", rfc="2408 4.2", deviates=TAKES_FIRST):
            stays_down(net, script, QUICK, with_transforms(lambda own: numbered(*own, *own)))
        with rule("attribute-changed", rfc="2409 5"):
            stays_down(net, script, QUICK, with_attributes(with_longer_key))
        # The way to have another one is RESPONDER-LIFETIME (RFC 2407 4.5.4).
        with rule("lifetime-changed", rfc="2409 5", deviates=TAKES_IT):
            longer = with_attributes(partial(living_on, IpsecAttribute.SA_LIFE_DURATION))
            stays_down(net, script, QUICK, longer)
        with rule("identities-of-nobody", rfc="2409 5.5"):
            stays_down(net, script, QUICK, with_each(Identification, elsewhere))


@scenario(
    "conformance-ikev1-established-initiator",
    "Nobody ends an ISAKMP SA in clear, nor by a HASH that is wrong, also where the peer began it.",
    rfc="2409 5.7",
)
def test_ikev1_established_initiator(lab: Lab, sun: Peer) -> None:
    net, script = with_scripted_responder(lab, sun)
    net.moon.initiate(NAME)
    net.sun.await_up(NAME)
    with Rules(lab, sun) as rule:
        with rule("delete-in-clear", rfc="2409 5.7"):
            forge(net, script, in_clear)
            is_there(net)
        with rule("hash-wrong", rfc="2408 5.11"):
            forge(net, script, with_wrong_hash)
            is_there(net)
        with rule("message-id-zero", rfc="2408 3.1"):
            forge(net, script, message_id=0)
            is_there(net)
        with rule("cookie-of-initiator-unknown", rfc="2408 5.2"):
            forge(net, script, with_header(initiator_spi=b"somebody"))
            is_there(net)


@scenario(
    "conformance-ikev1-dpd-sequence",
    "An answer with another sequence number than the question's is no sign of life.",
    rfc="3706 6.1",
    needs=("esp",),
)
def test_ikev1_dpd_sequence(lab: Lab, sun: Peer) -> None:
    net, script = with_scripted_responder(lab, sun, IKEV1.with_ike(on="moon", dpd_delay=EVERY))
    net.moon.initiate(NAME)
    with Rules(lab, sun) as rule:
        with rule("answered-as-asked", rfc="3706 6.1"):
            first, second = asked(net), asked(net)
            assert second == first + 1
        with rule("answered-with-another-number", rfc="3706 6.1"):
            wrong = script.sent(notify=NotifyType.R_U_THERE_ACK)
            wrong.replace(with_each(Notification, lambda own: replace(own, data=bytes(4))))
            open_question, again = asked(net), asked(net)
            assert again == open_question
        with rule("all-survive", rfc="3706 6.1"):
            assert asked(net) == again + 1
            assert len(net.moon.sas()) == 1


@scenario(
    "conformance-ikev1-commit-bit",
    "What a responder has set the commit bit for is used when it says CONNECTED, not before.",
    rfc="2408 3.1",
    needs=("esp",),
)
def test_ikev1_commit_bit(lab: Lab, sun: Peer) -> None:
    net, script = with_scripted_responder(lab, sun)
    old = net.moon.initiate(NAME)
    net.sun.await_up(NAME)
    script.sent(exchange=QUICK).replace(with_header(flags=int(Flag.ENCRYPTION | Flag.COMMIT)))
    with Rules(lab, sun) as rule, net.traffic("alice", "bob", every=0.05) as flow:
        flow.await_crossed(5)
        switches = sum(isinstance(one, OutboundSwitched) for one in net.sun.observed)
        net.moon.rekey_child(NAME)
        inbound = net.sun.await_observed(OutboundSwitched, after=switches).inbound_spi
        spi = int.from_bytes(inbound, "big")
        flow.await_crossed(20)
        with rule("waits-for-connected", rfc="2408 3.1", deviates=USES_AT_ONCE):
            assert spi not in sent_with(net), "it sends before CONNECTED"
        with rule("sends-after-connected", rfc="2408 3.1"):
            say_connected(net, inbound)
            net.moon.await_rekeyed(old)
            flow.await_crossed(5)
            assert spi in sent_with(net), "it does not send behind CONNECTED"
    # What strongSwan has replaced is there until its lifetime ends, or its ISAKMP SA.
    take_down(net, script)


def sent_with(net: Net) -> set[int]:
    """The SPIs that moon has sent ESP with."""
    return {packet.spi for packet in net.wire("wan").esp if packet.sender == "moon"}


def say_connected(net: Net, inbound: bytes) -> None:
    """Tell moon that sun has the IPsec SA on which it receives with an SPI."""
    connected = Notification(NotifyType.CONNECTED, b"", ProtocolId.IPSEC_ESP, inbound)

    def send(engine: Endpoint, now: float) -> None:
        engine.send(engine.isakmp_sas()[0], INFORMATIONAL, (connected,), now)

    net.sun.act(send, version=1)


def asked(net: Net) -> int:
    """The sequence number of moon's next R-U-THERE."""
    before = sum(isinstance(one, NotifyReceived) for one in net.sun.observed)
    question = net.sun.await_observed(NotifyReceived, after=before, within=3 * EVERY)
    assert question.notify == NotifyType.R_U_THERE
    return int.from_bytes(question.data, "big")


def with_scripted_responder(
    lab: Lab, peer: Peer, connection: Connection = IKEV1
) -> tuple[Net, Script]:
    """The peer on moon, which is to begin, and a scripted ikelabd on sun."""
    script = Script()
    responder = Ikelabd().scripted(seam_v1=script)
    return lab.up(MOON_SUN, moon=peer, sun=responder, connection=connection), script


def comes_up(net: Net, script: Script, exchange: int, change: Change, nth: int = 1) -> None:
    """Check that moon comes up, with sun's nth message of an exchange changed; and take it down."""
    assert initiates(net, script, exchange, change, nth), "it does not come up"


def stays_down(net: Net, script: Script, exchange: int, change: Change, nth: int = 1) -> None:
    """Check that moon does not come up then."""
    assert not initiates(net, script, exchange, change, nth), "it comes up"


def initiates(net: Net, script: Script, exchange: int, change: Change, nth: int) -> bool:
    rule = script.sent(exchange=exchange, skip=nth - 1)
    rule.replace(change)
    try:
        net.moon.initiate(NAME)
    except NegotiationFailed:
        made = False
    else:
        made = True
    assert rule.met >= nth, "moon never got so far"
    take_down(net, script)
    return made


def take_down(net: Net, script: Script) -> None:
    """Delete what there is, at both ends."""

    def forget(engine: Endpoint, now: float) -> None:
        script.rules.clear()
        engine.terminate(NAME, now)

    for ike in net.moon.sas():
        net.moon.delete_ike(NAME)
        # Of one that was never there nobody says that it is gone.
        if ike.state.lower() == "established":
            net.moon.await_ike_down(NAME, initiator_spi=ike.initiator_spi)
    net.sun.act(forget, version=1)


def forge(
    net: Net, script: Script, change: Change | None = None, message_id: int | None = None
) -> None:
    """Send a Delete of the ISAKMP SA, changed before it is sealed."""
    if change is not None:
        script.sent(exchange=INFORMATIONAL).replace(change)
    ike = only_ike(net.sun)
    cookies = ike.initiator_spi.to_bytes(8, "big") + ike.responder_spi.to_bytes(8, "big")

    def send(engine: Endpoint, now: float) -> None:
        delete = delete_isakmp(cookies)
        engine.send(cookies[8:], INFORMATIONAL, (delete,), now, message_id=message_id)

    net.sun.act(send, version=1)


def is_there(net: Net) -> None:
    """Check that moon answers R-U-THERE and has its SAs."""
    alive = sum(isinstance(one, PeerAlive) for one in net.sun.observed)
    net.sun.act(lambda engine, now: engine.check_peer(engine.isakmp_sas()[0], now), version=1)
    net.sun.await_observed(PeerAlive, after=alive)
    kept(net.moon, only_ike(net.sun), children=1)


def an_hour() -> Notification:
    lifetime = encode_attributes(AN_HOUR)
    return Notification(NotifyType.RESPONDER_LIFETIME, lifetime, ProtocolId.IPSEC_ESP)


def with_longer_key(own: Attributes) -> Attributes:
    """The same with AES of 256 bits in place of 128."""
    return tuple(replace(one, value=256) if one.value == 128 else one for one in own)


def living_on(kind: int, own: Attributes) -> Attributes:
    """The same with a longer duration, which is the attribute of that kind."""
    return tuple(
        Attribute.shortest(kind, one.number + 1) if one.type == kind else one for one in own
    )


def without_lifetime(own: Attributes) -> Attributes:
    kinds = (Phase1Attribute.LIFE_TYPE, Phase1Attribute.LIFE_DURATION)
    return tuple(one for one in own if one.type not in kinds)
