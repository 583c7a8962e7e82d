# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs that one end replaces when it is told to, under traffic that loses nothing."""

from harness.capture.exchanges import Delete, DeleteIke, IkeAuth, IkeSaInit, Rekey, RekeyIke
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import ChildSa, IkeSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

REKEYED = NET_NET.with_child(keep_rekeyed=1)
"""Both ends soon forget what they replaced."""


@scenario(
    "child-rekey",
    "Each end in its turn replaces the CHILD_SA, and nothing is lost.",
    rfc="7296 1.3.3",
)
def test_child_rekey(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=REKEYED)
    first = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
        net.moon.rekey_child("net-net")
        second = net.moon.await_rekeyed(first)
        net.wire("wan").await_ike("INFORMATIONAL", sender="sun")
        flow.await_crossed(5)
        net.sun.rekey_child("net-net")
        third = net.sun.await_rekeyed(second.mirrored())
        net.moon.await_deleted(second)
        flow.await_crossed(5)
    assert flow.lost == 0
    # An SA is named by the SPI that the sender of the message receives on.
    assert net.wire("wan").exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        Rekey(first.inbound),
        Delete(first.inbound),
        Rekey(second.outbound),
        Delete(second.outbound),
    ]
    assert senders(net) == ["moon", "moon", "moon", "moon", "sun", "sun"]
    carries_all(net, third.mirrored())


@scenario(
    "ike-rekey",
    "Each end in its turn replaces the IKE SA, which inherits the CHILD_SA.",
    rfc="7296 1.3.2",
)
def test_ike_rekey(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    child = net.moon.initiate("net-net")
    wan = net.wire("wan")
    (ike,) = net.moon.sas()
    with net.traffic("alice", "bob") as flow:
        for gateway, other in ((net.moon, net.sun), (net.sun, net.moon)):
            flow.await_crossed(5)
            gateway.rekey_ike("net-net")
            new = gateway.await_ike_rekeyed(ike)
            assert spis(other.await_ike_rekeyed(ike)) == spis(new) != spis(ike)
            wan.await_ike("INFORMATIONAL", sender=other.name, initiator_spi=ike.initiator_spi)
            ike = new
        flow.await_crossed(5)
    assert flow.lost == 0
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        RekeyIke(),
        DeleteIke(),
        RekeyIke(),
        DeleteIke(),
    ]
    assert senders(net) == ["moon", "moon", "moon", "moon", "sun", "sun"]
    carries_all(net, child)


def spis(ike: IkeSa) -> tuple[int, int]:
    """What an IKE SA is known by at both ends."""
    return ike.initiator_spi, ike.responder_spi


def senders(net: Net) -> list[str]:
    """Who began each exchange."""
    return [one.about.sender for one in net.wire("wan").exchanges]


def carries_all(net: Net, child: ChildSa) -> None:
    """Both ends have that CHILD_SA and no other, and it carries traffic."""
    for gateway, own in ((net.moon, child), (net.sun, child.mirrored())):
        (ike,) = gateway.sas()
        assert [(one.inbound, one.outbound) for one in ike.children] == [
            (own.inbound, own.outbound)
        ]
    before = net.wire("wan").frames[-1].number
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    sent = {(one.sender, one.spi) for one in net.wire("wan").esp if one.number > before}
    assert sent == {("moon", child.outbound), ("sun", child.inbound)}
