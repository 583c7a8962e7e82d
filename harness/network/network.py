# SPDX-License-Identifier: GPL-2.0-or-later
"""A topology that runs: its nodes, its wires and the recording of what passes over them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from harness.capture.recording import Recording
from harness.network.errors import NetworkError
from harness.network.interfaces import Links, links, sysctls
from harness.network.nat import Napt
from harness.network.node import Node
from harness.network.ping import Pings, ping
from harness.network.readiness import carrier, reachable
from harness.network.spawner import Spawner
from harness.network.topology import (
    Interface,
    InterfaceAddress,
    NodeSpec,
    Role,
    Topology,
    Wire,
    interface,
)
from harness.network.traffic import PORT, Flow, Place, flow
from harness.network.wires import CarriedWire, PlainLink, open_tap

# A node's image: the directories of its root file system, the uppermost first.
Roots = Mapping[str, Path | Sequence[Path] | None]


class Network:
    """A running topology; make one with `Network.up`."""

    def __init__(self, topology: Topology, recording: Recording) -> None:
        self.topology = topology
        self.recording = recording
        self.nodes: dict[str, Node] = {}
        self.wires: dict[str, CarriedWire] = {}
        self.plain_links: dict[str, PlainLink] = {}
        self.routers: dict[str, Napt] = {}
        self._addresses: dict[Interface, tuple[InterfaceAddress, ...]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def up(
        cls,
        topology: Topology,
        spawner: Spawner,
        roots: Roots | None = None,
        recording: Recording | None = None,
        *,
        keep_nodes: bool = False,
    ) -> AsyncIterator["Network"]:
        """Build the topology for the block: on entry every link carries packets.

        `roots` gives nodes their images; without one a node sees the harness's file systems.
        Without a `recording` frames are kept in memory. Raises NetworkError; nothing is left
        then, as nothing is left after the block; `keep_nodes` leaves the nodes, without their
        wires, to the end of the spawner. The end of a block that raised nothing raises FramesLost
        or RecordingFailed when the recording is not complete.
        """
        for name in roots or {}:
            topology.node(name)
        network = cls(topology, Recording() if recording is None else recording)
        try:
            await network._make_nodes(spawner, roots or {})
            await network._make_links()
            await network._translate()
            yield network
            for wire in network.wires.values():
                wire.count()
            network.check()
        except BaseException:
            await network._take_down()
            raise
        await network._take_down(keep_nodes)

    def node(self, name: str) -> Node:
        """Return the node called `name`; raises NetworkError."""
        try:
            return self.nodes[name]
        except KeyError:
            raise NetworkError(f"there is no node {name!r}, only {_names(self.nodes)}") from None

    def wire(self, name: str) -> CarriedWire:
        """Return the carried wire called `name`; raises NetworkError."""
        try:
            return self.wires[name]
        except KeyError:
            pass
        if name in self.plain_links:
            raise NetworkError(f"{name!r} is a plain link, which is not carried or recorded")
        raise NetworkError(f"there is no wire {name!r}, only {_names(self.wires)}")

    def router(self, name: str) -> Napt:
        """Return the translation of the NAT router called `name`; raises NetworkError."""
        try:
            return self.routers[name]
        except KeyError:
            raise NetworkError(
                f"there is no NAT router {name!r}, only {_names(self.routers)}"
            ) from None

    async def readdress(self, node: str, wire: str, *addresses: str) -> None:
        """Give a node's end of a wire other addresses, as in `192.168.0.3/24`, or none at all.

        Its routes over that wire are made anew where an address leads to their neighbour. Raises
        NetworkError and TopologyError.
        """
        end = next((one for one in self.topology.wire(wire).ends if one.node == node), None)
        if end is None:
            raise NetworkError(f"node {node!r} has no end of wire {wire!r}")
        after = interface(node, end.name, *addresses).addresses
        before = self._addresses.get(end, end.addresses)
        with links(self.node(node)) as routing:
            await routing.readdress(end.name, before, after, self.topology.node(node).routes)
        self._addresses[end] = after

    def place(self, node: str, version: int = 4, wire: str | None = None) -> Place:
        """Return a node's first address as a place for traffic; raises TopologyError."""
        return Place(self.node(node), str(self.topology.address(node, wire, version)))

    def traffic(
        self,
        first: str,
        second: str,
        *,
        every: float = 0.05,
        size: int = 64,
        version: int = 4,
        port: int = PORT,
        drain: float = 1.0,
    ) -> "contextlib.AbstractAsyncContextManager[Flow]":
        """Send numbered datagrams both ways between two nodes during the block; see `flow`."""
        ends = self.place(first, version), self.place(second, version)
        return flow(*ends, every=every, size=size, port=port, drain=drain)

    async def ping(
        self, source: str, target: str, *, version: int = 4, count: int = 1, deadline: float = 1.0
    ) -> Pings:
        """Send echo requests from one node to another; see `ping`."""
        from_, to = self.place(source, version), self.place(target, version)
        return await ping(
            from_.node, to.address, source=from_.address, count=count, deadline=deadline
        )

    def check(self) -> None:
        """Raise FramesLost or RecordingFailed when the recording is not complete."""
        for wire in self.wires.values():
            wire.check()
        self.recording.check()

    async def _make_nodes(self, spawner: Spawner, roots: Roots) -> None:
        made = await asyncio.gather(
            *(self._make_node(spawner, spec, roots.get(spec.name)) for spec in self.topology.nodes),
            return_exceptions=True,
        )
        for node in made:
            if isinstance(node, Node):
                self.nodes[node.name] = node
        for failure in made:
            if isinstance(failure, BaseException):
                raise failure

    async def _make_node(
        self, spawner: Spawner, spec: NodeSpec, root: Path | Sequence[Path] | None
    ) -> Node:
        lowers = [] if root is None else [root] if isinstance(root, Path) else list(root)
        interfaces = self.topology.interfaces(spec.name)
        ipv6 = any(address.version == 6 for end in interfaces for address in end.addresses)
        return await spawner.node(spec.name, lowers, sysctls(spec.role.forwards, ipv6))

    async def _make_links(self) -> None:
        with contextlib.ExitStack() as stack:
            routing = {name: stack.enter_context(links(node)) for name, node in self.nodes.items()}
            for wire in self.topology.wires:
                if wire.carried:
                    self._make_carried(wire)
                else:
                    await self._make_plain(wire, routing)
                for end in wire.ends:
                    await routing[end.node].set_up(end, wire)
            for wire in self.topology.wires:
                for end in wire.ends:
                    await carrier(self.nodes[end.node], end.name)
                    await reachable(self.nodes[end.node], end)
            for spec in self.topology.nodes:
                for route in spec.routes:
                    await routing[spec.name].add_route(route)

    def _make_carried(self, wire: Wire) -> None:
        first, second = wire.ends
        with contextlib.ExitStack() as undo:
            taps = []
            for end in (first, second):
                tap = open_tap(self.nodes[end.node], end.name)
                undo.callback(tap.close)
                taps.append(tap)
            undo.pop_all()
        record = self.recording.wire(wire.name, (first.node, second.node))
        self.wires[wire.name] = CarriedWire(record, (taps[0], taps[1]))

    async def _make_plain(self, wire: Wire, routing: Mapping[str, Links]) -> None:
        first, second = wire.ends
        await routing[first.node].add_veth(first.name, routing[second.node], second.name)
        self.plain_links[wire.name] = PlainLink(wire.name, (first.node, second.node))

    async def _translate(self) -> None:
        for spec in self.topology.nodes:
            if spec.role is Role.NAT:
                router = self.routers[spec.name] = Napt(self.nodes[spec.name], spec.outside)
                await router.translate()

    async def _take_down(self, keep_nodes: bool = False) -> None:
        # Programs first, so that the last frames are what they sent and not a vanishing link.
        ending = () if keep_nodes else self.nodes.values()
        results = await asyncio.gather(*(node.close() for node in ending), return_exceptions=True)
        for wire in self.wires.values():
            wire.close()
        self.recording.flush()
        for result in results:
            if isinstance(result, BaseException):
                raise result


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in known) or "none"
