# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's interfaces, addresses and routes, set over rtnetlink."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Literal

from harness.kernel.channel import Channel
from harness.kernel.errors import XfrmError
from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.rtnetlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    link_settings,
    link_up,
    new_address,
    new_route,
    new_veth,
    no_address,
)
from harness.network.topology import Interface, InterfaceAddress, Route, Wire
from harness.network.wires import QUEUE

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

    def __init__(self, node: Node, channel: Channel) -> None:
        self._node = node
        self._channel = channel

    async def set_up(self, interface: Interface, wire: Wire) -> None:
        """Give an interface its MAC address, MTU, queue and addresses, and set it up."""
        what = f"interface {interface.name!r}"
        index = self._index(interface.name)
        await self._ask(what, link_settings(index, interface.mac, wire.mtu, QUEUE))
        # On its own: in one request the kernel would change the queue of an interface that
        # is up already, and lose what is sent at that moment.
        await self._ask(what, link_up(index))
        for address in interface.addresses:
            await self._add_address(what, index, address)

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
        what = f"another address of interface {name!r}"
        index = self._index(name)
        networks = [address.network for address in after]
        for address in before:
            await self._ask(what, no_address(index, address.ip, address.network.prefixlen))
        for address in after:
            await self._add_address(what, index, address)
        for route in routes:
            if any(route.via in network for network in networks):
                await self.add_route(route, "replace")

    async def add_route(self, route: Route, how: Literal["add", "replace"] = "add") -> None:
        """Add a route, or put it in the place of one to the same destination."""
        where = route.destination
        request = new_route(where.network_address, where.prefixlen, route.via)
        flags = CREATE | (EXCLUSIVE if how == "add" else REPLACE)
        await self._ask(f"the route to {where}", request, flags)

    async def add_veth(self, name: str, peer: "Links", peer_name: str) -> None:
        """Make a veth pair with one end in this node and one in the peer's."""
        request = new_veth(name, peer_name, peer._node.net)
        await self._ask(f"interface {name!r}", request, CREATE | EXCLUSIVE)

    async def _add_address(self, what: str, index: int, address: InterfaceAddress) -> None:
        request = new_address(index, address.ip, address.network.prefixlen)
        await self._ask(what, request, CREATE | EXCLUSIVE)

    async def _ask(self, what: str, request: bytes, flags: int = 0) -> None:
        try:
            await self._channel.ask(request, what, flags=flags)
        except XfrmError as error:
            raise NetworkError(
                f"{what} of node {self._node.name!r} was refused by the kernel: {error.reason}"
            ) from error

    def _index(self, name: str) -> int:
        with self._node.entered():
            try:
                return socket.if_nametoindex(name)
            except OSError as error:
                raise NetworkError(f"node {self._node.name!r} has no interface {name!r}") from error


@contextlib.contextmanager
def links(node: Node) -> Iterator[Links]:
    """Open a node's rtnetlink socket for the block; raises NetworkError."""
    with node.entered():
        try:
            channel = Channel(socket.NETLINK_ROUTE)
        except XfrmError as error:
            raise NetworkError(f"the links of node {node.name!r} cannot be set: {error}") from error
    try:
        yield Links(node, channel)
    finally:
        channel.close()
