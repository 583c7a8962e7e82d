# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace

import pytest

from harness.network.topologies import MOON_SUN, NAT_IN_PATH, READY, with_wire
from harness.network.topology import (
    Interface,
    NodeSpec,
    Role,
    Route,
    Topology,
    TopologyError,
    Wire,
    interface,
    route,
)


def topology(
    *wires: Wire, nodes: tuple[NodeSpec, ...] = (NodeSpec("a"), NodeSpec("b"))
) -> Topology:
    return Topology("test", nodes, wires)


def wire(name: str, first: Interface, second: Interface, mtu: int = 1500) -> Wire:
    return Wire(name, (first, second), mtu=mtu)


A = interface("a", "eth0", "10.0.0.1/24")
B = interface("b", "eth0", "10.0.0.2/24")
GOOD = wire("w", A, B)


def test_a_sound_topology_is_taken() -> None:
    assert topology(GOOD).address("b").compressed == "10.0.0.2"


CONTRADICTIONS = {
    "node 'a' has 2": (
        lambda: topology(GOOD, nodes=(NodeSpec("a"), NodeSpec("a"), NodeSpec("b"))),
        "there are two nodes called 'a'",
    ),
    "two wires of one name": (
        lambda: topology(
            GOOD,
            wire("w", interface("a", "eth1"), interface("b", "eth1")),
        ),
        "there are two wires called 'w'",
    ),
    "a wire to itself": (
        lambda: topology(wire("w", A, interface("a", "eth1", "10.0.0.2/24"))),
        "wire 'w' joins node 'a' to itself",
    ),
    "an unknown node": (
        lambda: topology(wire("w", A, interface("c", "eth0", "10.0.0.2/24"))),
        "wire 'w' ends at node 'c', which is not there",
    ),
    "an interface twice": (
        lambda: topology(GOOD, wire("v", interface("a", "eth0"), interface("b", "eth1"))),
        "interface 'eth0' of node 'a' is on two wires",
    ),
    "a long interface name": (
        lambda: topology(wire("w", interface("a", "x" * 16), B)),
        "interface name 'xxxxxxxxxxxxxxxx' is longer than 15 characters",
    ),
    "a long node name": (
        lambda: topology(GOOD, nodes=(NodeSpec("a" * 16), NodeSpec("a"), NodeSpec("b"))),
        "node name 'aaaaaaaaaaaaaaaa' is longer than 15 characters",
    ),
    "a name with a slash": (
        lambda: topology(GOOD, nodes=(NodeSpec("a/b"), NodeSpec("a"), NodeSpec("b"))),
        "node name 'a/b' is not a letter followed by",
    ),
    "an end on lo": (
        lambda: topology(wire("w", interface("a", "lo"), B)),
        "node 'a' cannot have a wire on 'lo'",
    ),
    "an address outside": (
        lambda: topology(wire("w", A, interface("b", "eth0", "10.0.1.2/24"))),
        "address 10.0.0.1/24 of node 'a' is outside the subnet 10.0.1.0/24 of wire 'w'",
    ),
    "an address twice": (
        lambda: topology(wire("w", A, interface("b", "eth0", "10.0.0.1/24"))),
        "address 10.0.0.1 is at 'a' and at 'b'",
    ),
    "the subnet as address": (
        lambda: topology(wire("w", A, interface("b", "eth0", "10.0.0.0/24"))),
        "address 10.0.0.0/24 of node 'b' is the subnet itself",
    ),
    "the broadcast address": (
        lambda: topology(wire("w", A, interface("b", "eth0", "10.0.0.255/24"))),
        "address 10.0.0.255/24 of node 'b' is the broadcast address",
    ),
    "overlapping subnets": (
        lambda: topology(
            GOOD,
            wire(
                "v", interface("a", "eth1", "10.0.0.65/26"), interface("b", "eth1", "10.0.0.66/26")
            ),
        ),
        "subnet 10.0.0.64/26 of wire 'v' overlaps 10.0.0.0/24 of 'w'",
    ),
    "a tiny mtu": (lambda: topology(wire("w", A, B, mtu=60)), "wire 'w' has mtu 60, not 68 to"),
    "an mtu too small for IPv6": (
        lambda: topology(
            wire(
                "w", interface("a", "e", "fd00::1/64"), interface("b", "e", "fd00::2/64"), mtu=1000
            )
        ),
        "wire 'w' has mtu 1000, not 1280 to",
    ),
    "a route to nowhere": (
        lambda: topology(
            GOOD, nodes=(NodeSpec("a", routes=(route("default", "10.9.9.9"),)), NodeSpec("b"))
        ),
        "the route of node 'a' to 0.0.0.0/0 goes via 10.9.9.9, which is on none of its subnets",
    ),
    "a route via itself": (
        lambda: topology(
            GOOD, nodes=(NodeSpec("a", routes=(route("default", "10.0.0.1"),)), NodeSpec("b"))
        ),
        "goes via 10.0.0.1, which is its own address",
    ),
    "a route of two versions": (
        lambda: topology(
            GOOD,
            nodes=(
                NodeSpec("a", routes=(Route(route("::/0", "::1").destination, B.addresses[0].ip),)),
                NodeSpec("b"),
            ),
        ),
        "goes via 10.0.0.2, of the other IP version",
    ),
    "a NAT router without an outside": (
        lambda: topology(GOOD, nodes=(NodeSpec("a", Role.NAT, outside="x"), NodeSpec("b"))),
        "NAT router 'a' has no interface 'x' to be its outside",
    ),
    "an outside without NAT": (
        lambda: topology(GOOD, nodes=(NodeSpec("a", outside="eth0"), NodeSpec("b"))),
        "node 'a' has an outside but is not a NAT router",
    ),
    "an address that is none": (
        lambda: interface("a", "eth0", "10.0.0.256/24"),
        "interface 'eth0' of node 'a': '10.0.0.256/24' does not appear to be",
    ),
    "a route that is none": (lambda: route("10.0.0.1/8", "10.0.0.1"), "has host bits set"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_one_sentence(case: str) -> None:
    make, sentence = CONTRADICTIONS[case]
    with pytest.raises(TopologyError) as caught:
        make()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mac_addresses_are_the_same_in_every_run_and_differ_between_interfaces() -> None:
    macs = [end.mac for ready in READY for wire in ready.wires for end in wire.ends]
    assert all(mac.startswith("02:") for mac in macs)
    for ready in READY:
        mine = [end.mac for wire in ready.wires for end in wire.ends]
        assert len(set(mine)) == len(mine)
    assert MOON_SUN.wire("wan").ends[0].mac == "02:75:9e:e9:9a:cb"


def test_a_wire_of_a_ready_topology_can_be_made_plain() -> None:
    changed = with_wire(MOON_SUN, "wan", carried=False, mtu=9000)
    assert (changed.wire("wan").carried, changed.wire("wan").mtu) == (False, 9000)
    assert MOON_SUN.wire("wan").carried
    assert changed.wire("moon-lan") == MOON_SUN.wire("moon-lan")


def test_a_topology_is_asked_by_name() -> None:
    assert MOON_SUN.node("moon").role is Role.GATEWAY
    assert [end.name for end in MOON_SUN.interfaces("moon")] == ["eth0", "eth1"]
    assert str(MOON_SUN.address("moon", "moon-lan")) == "10.1.0.1"
    assert str(NAT_IN_PATH.address("nat")) == "192.168.0.1"
    with pytest.raises(TopologyError, match="topology 'moon-sun' has no node 'mars'"):
        MOON_SUN.node("mars")
    with pytest.raises(TopologyError, match="topology 'moon-sun' has no wire 'lan'"):
        MOON_SUN.wire("lan")
    with pytest.raises(TopologyError, match="node 'moon' has no IPv6 address on wire 'wan'"):
        MOON_SUN.address("moon", "wan", 6)


def test_a_change_that_contradicts_is_refused() -> None:
    with pytest.raises(TopologyError, match="wire 'wan' ends at node 'moon', which is not there"):
        replace(MOON_SUN, nodes=MOON_SUN.nodes[2:])
