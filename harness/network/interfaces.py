# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's interfaces, addresses and routes, set over rtnetlink."""

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.topology import Interface, InterfaceAddress, Route, Wire
from harness.network.wires import QUEUE

IFA_F_NODAD = 0x02

# For all interfaces and for those to come: either of the two is enough for the kernel.
_QUIET_IPV4 = ("rp_filter", "send_redirects", "accept_redirects")
_QUIET_IPV6 = (
    "accept_ra",
    "autoconf",
    "router_solicitations",
    "accept_redirects",
    "dad_transmits",
    "use_tempaddr",
)


def sysctls(forwards: bool, ipv6: bool) -> dict[str, str]:
    """Return the sysctls of a node, for its interfaces to inherit.

    A node says nothing on its wires of its own accord, as far as a kernel can be told so.
    """
    # The first, because a change of it resets others.
    settings = {"net/ipv4/ip_forward": str(int(forwards))}
    for which in ("all", "default"):
        settings |= {f"net/ipv4/conf/{which}/{name}": "0" for name in _QUIET_IPV4}
    if not ipv6:
        return settings | {"net/ipv6/conf/default/disable_ipv6": "1"}
    settings["net/ipv6/conf/all/forwarding"] = str(int(forwards))
    settings["net/ipv6/conf/default/disable_ipv6"] = "0"
    for which in ("all", "default"):
        settings[f"net/ipv6/conf/{which}/accept_dad"] = "0"
    settings |= {f"net/ipv6/conf/default/{name}": "0" for name in _QUIET_IPV6}
    return settings


class Links:
    """A node's rtnetlink socket; each method raises NetworkError with the kernel's reason."""

    def __init__(self, node: Node, routing: Any) -> None:
        self._node = node
        self._routing = routing

    async def set_up(self, interface: Interface, wire: Wire) -> None:
        """Give an interface its MAC address, MTU, queue and addresses, and set it up."""
        index = self._index(interface.name)
        with self._explained(f"interface {interface.name!r}"):
            await self._routing.link(
                "set", index=index, address=interface.mac, mtu=wire.mtu, txqlen=QUEUE
            )
            # On its own: in one request the kernel would change the queue of an interface that
            # is up already, and lose what is sent at that moment.
            await self._routing.link("set", index=index, state="up")
            for address in interface.addresses:
                await self._address("add", index, address)

    async def readdress(
        self,
        name: str,
        before: Sequence[InterfaceAddress],
        after: Sequence[InterfaceAddress],
        routes: Sequence[Route],
    ) -> None:
        """Take addresses from an interface and give it others, and `routes` where they lead there.

        The kernel forgets the routes of an interface without an address.
        """
        index = self._index(name)
        networks = [address.network for address in after]
        with self._explained(f"another address of interface {name!r}"):
            for address in before:
                await self._address("del", index, address)
            for address in after:
                await self._address("add", index, address)
        for route in routes:
            if any(route.via in network for network in networks):
                await self.add_route(route, "replace")

    async def add_route(self, route: Route, how: Literal["add", "replace"] = "add") -> None:
        """Add a route, or put it in the place of one to the same destination."""
        with self._explained(f"the route to {route.destination}"):
            await self._routing.route(
                how,
                dst=str(route.destination),
                gateway=str(route.via),
                family=socket.AF_INET if route.via.version == 4 else socket.AF_INET6,
            )

    async def _address(self, command: str, index: int, address: InterfaceAddress) -> None:
        await self._routing.addr(
            command,
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
            flags=0 if address.version == 4 else IFA_F_NODAD,
        )

    async def add_veth(self, name: str, peer: "Links", peer_name: str) -> None:
        """Make a veth pair with one end in this node and one in the peer's."""
        with self._explained(f"interface {name!r}"):
            await self._routing.link(
                "add",
                ifname=name,
                kind="veth",
                peer={"ifname": peer_name, "net_ns_fd": peer._node.net},
            )

    def _index(self, name: str) -> int:
        with self._node.entered():
            try:
                return socket.if_nametoindex(name)
            except OSError as error:
                raise NetworkError(f"node {self._node.name!r} has no interface {name!r}") from error

    @contextlib.contextmanager
    def _explained(self, what: str) -> Any:
        try:
            yield
        except NetlinkError as error:
            raise NetworkError(
                f"{what} of node {self._node.name!r} was refused by the kernel: {error}"
            ) from error


@contextlib.asynccontextmanager
async def links(node: Node) -> AsyncIterator[Links]:
    """Open a node's rtnetlink socket for the block."""
    with node.entered():
        # The socket is made when it is first looked at, which must be inside.
        routing = AsyncIPRoute(ext_ack=True)
        _ = routing.socket
    try:
        await routing.setup_endpoint()
        yield Links(node, routing)
    finally:
        routing.close()
