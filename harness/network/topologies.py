# SPDX-License-Identifier: GPL-2.0-or-later
"""The ready topologies of the catalogue, and a way to change how their wires are made."""

from dataclasses import replace

from harness.network.topology import (
    Interface,
    NodeSpec,
    Role,
    Topology,
    Wire,
    interface,
    route,
)


def _between(name: str, first: Interface, second: Interface) -> Wire:
    return Wire(name, (first, second))


ALICE = NodeSpec("alice", Role.HOST, (route("default", "10.1.0.1"),))
BOB = NodeSpec("bob", Role.HOST, (route("default", "10.2.0.1"),))
SUN = NodeSpec("sun", Role.GATEWAY, (route("10.1.0.0/16", "192.168.0.1"),))
NAT = NodeSpec("nat", Role.NAT, outside="outside")
MOON_LAN = _between(
    "moon-lan",
    interface("alice", "eth0", "10.1.0.10/16"),
    interface("moon", "eth1", "10.1.0.1/16"),
)
SUN_LAN = _between(
    "sun-lan",
    interface("sun", "eth1", "10.2.0.1/16"),
    interface("bob", "eth0", "10.2.0.10/16"),
)

MOON_SUN = Topology(
    "moon-sun",
    (ALICE, NodeSpec("moon", Role.GATEWAY, (route("10.2.0.0/16", "192.168.0.2"),)), SUN, BOB),
    (
        _between(
            "wan",
            interface("moon", "eth0", "192.168.0.1/24"),
            interface("sun", "eth0", "192.168.0.2/24"),
        ),
        MOON_LAN,
        SUN_LAN,
    ),
)

MOON_SUN_IPV6 = Topology(
    "moon-sun-ipv6",
    (
        NodeSpec("alice", Role.HOST, (route("default", "fd01::1"),)),
        NodeSpec("moon", Role.GATEWAY, (route("fd02::/64", "2001:db8::2"),)),
        NodeSpec("sun", Role.GATEWAY, (route("fd01::/64", "2001:db8::1"),)),
        NodeSpec("bob", Role.HOST, (route("default", "fd02::1"),)),
    ),
    (
        _between(
            "wan",
            interface("moon", "eth0", "2001:db8::1/64"),
            interface("sun", "eth0", "2001:db8::2/64"),
        ),
        _between(
            "moon-lan",
            interface("alice", "eth0", "fd01::10/64"),
            interface("moon", "eth1", "fd01::1/64"),
        ),
        _between(
            "sun-lan",
            interface("sun", "eth1", "fd02::1/64"),
            interface("bob", "eth0", "fd02::10/64"),
        ),
    ),
)

# The gateways have a way to each other in both IP versions, the hosts one only: a packet that is
# not put into the tunnel of the other version would find its way in clear.
_TWO_VERSIONS = _between(
    "wan",
    interface("moon", "eth0", "192.168.0.1/24", "2001:db8::1/64"),
    interface("sun", "eth0", "192.168.0.2/24", "2001:db8::2/64"),
)
IPV6_IN_IPV4 = replace(
    MOON_SUN_IPV6, name="ipv6-in-ipv4", wires=(_TWO_VERSIONS, *MOON_SUN_IPV6.wires[1:])
)
IPV4_IN_IPV6 = replace(MOON_SUN, name="ipv4-in-ipv6", wires=(_TWO_VERSIONS, *MOON_SUN.wires[1:]))

HOST_TO_HOST = Topology(
    "host-to-host",
    (NodeSpec("host1"), NodeSpec("host3")),
    (
        _between(
            "wan",
            interface("host1", "eth0", "10.0.0.1/24", "2001:db8::1/64"),
            interface("host3", "eth0", "10.0.0.3/24", "2001:db8::3/64"),
        ),
    ),
)

# A SEIL router's interfaces, and the one gateway that it knows.
LEFT = NodeSpec("left", Role.HOST, (route("default", "192.168.1.1"),))
SEIL_ROUTER = NodeSpec("seil", Role.GATEWAY, (route("192.168.2.0/24", "10.0.0.2"),))
SUN_BEHIND_NAT = NodeSpec("sun", Role.GATEWAY, (route("default", "172.16.0.1"),))
RIGHT = NodeSpec("right", Role.HOST, (route("default", "192.168.2.1"),))
INSIDE = _between(
    "inside",
    interface("nat", "inside", "172.16.0.1/24"),
    interface("sun", "eth0", "172.16.0.10/24"),
)
SEIL_LANS = (
    _between(
        "seil-lan",
        interface("left", "eth0", "192.168.1.10/24"),
        interface("seil", "ge1", "192.168.1.1/24"),
    ),
    _between(
        "sun-lan",
        interface("sun", "eth1", "192.168.2.1/24"),
        interface("right", "eth0", "192.168.2.10/24"),
    ),
)

