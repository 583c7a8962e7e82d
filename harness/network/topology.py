# SPDX-License-Identifier: GPL-2.0-or-later
"""Topologies as values: which nodes there are, which wires join them, and who has which address.

A topology that can be constructed can be built: what contradicts itself raises TopologyError.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

Address = IPv4Address | IPv6Address
InterfaceAddress = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network

# The kernel's IFNAMSIZ without the closing zero.
LONGEST_NAME = 15
SMALLEST_MTU, LARGEST_MTU = 68, 65521
SMALLEST_IPV6_MTU = 1280
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class TopologyError(ValueError):
    """A topology contradicts itself; one sentence says where."""


class Role(Enum):
    """What a node is there for; a gateway, a router and a NAT router forward packets."""

    HOST = "host"
    GATEWAY = "gateway"
    ROUTER = "router"
    NAT = "nat"

    @property
    def forwards(self) -> bool:
        """Whether packets for others are forwarded."""
        return self is not Role.HOST


@dataclass(frozen=True)
class Route:
    """Packets for `destination` go to the neighbour `via`."""

    destination: Subnet
    via: Address


@dataclass(frozen=True)
class Interface:
    """A node's end of a wire; `mac` is derived from the names, so it is the same in every run."""

    name: str
    node: str
    addresses: tuple[InterfaceAddress, ...]

    @property
    def mac(self) -> str:
        """A locally administered unicast address."""
        digest = hashlib.sha256(f"{self.node}/{self.name}".encode()).digest()
        return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


@dataclass(frozen=True)
class Wire:
    """A link between two interfaces.

    A carried wire takes each frame through the harness, which records it and may disturb it; one
    that is not carried is a plain veth pair, for where speed is the point. `mtu` in bytes.
    """

    name: str
    ends: tuple[Interface, Interface]
    carried: bool = True
    mtu: int = 1500


@dataclass(frozen=True)
class NodeSpec:
    """A node and the routes that it has beside those of its own subnets.

    `outside` is the interface of a NAT router that it translates to.
    """

    name: str
    role: Role = Role.HOST
    routes: tuple[Route, ...] = ()
    outside: str = ""


@dataclass(frozen=True)
class Topology:
    """Nodes and the wires between them; raises TopologyError when they do not fit together."""

    name: str
    nodes: tuple[NodeSpec, ...]
    wires: tuple[Wire, ...]

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise TopologyError(f"topology {self.name!r}: {problem}")

    def node(self, name: str) -> NodeSpec:
        """Return the node called `name`; raises TopologyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise TopologyError(f"topology {self.name!r} has no node {name!r}")

    def wire(self, name: str) -> Wire:
        """Return the wire called `name`; raises TopologyError."""
        for wire in self.wires:
            if wire.name == name:
                return wire
        raise TopologyError(f"topology {self.name!r} has no wire {name!r}")

    def interfaces(self, node: str) -> tuple[Interface, ...]:
        """Return a node's interfaces, in the order of the wires."""
        return tuple(end for wire in self.wires for end in wire.ends if end.node == node)

    def address(self, node: str, wire: str | None = None, version: int = 4) -> Address:
        """Return a node's first address of an IP version, on `wire` or on any; TopologyError."""
        for candidate in self.wires:
            if wire in (None, candidate.name):
                for end in candidate.ends:
                    if end.node == node:
                        for address in end.addresses:
                            if address.version == version:
                                return address.ip
        place = f" on wire {wire!r}" if wire else ""
        raise TopologyError(
            f"topology {self.name!r}: node {node!r} has no IPv{version} address{place}"
        )


# -- a short way to write one down ------------------------------------------------------------


def interface(node: str, name: str, *addresses: str) -> Interface:
    """Return an interface with addresses like `10.1.0.1/24`; raises TopologyError."""
    try:
        return Interface(name, node, tuple(ip_interface(text) for text in addresses))
    except ValueError as error:
        raise TopologyError(f"interface {name!r} of node {node!r}: {error}") from error


def route(destination: str, via: str) -> Route:
    """Return a route; `default` is 0.0.0.0/0 or ::/0, as `via` is; raises TopologyError."""
    try:
        gateway = ip_address(via)
        everything = "0.0.0.0/0" if gateway.version == 4 else "::/0"
        return Route(ip_network(everything if destination == "default" else destination), gateway)
    except ValueError as error:
        raise TopologyError(f"route to {destination!r} via {via!r}: {error}") from error


# -- validation -------------------------------------------------------------------------------


def _problems(topology: Topology) -> Iterator[str]:
    """Yield a sentence for each contradiction, the most basic first."""
    yield from _name_problems(topology)
    yield from _wire_problems(topology)
    yield from _address_problems(topology)
    yield from _subnet_problems(topology)
    yield from _route_problems(topology)
    yield from _nat_problems(topology)


