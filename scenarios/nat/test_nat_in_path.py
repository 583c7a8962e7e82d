# SPDX-License-Identifier: GPL-2.0-or-later
"""moon behind a NAT: port 4500, ESP in UDP, and what becomes of it when the NAT maps anew."""

from dataclasses import replace

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.network.topologies import NAT_IN_PATH
from harness.peers.connection import Connection, End
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import SECRET, SUN

INSIDE = End("moon", "172.16.0.10", "moon.strongswan.org", ("10.1.0.0/16",))
OUTSIDE = "192.168.0.1"
"""The router's own address, as which sun knows moon."""
FOLLOWED = 15.0
"""Seconds for what sun sends to go to the new port."""
OTHER_PORTS = (30_000, 30_100)

FROM_INSIDE = Connection.between(INSIDE, SUN, name="net-net", authentication=SECRET)


def seen_from_outside(connection: Connection) -> Connection:
    """The connection with moon, for sun, at the address of the router."""
    sun = connection.sides["sun"]
    changed = replace(sun, remote=replace(sun.remote, address=OUTSIDE))
    return replace(connection, sides={**connection.sides, "sun": changed})


@scenario(
    "nat-in-path",
    "A peer behind a NAT moves to port 4500, and its ESP goes in UDP.",
    rfc="7296 2.23",
)
def test_nat_in_path(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=seen_from_outside(FROM_INSIDE))
    net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
    assert flow.lost == 0
    esp_is_in_udp(net)
    net.moon.delete_ike("net-net")
    net.sun.await_ike_down("net-net")


@scenario(
    "nat-remapped-ikev2",
    "When a NAT gives a peer another port, ESP and IKE follow it there.",
    rfc="7296 2.23",
)
def test_nat_remapped(lab: Lab, moon: Peer, sun: Peer) -> None:
    # An end with ESP in user space may follow IKE messages only, so moon asks whether sun is alive.
    connection = seen_from_outside(FROM_INSIDE).with_ike(on="moon", dpd_delay=1)
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=connection)
    net.moon.initiate("net-net")
    may_lose = "sun sends to the old port until it knows better"
    with net.traffic("alice", "bob", may_lose=may_lose) as flow:
        net.remap("nat", OTHER_PORTS)
        net.wire("wan").await_esp(sender="nat", spi=net.moon.sas()[0].children[0].outbound)
        flow.await_crossed(10, within=FOLLOWED)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
    assert flow.lost == 0
    net.sun.delete_ike("net-net")
    net.moon.await_ike_down("net-net")


def esp_is_in_udp(net: Net) -> None:
    carried = [frame for frame in net.wire("wan").frames if is_esp(frame)]
    assert carried
    # UDP (17) is what the IPv4 header behind the Ethernet header says.
    assert {frame.data[14 + 9] for frame in carried} == {17}
