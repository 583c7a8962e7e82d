# SPDX-License-Identifier: GPL-2.0-or-later
"""Main Mode with a pre-shared key, Quick Modes under it, and the traffic that they protect."""

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

IKEV1 = NET_NET.with_ike(version=1, proposals=("aes256-sha256-modp2048",)).with_child(
    proposals=("aes256-sha256-modp2048",)
)
REKEYS = 3
TOO_EARLY = (
    "the responder of a Quick Mode has its SAs with the third message, and what the initiator "
    "sends right behind that may come before (RFC 2409 5.5)"
)


@scenario(
    "ikev1-net2net",
    "Six messages of Main Mode and three of Quick Mode make a tunnel, and a Delete ends it.",
    rfc="2409 5.4",
)
def test_ikev1_net2net(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=IKEV1)
    child = established(net)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
    assert [message.exchange for message in net.wire("wan").ike if message.message_id == 0] == [
        "IDENTITY_PROTECTION"
    ] * 6
    quick = [message for message in net.wire("wan").ike if message.exchange == "QUICK_MODE"]
    assert [message.sender for message in quick] == ["moon", "sun", "moon"]
    net.moon.delete_ike("net-net")
    net.sun.await_ike_down("net-net")
    net.moon.await_deleted(child)
    net.sun.await_deleted(child.mirrored())


@scenario(
    "ikev1-rekey",
    "A Quick Mode replaces a pair of IPsec SAs in time, at the cost of one datagram at most.",
    rfc="2409 5.5",
    needs=("esp",),
)
def test_ikev1_rekey(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = IKEV1.with_child(on="moon", life=10, rekey=5, keep_rekeyed=2).with_child(
        on="sun", life=600, rekey=500, keep_rekeyed=2
    )
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, without={"loss": TOO_EARLY})
    child = established(net)
    with net.traffic("alice", "bob", every=0.2) as flow:
        for _ in range(REKEYS):
            new = net.moon.await_rekeyed(child, within=9)
            assert new.reqid == child.reqid
            net.moon.await_deleted(child, within=9)
            child = new
    assert flow.lost <= REKEYS


def established(net: Net) -> ChildSa:
    child = net.moon.initiate("net-net")
    # The responder is ready only when the third message of Quick Mode has come.
    net.sun.await_up("net-net")
    return child