SEIL = Topology(
    "seil",
    (
        LEFT,
        SEIL_ROUTER,
        NodeSpec("sun", Role.GATEWAY, (route("192.168.1.0/24", "10.0.0.1"),)),
        RIGHT,
    ),
    (
        _between(
            "wan",
            interface("seil", "ge0", "10.0.0.1/24"),
            interface("sun", "eth0", "10.0.0.2/24"),
        ),
        *SEIL_LANS,
    ),
)

# sun is behind a real NAPT; the router's outside is where the SEIL believes it to be.
SEIL_NAT = Topology(
    "seil-nat",
    (LEFT, SEIL_ROUTER, NAT, SUN_BEHIND_NAT, RIGHT),
    (
        _between(
            "wan",
            interface("seil", "ge0", "10.0.0.1/24"),
            interface("nat", "outside", "10.0.0.2/24"),
        ),
        INSIDE,
        *SEIL_LANS,
    ),
)

# Both gateways are behind a NAPT; one of them must forward IKE's ports, or nobody could begin.
SEIL_NAT_NAT = Topology(
    "seil-nat-nat",
    (
        LEFT,
        NodeSpec("seil", Role.GATEWAY, (route("default", "172.17.0.1"),)),
        replace(NAT, name="seil-nat"),
        NAT,
        SUN_BEHIND_NAT,
        RIGHT,
    ),
    (
        _between(
            "seil-inside",
            interface("seil", "ge0", "172.17.0.10/24"),
            interface("seil-nat", "inside", "172.17.0.1/24"),
        ),
        _between(
            "wan",
            interface("seil-nat", "outside", "10.0.0.1/24"),
            interface("nat", "outside", "10.0.0.2/24"),
        ),
        INSIDE,
        *SEIL_LANS,
    ),
)

# moon is behind a real NAPT. sun knows no way to what is behind it, as on the Internet; the route
# for alice's subnet leads to the router, so that the tunnel's policies see packets to protect.
NAT_IN_PATH = Topology(
    "nat-in-path",
    (ALICE, NodeSpec("moon", Role.GATEWAY, (route("default", "172.16.0.1"),)), NAT, SUN, BOB),
    (
        _between(
            "wan",
            interface("nat", "outside", "192.168.0.1/24"),
            interface("sun", "eth0", "192.168.0.2/24"),
        ),
        _between(
            "inside",
            interface("moon", "eth0", "172.16.0.10/24"),
            interface("nat", "inside", "172.16.0.1/24"),
        ),
        MOON_LAN,
        SUN_LAN,
    ),
)

# moon has a second way to sun, through a NAT, for when it has no address on the first.
TWO_WAYS = Topology(
    "two-ways",
    (
        ALICE,
        NodeSpec(
            "moon",
            Role.GATEWAY,
            (route("10.2.0.0/16", "192.168.0.2"), route("default", "172.16.0.1")),
        ),
        replace(NAT, routes=(route("192.168.0.0/24", "192.168.1.2"),)),
        SUN,
        BOB,
    ),
    (
        *MOON_SUN.wires,
        _between(
            "inside",
            interface("moon", "eth2", "172.16.0.10/24"),
            interface("nat", "inside", "172.16.0.1/24"),
        ),
        _between(
            "outside",
            interface("nat", "outside", "192.168.1.1/24"),
            interface("sun", "eth2", "192.168.1.2/24"),
        ),
    ),
)

READY = (
    MOON_SUN,
    MOON_SUN_IPV6,
    IPV6_IN_IPV4,
    IPV4_IN_IPV6,
    HOST_TO_HOST,
    SEIL,
    SEIL_NAT,
    SEIL_NAT_NAT,
    NAT_IN_PATH,
    TWO_WAYS,
)


def with_wire(topology: Topology, name: str, **changes: bool | int) -> Topology:
    """Return the topology with one wire changed, as in `with_wire(SEIL, "wan", mtu=1454)`."""
    changed = replace(topology.wire(name), **changes)  # type: ignore[arg-type]
    wires = tuple(changed if wire.name == name else wire for wire in topology.wires)
    return replace(topology, wires=wires)
