# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs that one end deletes are gone at both, and carry nothing any more."""

from harness.capture.exchanges import Delete, DeleteIke, Exchange
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET


@scenario(
    "delete-child",
    "A CHILD_SA that one end deletes is gone at both, and the IKE SA stays.",
    rfc="7296 1.4.1",
)
def test_delete_child(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    child = established_under_traffic(net)
    net.moon.delete_child("net-net")
    assert deleting_exchange(net) == Delete(child.inbound)
    net.moon.await_deleted(child)
    net.sun.await_deleted(child.mirrored())
    nothing_is_protected_any_more(net)
    for gateway in (net.moon, net.sun):
        (ike,) = gateway.sas()
        assert ike.children == ()
        assert len(gateway.sad()) == 0


@scenario(
    "delete-ike",
    "An IKE SA that one end deletes is gone at both, with everything that it carried.",
    rfc="7296 1.4.1",
)
def test_delete_ike(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    child = established_under_traffic(net)
    net.moon.delete_ike("net-net")
    assert deleting_exchange(net) == DeleteIke()
    net.sun.await_ike_down("net-net")
    net.moon.await_deleted(child)
    net.sun.await_deleted(child.mirrored())
    nothing_is_protected_any_more(net)
    for gateway in (net.moon, net.sun):
        assert list(gateway.sas()) == []
        assert len(gateway.sad()) == 0


def established_under_traffic(net: Net) -> ChildSa:
    child = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
    return child


def deleting_exchange(net: Net) -> Exchange:
    """The last exchange, which is the one that moon began to delete something."""
    wan = net.wire("wan")
    request, response = wan.ike[-2:]
    assert str(request) == "moon: INFORMATIONAL request 2"
    assert str(response) == "sun: INFORMATIONAL response 2"
    return wan.exchanges[-1]


def nothing_is_protected_any_more(net: Net) -> None:
    wan = net.wire("wan")
    assert [packet for packet in wan.esp if packet.number > wan.ike[-1].number] == []
