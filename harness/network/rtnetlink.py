# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of rtnetlink (rtnetlink(7)) for links, addresses and routes, as pyroute2 writes them.

Each is written once: the warm network of a lab kernel has asked for the same as a run's will, and
pyroute2 takes longer to write a request than the kernel to do what it says. Flags and sequence
number of the header are zero; who sends a request fills them in.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6

from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    rt_proto,
    rt_type,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
"""Flags of the header of a request that makes something (NLM_F_REPLACE, _EXCL, _CREATE)."""
RT_TABLE_MAIN = 254

Address = IPv4Address | IPv6Address


@lru_cache
def link_settings(index: int, mac: str, mtu: int, queue: int) -> bytes:
    """Give a link its MAC address, MTU in bytes and queue in frames."""
    settings = {"IFLA_ADDRESS": mac, "IFLA_MTU": mtu, "IFLA_TXQLEN": queue}
    return _written(ifinfmsg(), RTM_NEWLINK, {"index": index}, settings)


@lru_cache
def link_up(index: int) -> bytes:
    """Set a link up."""
    return _written(ifinfmsg(), RTM_NEWLINK, {"index": index, "flags": IFF_UP, "change": IFF_UP})


def new_veth(name: str, peer: str, network: int) -> bytes:
    """Make a veth pair; `network` is a descriptor of the network namespace of the peer."""
    end = [["IFLA_IFNAME", peer], ["IFLA_NET_NS_FD", network]]
    pair = [["VETH_INFO_PEER", {"attrs": end}]]
    kind = [["IFLA_INFO_KIND", "veth"], ["IFLA_INFO_DATA", {"attrs": pair}]]
    attributes = {"IFLA_IFNAME": name, "IFLA_LINKINFO": {"attrs": kind}}
    return _written(ifinfmsg(), RTM_NEWLINK, {}, attributes)


@lru_cache
def new_address(index: int, address: Address, prefix: int) -> bytes:
    """Add an address to a link; one of IPv6 is there at once, whoever else has it."""
    return _address(RTM_NEWADDR, index, address, prefix)


@lru_cache
def no_address(index: int, address: Address, prefix: int) -> bytes:
    """Take an address from a link."""
    return _address(RTM_DELADDR, index, address, prefix)


@lru_cache
def new_route(destination: Address, prefix: int, gateway: Address) -> bytes:
    """Add a route over a gateway to the main table."""
    body = {
        "family": _family(gateway),
        "dst_len": prefix,
        "table": RT_TABLE_MAIN,
        "proto": rt_proto["static"],
        "type": rt_type["unicast"],
    }
    attributes = {"RTA_DST": str(destination), "RTA_GATEWAY": str(gateway)}
    return _written(rtmsg(), RTM_NEWROUTE, body, attributes)


def _address(kind: int, index: int, address: Address, prefix: int) -> bytes:
    body = {
        "index": index,
        "family": _family(address),
        "prefixlen": prefix,
        "flags": 0 if address.version == 4 else IFA_F_NODAD,
    }
    attributes = {"IFA_LOCAL": str(address), "IFA_ADDRESS": str(address)}
    return _written(ifaddrmsg(), kind, body, attributes)


def _written(
    message: nlmsg,
    kind: int,
    body: Mapping[str, int],
    attributes: Mapping[str, object] | None = None,
) -> bytes:
    message.update(body)
    message["attrs"] = [[name, value] for name, value in (attributes or {}).items()]
    message["header"]["type"] = kind
    message.encode()
    return bytes(message.data)


def _family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6
