# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP by the kernel and by the daemon, at either end, with all that an SA goes through.

One run is of one pair of data planes, one way between the ends and one IKE version; in it is a
network for each kind of authentication.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.lab.gateway import Gateway
from harness.lab.lab import Lab
from harness.lab.net import Net, TrafficView
from harness.network.topologies import MOON_SUN, NAT_IN_PATH
from harness.network.topology import Topology
from harness.peers.connection import Connection
from harness.peers.contract import ChildSa, DataPlane, Peer
from harness.peers.credentials import Kind
from harness.peers.planes import on_plane
from harness.scenario import scenario
from scenarios.agreements import AUTHORITY, NET_NET

PLANES: tuple[tuple[DataPlane, DataPlane], ...] = (
    ("kernel", "kernel"),
    ("kernel", "userspace"),
    ("userspace", "kernel"),
    ("userspace", "userspace"),
)
RSA_BITS = 1024
"""An emulated guest takes seconds for a longer one."""
INSIDE, OUTSIDE = "172.16.0.10", "192.168.0.1"
BEHIND_NAT = NET_NET.with_address("moon", INSIDE, on="moon").with_address("moon", OUTSIDE, on="sun")
CROSSING = 3
"""Datagrams each way that cross after every change."""
TOO_EARLY = (
    "a strongSwan that answers a Quick Mode has its SAs with the third message, and a strongSwan "
    "that began it sends right behind that (RFC 2409 5.5)"
)


Rekeys = Callable[[Net, ChildSa, TrafficView], list[ChildSa]]
"""What replaces SAs under traffic; all that followed the CHILD_SA, as moon has them."""


@dataclass(frozen=True)
class Way:
    """What is between the two ends."""

    topology: Topology
    connection: Connection
    outside: str
    """The node that moon's packets come from on the wire to sun."""


WAYS = {
    "direct": Way(MOON_SUN, NET_NET, "moon"),
    "nat": Way(NAT_IN_PATH, BEHIND_NAT, "nat"),
}

VERSIONS = ("ikev1", "ikev2")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("planes", PLANES, ids="-".join)
@scenario(
    "data-planes",
    "Whoever does ESP at either end, each end replaces each SA in its turn, and nothing is lost.",
    rfc="7296 2.8",
    needs=("esp",),
)
def test_data_planes(
    lab: Lab, moon: Peer, sun: Peer, planes: tuple[DataPlane, DataPlane], way: str, version: str
) -> None:
    ends = (on_plane(moon, planes[0]), on_plane(sun, planes[1]))
    ike = OF_VERSION[version]
    for kind in ike.kinds:
        connection = ike.changed(authenticated(WAYS[way].connection, kind))
        net = lab.up(WAYS[way].topology, moon=ends[0], sun=ends[1], connection=connection)
        lives_through(net, ike.rekeys, WAYS[way].outside, ike.may_lose(moon, sun))


@dataclass(frozen=True)
class Version:
    """An IKE version: what becomes of a connection, what is replaced, and who certificates are.

    A kind of None is a pre-shared key.
    """

    changed: Callable[[Connection], Connection]
    rekeys: Rekeys
    kinds: tuple[Kind | None, ...]
    early: str = ""

    def may_lose(self, *peers: Peer) -> str:
        """Why a rekeying between these may lose a datagram, empty where it may not."""
        return "" if "ikelabd" in [peer.name for peer in peers] else self.early


def authenticated(connection: Connection, kind: Kind | None) -> Connection:
    for node, side in connection.sides.items() if kind else ():
        credentials = AUTHORITY.certify(side.local.identity, kind=kind, rsa_bits=RSA_BITS)
        connection = connection.authenticated_by(credentials, on=node)
    return connection


def over_ikev1(connection: Connection) -> Connection:
    return connection.with_ike(version=1, proposals=("aes256-sha256-modp2048",)).with_child(
        proposals=("aes256-sha256",), keep_rekeyed=1
    )


def over_ikev2(connection: Connection) -> Connection:
    return connection.with_child(keep_rekeyed=1)


def lives_through(net: Net, rekeys: Rekeys, outside: str, may_lose: str) -> None:
    child = net.moon.initiate("net-net")
    net.sun.await_up("net-net")
    with net.traffic("alice", "bob", may_lose=may_lose) as flow:
        flow.await_crossed(CROSSING)
        children = [child, *rekeys(net, child, flow)]
    assert may_lose or flow.lost == 0
    carried_by_kernel(net)
    carried_in_turn(net, children, outside)
    net.sun.delete_ike("net-net")
    net.moon.await_ike_down("net-net")
    # What strongSwan has replaced in IKEv1 is there until its lifetime ends, or its IKE SA.
    for one in children:
        net.moon.await_deleted(one)
        net.sun.await_deleted(one.mirrored())


def rekeys_v1(net: Net, child: ChildSa, flow: TrafficView) -> list[ChildSa]:
    """Each end replaces the IPsec SAs, by another Quick Mode."""
    first = replaced(net.moon, child, flow)
    return [first, replaced(net.sun, first, flow)]


def rekeys_v2(net: Net, child: ChildSa, flow: TrafficView) -> list[ChildSa]:
    """Each end replaces the CHILD_SA, and then the IKE SA."""
    found = []
    for end, other in ((net.moon, net.sun), (net.sun, net.moon)):
        old = child
        child = replaced(end, old, flow)
        found.append(child)
        net.moon.await_deleted(old)
        net.sun.await_deleted(old.mirrored())
        (ike,) = end.sas()
        end.rekey_ike("net-net")
        end.await_ike_rekeyed(ike)
        other.await_ike_rekeyed(ike)
        flow.await_crossed(CROSSING)
    return found


def replaced(end: Gateway, child: ChildSa, flow: TrafficView) -> ChildSa:
    """The CHILD_SA, as moon has it, that follows when an end replaces it under traffic."""
    own = child if end.name == "moon" else child.mirrored()
    end.rekey_child("net-net")
    new = end.await_rekeyed(own)
    flow.await_crossed(CROSSING)
    return new if end.name == "moon" else new.mirrored()


def carried_in_turn(net: Net, children: list[ChildSa], outside: str) -> None:
    """Each end has sent with each CHILD_SA, one after the other."""
    for sender, spis in (
        (outside, [child.outbound for child in children]),
        ("sun", [child.inbound for child in children]),
    ):
        sent = [packet.spi for packet in net.wire("wan").esp if packet.sender == sender]
        assert list(dict.fromkeys(sent)) == spis


def carried_by_kernel(net: Net) -> None:
    """A kernel has SAs where it does ESP, and has none where the daemon does."""
    for gateway in (net.moon, net.sun):
        held = list(gateway.sad().established)
        found = "kernel" if held else "userspace"
        assert found == gateway.data_plane, f"ESP of {gateway.name} is done by {found}"


OF_VERSION = {
    "ikev1": Version(over_ikev1, rekeys_v1, (None, "rsa"), TOO_EARLY),
    "ikev2": Version(over_ikev2, rekeys_v2, (None, "ecdsa", "rsa")),
}
