# SPDX-License-Identifier: GPL-2.0-or-later
"""What a peer that initiates makes of answers that are rare or wrong."""

import contextlib
from collections.abc import Mapping

from harness.capture.exchanges import Exchange, IkeAuth, IkeSaInit, Rekey
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import every, first
from harness.ike.payloads_v2 import Authentication, KeyExchange, Notify
from harness.ike.sa_v2 import SecurityAssociation
from harness.ike.script import with_payloads
from harness.ike.transforms import key_exchange
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.script import Script, in_clear
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import NegotiationFailed, Peer
from harness.peers.ikelabd import Ikelabd
from harness.scenario import scenario
from harness.verdict.oracles import OracleName
from scenarios.agreements import NET_NET
from scenarios.conformance.changes import with_each
from scenarios.conformance.prober import DELETE_IKE, NAME
from scenarios.conformance.rules import Rules
from scenarios.conformance.sas import kept, only_ike
from scenarios.conformance.test_authentication import MOON, SUN, of_zeros

IKE_SA_INIT, IKE_AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
CREATE_CHILD_SA, INFORMATIONAL = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL
ANY_STATUS = 40_999
MANY = 50
"""Datagrams that take longer than it does to begin anew."""
ANEW = "a peer that begins anew may delete its IKE SA first, and then has none for a moment"
FULL = Notify(NotifyType.NO_ADDITIONAL_SAS)
COOKIE = Notify(NotifyType.COOKIE, b"a cookie of 64 octets at most")
ECP_256, ECP_521 = key_exchange("ECP_256").id, key_exchange("ECP_521").id
USES_IT = {"strongswan": "it sends a KE payload in a group that its own SA payload does not have"}
TWO_GROUPS = NET_NET.with_ike(proposals=("aes128-sha256-x25519-ecp256",))


@scenario(
    "conformance-first-answer",
    "An initiator begins again with a cookie or another group, and never does what it must not.",
    rfc="7296 2.6",
)
def test_first_answer(lab: Lab, sun: Peer) -> None:
    script = Script()
    net = with_scripted_responder(lab, sun, script)
    wan = net.wire("wan")
    with Rules(lab, sun) as rule:
        with rule("cookie", rfc="7296 2.6"):
            script.received(exchange=IKE_SA_INIT, response=False).answer(COOKIE)
            comes_up_and_goes(net)
            refused, again = wan.exchanges[:2]
            assert (refused, again) == (IkeSaInit(error="COOKIE"), IkeSaInit())
            # It comes first, and all else is as it was.
            assert again.about.request == (COOKIE, *refused.about.request)
        with rule("another-group", rfc="7296 2.7"):
            before = len(wan.exchanges)
            wanted = Notify(NotifyType.INVALID_KE_PAYLOAD, ECP_256.to_bytes(2))
            script.received(exchange=IKE_SA_INIT, response=False).answer(wanted)
            comes_up_and_goes(net)
            refused, again = wan.exchanges[before : before + 2]
            assert (refused, again) == (IkeSaInit(error="INVALID_KE_PAYLOAD"), IkeSaInit())
            key = first(again.about.request, KeyExchange)
            assert key is not None
            assert key.group == ECP_256
            # The whole set is proposed again: nobody may be talked into a weaker one.
            assert offered(again) == offered(refused)
        with rule("group-that-was-not-offered", rfc="7296 3.4", deviates=USES_IT):
            wanted = Notify(NotifyType.INVALID_KE_PAYLOAD, ECP_521.to_bytes(2))
            script.received(exchange=IKE_SA_INIT, response=False).answer(wanted)
            with contextlib.suppress(NegotiationFailed):
                comes_up_and_goes(net)
            keys = [first(one.about.request, KeyExchange) for one in wan.exchanges]
            assert ECP_521 not in {key.group for key in keys if key is not None}
        with rule("unknown-notify", rfc="7296 3.10.1"):
            for exchange in (IKE_SA_INIT, IKE_AUTH):
                unknown = with_payloads(Notify(ANY_STATUS, b"?"))
                script.sent(exchange=exchange, response=True).replace(unknown)
            comes_up_and_goes(net)
        with rule("auth-does-not-verify", rfc="7296 2.21.2"):
            forged = with_each(Authentication, of_zeros)
            script.sent(exchange=IKE_AUTH, response=True).replace(forged)
            net.moon.fails_to_initiate(NAME)
            refused = int.from_bytes(wan.ike[-1].initiator_spi, "big")
            net.sun.await_ike_down(NAME, initiator_spi=refused)
            assert list(net.moon.sas()) == []


