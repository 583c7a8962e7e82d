# SPDX-License-Identifier: GPL-2.0-or-later
"""Two rekeyings of one CHILD_SA cross on the wire, whoever the peers are (RFC 7296 2.8.1)."""

from harness.lab.lab import Lab
from harness.lab.wire import is_message
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET as AS_EVER
from scenarios.ikev2.test_simultaneous_rekey import the_redundant_one_is_deleted

NET_NET = AS_EVER.with_child(keep_rekeyed=1)
"""Both ends soon forget what they replaced."""


@scenario(
    "crossed-rekeys",
    "Rekeyings of one CHILD_SA that cross on the wire leave the right one of the two new ones.",
    rfc="7296 2.8.1",
)
def test_crossed_rekeys(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    wan = net.wire("wan")
    old = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
        request, answer = (
            wan.hold(is_message("CREATE_CHILD_SA", response=one), sender="moon", times=1)
            for one in (False, True)
        )
        net.moon.rekey_child("net-net")
        request.await_held()
        net.sun.rekey_child("net-net")
        answer.await_held()
        # Each has asked before it was asked, as far as it knows.
        request.release()
        answer.release()
        net.moon.await_deleted(old)
        net.sun.await_deleted(old.mirrored())
        flow.await_crossed(10)
    the_redundant_one_is_deleted(net)
