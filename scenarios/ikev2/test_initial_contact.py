# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that crashed comes back, and says that it has no other SA."""

from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.ike.constants_v2 import NotifyType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Notify
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET


@scenario(
    "initial-contact",
    "What an end had before it crashed is removed by the other as soon as it comes back.",
    rfc="7296 2.4",
)
def test_initial_contact(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    lost = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    (before,) = net.sun.sas()
    net.moon.crash()
    # A gateway that reboots has no SAs in its kernel either.
    net.moon.ip_xfrm("state flush")
    net.moon.ip_xfrm("policy flush")
    net.moon.start_again()
    child = net.moon.initiate("net-net")
    net.sun.await_deleted(lost.mirrored())
    wan = net.wire("wan")
    established = [IkeSaInit(), IkeAuth("moon.strongswan.org", "sun.strongswan.org")]
    # The one who crashed cannot be told that its SA is deleted, so nobody tells it.
    assert wan.exchanges == established * 2
    notifies = {one.notify_type for one in every(wan.exchanges[-1].about.request, Notify)}
    assert NotifyType.INITIAL_CONTACT in notifies
    (after,) = net.sun.sas()
    assert after.initiator_spi != before.initiator_spi
    assert [(one.inbound, one.outbound) for one in after.children] == [
        (child.outbound, child.inbound)
    ]
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
