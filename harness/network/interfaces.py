# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's interfaces, addresses and routes, set over rtnetlink."""

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    rt_proto,
    rt_type,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from harness.kernel.channel import Channel
from harness.kernel.errors import XfrmError
from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.topology import Interface, InterfaceAddress, Route, Wire
from harness.network.wires import QUEUE

REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
IFA_F_NODAD = 0x02
RT_TABLE_MAIN = 254

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
        settings = {
            "IFLA_ADDRESS": interface.mac,
            "IFLA_MTU": wire.mtu,
            "IFLA_TXQLEN": QUEUE,
        }
        await self._ask(what, RTM_NEWLINK, ifinfmsg(), {"index": index}, settings)
        # On its own: in one request the kernel would change the queue of an interface that
        # is up already, and lose what is sent at that moment.
        up = {"index": index, "flags": IFF_UP, "change": IFF_UP}
        await self._ask(what, RTM_NEWLINK, ifinfmsg(), up)
        for address in interface.addresses:
            await self._address(what, RTM_NEWADDR, index, address)

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
            await self._address(what, RTM_DELADDR, index, address)
        for address in after:
            await self._address(what, RTM_NEWADDR, index, address)
        for route in routes:
            if any(route.via in network for network in networks):
                await self.add_route(route, "replace")

    async def add_route(self, route: Route, how: Literal["add", "replace"] = "add") -> None:
        """Add a route, or put it in the place of one to the same destination."""
        body = {
            "family": _family(route.via.version),
            "dst_len": route.destination.prefixlen,
            "table": RT_TABLE_MAIN,
            "proto": rt_proto["static"],
            "type": rt_type["unicast"],
        }
        attributes = {
            "RTA_DST": str(route.destination.network_address),
            "RTA_GATEWAY": str(route.via),
        }
        flags = CREATE | (EXCLUSIVE if how == "add" else REPLACE)
        what = f"the route to {route.destination}"
        await self._ask(what, RTM_NEWROUTE, rtmsg(), body, attributes, flags)

    async def add_veth(self, name: str, peer: "Links", peer_name: str) -> None:
        """Make a veth pair with one end in this node and one in the peer's."""
        end = [["IFLA_IFNAME", peer_name], ["IFLA_NET_NS_FD", peer._node.net]]
        pair = [["VETH_INFO_PEER", {"attrs": end}]]
        kind = [["IFLA_INFO_KIND", "veth"], ["IFLA_INFO_DATA", {"attrs": pair}]]
        attributes = {"IFLA_IFNAME": name, "IFLA_LINKINFO": {"attrs": kind}}
        flags = CREATE | EXCLUSIVE
        await self._ask(f"interface {name!r}", RTM_NEWLINK, ifinfmsg(), {}, attributes, flags)

    async def _address(self, what: str, kind: int, index: int, address: InterfaceAddress) -> None:
        body = {
            "index": index,
            "family": _family(address.version),
            "prefixlen": address.network.prefixlen,
            "flags": 0 if address.version == 4 else IFA_F_NODAD,
        }
        attributes = {"IFA_LOCAL": str(address.ip), "IFA_ADDRESS": str(address.ip)}
        flags = CREATE | EXCLUSIVE if kind == RTM_NEWADDR else 0
        await self._ask(what, kind, ifaddrmsg(), body, attributes, flags)

    async def _ask(
        self,
        what: str,
        kind: int,
        message: nlmsg,
        body: Mapping[str, int],
        attributes: Mapping[str, object] | None = None,
        flags: int = 0,
    ) -> None:
        message.update(body)
        message["attrs"] = [[name, value] for name, value in (attributes or {}).items()]
        message["header"]["type"] = kind
        message.encode()
        try:
            await self._channel.ask(bytes(message.data), what, flags=flags)
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


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


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
