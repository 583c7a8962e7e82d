# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends rekey one CHILD_SA at once: one of the two new ones is redundant (RFC 7296 2.8.1)."""

from harness.capture.exchanges import Delete, Rekey
from harness.ike.constants_v2 import ExchangeType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Nonce
from harness.ike.v2.events import ChildSaRemoved, Reason
from harness.ike.v2.script import Script
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from harness.scenario import scenario
from scenarios.agreements import NET_NET as AS_EVER

NET_NET = AS_EVER.with_child(keep_rekeyed=1)
"""Both ends soon forget what they replaced."""


@scenario(
    "simultaneous-rekey",
    "Two rekeyings of one CHILD_SA that cross leave one CHILD_SA, and nothing is lost.",
    rfc="7296 2.8.1",
)
def test_simultaneous_rekey(lab: Lab, sun: Peer) -> None:
    script = Script()
    net = lab.up(MOON_SUN, moon=Ikelabd().scripted(script), sun=sun, connection=NET_NET)
    old = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
        request = script.received(exchange=ExchangeType.CREATE_CHILD_SA, response=False).hold()
        answer = script.received(exchange=ExchangeType.CREATE_CHILD_SA, response=True).hold()
        net.sun.rekey_child("net-net")
        net.moon.rekey_child("net-net")
        net.moon.until(lambda: bool(request.messages and answer.messages))
        net.moon.act(request.release)
        net.moon.act(answer.release)
        net.moon.await_deleted(old)
        net.sun.await_deleted(old.mirrored())
        flow.await_crossed(10)
    assert flow.lost == 0
    the_redundant_one_is_deleted(net)
    removed = [event.reason for event in net.moon.observed if isinstance(event, ChildSaRemoved)]
    assert len(removed) == 2
    assert Reason.REKEYED in removed


def the_redundant_one_is_deleted(net: Net) -> None:
    """Of two new CHILD_SAs both ends have the same one left (RFC 7296 2.8.1)."""
    exchanges = net.wire("wan").exchanges
    # The one with the lowest of the four nonces is redundant, and who asked for it deletes it.
    rekeys = [one for one in exchanges if isinstance(one, Rekey)]
    assert {one.about.sender for one in rekeys} == {"moon", "sun"}
    loser, winner = sorted(rekeys, key=lowest_nonce)
    for gateway in (net.moon, net.sun):
        (ike,) = gateway.sas()
        (child,) = ike.children
        assert {child.inbound, child.outbound} == set(winner.made)
    deleted = {
        (one.about.sender, spi) for one in exchanges if isinstance(one, Delete) for spi in one.spis
    }
    assert (loser.about.sender, loser.made[0]) in deleted


def lowest_nonce(rekey: Rekey) -> bytes:
    """The lower one of the two nonces of an exchange."""
    return min(one.data for one in every((*rekey.about.request, *rekey.about.response), Nonce))