def _name_problems(topology: Topology) -> Iterator[str]:
    named = [("node", node.name) for node in topology.nodes]
    named += [("wire", wire.name) for wire in topology.wires]
    for kind, name in named:
        yield from _bad_name(kind, name)
    for kind in ("node", "wire"):
        names = [name for its_kind, name in named if its_kind == kind]
        for name in names:
            if names.count(name) > 1:
                yield f"there are two {kind}s called {name!r}"


def _bad_name(kind: str, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{kind} name {name!r} is not a letter followed by letters, digits, '-' and '_'"
    if len(name) > LONGEST_NAME:
        yield f"{kind} name {name!r} is longer than {LONGEST_NAME} characters"


def _wire_problems(topology: Topology) -> Iterator[str]:
    known = [node.name for node in topology.nodes]
    seen: list[tuple[str, str]] = []
    for wire in topology.wires:
        if len(wire.ends) != 2:
            yield f"wire {wire.name!r} has {len(wire.ends)} ends and not 2"
        for end in wire.ends:
            yield from _bad_name("interface", end.name)
            if end.name == "lo":
                yield f"node {end.node!r} cannot have a wire on 'lo', which it has anyway"
            if end.node not in known:
                yield f"wire {wire.name!r} ends at node {end.node!r}, which is not there"
        if wire.ends[0].node == wire.ends[1].node:
            yield f"wire {wire.name!r} joins node {wire.ends[0].node!r} to itself"
        for end in wire.ends:
            if (end.node, end.name) in seen:
                yield f"interface {end.name!r} of node {end.node!r} is on two wires"
            seen.append((end.node, end.name))
        smallest = SMALLEST_IPV6_MTU if _has_ipv6(wire) else SMALLEST_MTU
        if not smallest <= wire.mtu <= LARGEST_MTU:
            yield f"wire {wire.name!r} has mtu {wire.mtu}, not {smallest} to {LARGEST_MTU}"


def _has_ipv6(wire: Wire) -> bool:
    return any(address.version == 6 for end in wire.ends for address in end.addresses)


def _address_problems(topology: Topology) -> Iterator[str]:
    holders: list[tuple[Address, str]] = []
    for wire in topology.wires:
        for end in wire.ends:
            for address in end.addresses:
                for held, holder in holders:
                    if held == address.ip:
                        yield f"address {held} is at {holder!r} and at {end.node!r}"
                holders.append((address.ip, end.node))
                net = address.network
                if net.num_addresses > 2 and address.ip == net.network_address:
                    yield f"address {address} of node {end.node!r} is the subnet itself"
                last = address.version == 4 and address.ip == net.broadcast_address
                if net.num_addresses > 2 and last:
                    yield f"address {address} of node {end.node!r} is the broadcast address"
        yield from _unshared_subnets(wire)


def _unshared_subnets(wire: Wire) -> Iterator[str]:
    """Each address must be in a subnet of the other end, when that has any of the version."""
    for end, other in (wire.ends, wire.ends[::-1]):
        for address in end.addresses:
            across = [theirs for theirs in other.addresses if theirs.version == address.version]
            if across and not any(theirs.network == address.network for theirs in across):
                subnets = ", ".join(str(theirs.network) for theirs in across)
                yield (
                    f"address {address} of node {end.node!r} is outside the subnet {subnets} "
                    f"of wire {wire.name!r}"
                )


def _subnet_problems(topology: Topology) -> Iterator[str]:
    seen: list[tuple[Subnet, str]] = []
    for wire in topology.wires:
        subnets = {address.network: None for end in wire.ends for address in end.addresses}
        for subnet in subnets:
            for other, name in seen:
                if name == wire.name or subnet.version != other.version:
                    continue
                if subnet.overlaps(other):
                    yield f"subnet {subnet} of wire {wire.name!r} overlaps {other} of {name!r}"
            seen.append((subnet, wire.name))


def _route_problems(topology: Topology) -> Iterator[str]:
    for node in topology.nodes:
        reachable = [address for end in topology.interfaces(node.name) for address in end.addresses]
        for entry in node.routes:
            where = f"the route of node {node.name!r} to {entry.destination}"
            if entry.destination.version != entry.via.version:
                yield f"{where} goes via {entry.via}, of the other IP version"
            elif any(address.ip == entry.via for address in reachable):
                yield f"{where} goes via {entry.via}, which is its own address"
            elif not any(entry.via in address.network for address in reachable):
                yield f"{where} goes via {entry.via}, which is on none of its subnets"


def _nat_problems(topology: Topology) -> Iterator[str]:
    for node in topology.nodes:
        names = [end.name for end in topology.interfaces(node.name)]
        if node.role is Role.NAT and node.outside not in names:
            yield f"NAT router {node.name!r} has no interface {node.outside!r} to be its outside"
        if node.role is not Role.NAT and node.outside:
            yield f"node {node.name!r} has an outside but is not a NAT router"
