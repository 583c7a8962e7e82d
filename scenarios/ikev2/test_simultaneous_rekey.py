# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends rekey one CHILD_SA at once: one of the two new ones is redundant (RFC 7296 2.8.1)."""

from harness.ike.constants_v2 import ExchangeType
from harness.ike.v2.events import ChildSaRemoved, Reason
from harness.ike.v2.script import Script
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from harness.scenario import scenario
from scenarios.agreements import NET_NET


@scenario(
    "simultaneous-rekey",
    "Two rekeyings of one CHILD_SA that cross leave one CHILD_SA, and nothing is lost.",
    rfc="7296 2.8.1",
    needs=("esp",),
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
    removed = [event.reason for event in net.moon.observed if isinstance(event, ChildSaRemoved)]
    assert len(removed) == 2
    assert Reason.REKEYED in removed
