# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnels whose inside and outside are not of one IP version, and one that is IPv6 throughout."""

from dataclasses import replace

from harness.capture.entries import Ike, Ipsec
from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.lab.lab import Lab
from harness.network.topologies import IPV4_IN_IPV6, IPV6_IN_IPV4, MOON_SUN_IPV6
from harness.network.topology import Topology
from harness.peers.connection import Connection, End
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import MOON, SECRET, SUN

INSIDE_V6 = {"moon": ("fd01::/64",), "sun": ("fd02::/64",)}
OUTSIDE_V6 = {"moon": "2001:db8::1", "sun": "2001:db8::2"}
PACKETS = 10
LARGE = 1200
"""Bytes of a datagram that leaves room for both headers within the wire's MTU."""


@scenario(
    "ipv6-in-ipv4",
    "Two subnets with IPv6 are joined by a tunnel between two IPv4 addresses.",
    rfc="4301 5.1.2",
)
def test_ipv6_in_ipv4(lab: Lab, moon: Peer, sun: Peer) -> None:
    joined(lab, moon, sun, IPV6_IN_IPV4, inside=6, outside=4)


@scenario(
    "ipv4-in-ipv6",
    "Two subnets with IPv4 are joined by a tunnel between two IPv6 addresses.",
    rfc="4301 5.1.2",
)
def test_ipv4_in_ipv6(lab: Lab, moon: Peer, sun: Peer) -> None:
    joined(lab, moon, sun, IPV4_IN_IPV6, inside=4, outside=6)


@scenario(
    "ipv6-in-ipv6",
    "Two subnets with IPv6 are joined by a tunnel between two IPv6 addresses.",
    rfc="4301 5.1.2.2",
)
def test_ipv6_in_ipv6(lab: Lab, moon: Peer, sun: Peer) -> None:
    joined(lab, moon, sun, MOON_SUN_IPV6, inside=6, outside=6)


def joined(
    lab: Lab, moon: Peer, sun: Peer, topology: Topology, *, inside: int, outside: int
) -> None:
    net = lab.up(topology, moon=moon, sun=sun, connection=agreement(inside, outside))
    child = net.moon.initiate("net-net")
    with net.traffic("alice", "bob") as flow, net.traffic("bob", "alice", size=LARGE) as large:
        flow.await_crossed(PACKETS)
        large.await_crossed(PACKETS)
    assert (flow.lost, large.lost) == (0, 0)
    wan = net.wire("wan")
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
    ]
    told = [one for one in wan.decryption.entries if isinstance(one.content, Ike | Ipsec)]
    assert {version(one.headers.source) for one in told} == {outside}
    inner = [one.content.inner_octets for one in told if isinstance(one.content, Ipsec)]
    assert {packet[0] >> 4 for packet in inner} == {inside}
    sent = {(packet.sender, packet.spi) for packet in wan.esp}
    assert sent == {("moon", child.outbound), ("sun", child.inbound)}


def agreement(inside: int, outside: int) -> Connection:
    """The connection of the two gateways with what each IP version stands for."""
    ends = (at(MOON, inside, outside), at(SUN, inside, outside))
    return Connection.between(*ends, name="net-net", authentication=SECRET)


def at(end: End, inside: int, outside: int) -> End:
    """An end with the addresses of these IP versions."""
    address = OUTSIDE_V6[end.node] if outside == 6 else end.address
    subnets = INSIDE_V6[end.node] if inside == 6 else end.subnets
    return replace(end, address=address, subnets=subnets)


def version(address: str) -> int:
    """The IP version of an address."""
    return 6 if ":" in address else 4