@scenario(
    "conformance-refused-rekey",
    "A CHILD_SA whose rekeying is refused for now stays, and so does its IKE SA.",
    rfc="7296 2.25",
)
def test_refused_rekey(lab: Lab, sun: Peer) -> None:
    script = Script()
    net = with_scripted_responder(lab, sun, script)
    child = net.moon.initiate(NAME)
    wan = net.wire("wan")
    with Rules(lab, sun) as rule:
        with rule("temporary-failure", rfc="7296 2.25"):
            refusal = Notify(NotifyType.TEMPORARY_FAILURE)
            script.received(exchange=CREATE_CHILD_SA, response=False).answer(refusal)
            net.moon.rekey_child(NAME)
            wan.await_ike("CREATE_CHILD_SA", sender="sun")
            assert wan.exchanges[-1] == Rekey(child.inbound, error="TEMPORARY_FAILURE")
            answers(net)
        with rule("delete-in-clear", rfc="7296 2.21.4"):
            script.sent(exchange=INFORMATIONAL, response=False).replace(in_clear)
            net.sun.act(forge)
            answers(net)
        with rule("traffic-goes-on", rfc="7296 2.25"):
            with net.traffic("alice", "bob") as flow:
                flow.await_crossed(5)
            assert {one.spi for one in wan.esp} == {child.inbound, child.outbound}
            (ike,) = net.moon.sas()
            assert [one.inbound for one in ike.children] == [child.inbound]


@scenario(
    "conformance-no-additional-sas",
    "Who may not rekey keeps what it has or begins anew, and traffic goes on.",
    rfc="7296 3.10.1",
    needs=("esp",),
)
def test_no_additional_sas(lab: Lab, sun: Peer) -> None:
    script = Script()
    net = with_scripted_responder(lab, sun, script, without={"loss": ANEW, "clear": ANEW})
    net.moon.initiate(NAME)
    wan = net.wire("wan")
    with Rules(lab, sun) as rule, net.traffic("alice", "bob") as flow:
        for name, begin in (("child", net.moon.rekey_child), ("ike-sa", net.moon.rekey_ike)):
            with rule(f"rekeying-of-{name}", rfc="7296 3.10.1"):
                script.received(exchange=CREATE_CHILD_SA, response=False).answer(FULL)
                since = len(wan.frames)
                begin(NAME)
                wan.await_ike("CREATE_CHILD_SA", sender="sun", since=since)
                flow.await_crossed(MANY, within=60)
                assert wan.exchanges[-1].error != "no answer"
                kept(net.sun, only_ike(net.moon), children=1)


def offered(exchange: Exchange) -> list[set[tuple[int, int]]]:
    """The transforms of each proposal of a request, by type and id."""
    (payload,) = every(exchange.about.request, SecurityAssociation)
    return [{(one.type, one.id) for one in each.transforms} for each in payload.proposals]


def with_scripted_responder(
    lab: Lab, peer: Peer, script: Script, without: Mapping[OracleName, str] | None = None
) -> Net:
    responder = Ikelabd().scripted(script)
    return lab.up(MOON_SUN, moon=peer, sun=responder, connection=TWO_GROUPS, without=without)


def comes_up_and_goes(net: Net) -> None:
    """The peer makes an IKE SA and deletes it."""
    before = len(net.wire("wan").exchanges)
    net.moon.initiate(NAME)
    assert IkeAuth(MOON, SUN) in net.wire("wan").exchanges[before:]
    (ike,) = (one for one in net.moon.sas() if one.state.lower() == "established")
    net.moon.delete_ike(NAME)
    net.sun.await_ike_down(NAME, initiator_spi=ike.initiator_spi)


def answers(net: Net) -> None:
    """The peer answers under its IKE SA."""
    frames = len(net.wire("wan").frames)
    net.sun.act(lambda engine, now: engine.commands.check_liveness(established(engine), now))
    answer = net.wire("wan").await_ike("INFORMATIONAL", sender="moon", since=frames)
    assert answer.response


def forge(engine: Endpoint, now: float) -> None:
    sa = engine.ike_sa(established(engine))
    assert sa is not None
    sa.send(INFORMATIONAL, sa.requests.next_id, (DELETE_IKE,), sa.path, response=False)


def established(engine: Endpoint) -> bytes:
    (spi,) = (sa.spi for sa in engine.all_sas() if sa.alive)
    return spi
