# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of rtnetlink (rtnetlink(7)) for links, addresses and routes, as bytes.

Every run makes some twenty of them, and pyroute2 takes longer to write one than the kernel to do
what it says.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

from harness.kernel.messages import ATTRIBUTE_HEADER, HEADER, aligned

RTM_NEWLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 16, 20, 21, 24
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_TXQLEN, IFLA_LINKINFO, IFLA_NET_NS_FD = (
    1,
    3,
    4,
    13,
    18,
    28,
)
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_GATEWAY = 1, 5
IFF_UP = 1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
AF_INET, AF_INET6 = 2, 10
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
"""Flags of the header of a request that makes something."""

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")

Address = IPv4Address | IPv6Address


def link_settings(index: int, mac: str, mtu: int, queue: int) -> bytes:
    """Give a link its MAC address, MTU in bytes and queue in frames."""
    return _message(
        RTM_NEWLINK,
        _LINK.pack(0, 0, index, 0, 0),
        _attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))),
        _attribute(IFLA_MTU, _number(mtu)),
        _attribute(IFLA_TXQLEN, _number(queue)),
    )


def link_up(index: int) -> bytes:
    """Set a link up."""
    return _message(RTM_NEWLINK, _LINK.pack(0, 0, index, IFF_UP, IFF_UP))


def new_veth(name: str, peer: str, network: int) -> bytes:
    """Make a veth pair; `network` is a descriptor of the network namespace of the peer."""
    end = _LINK.pack(0, 0, 0, 0, 0)
    end += _attribute(IFLA_IFNAME, _text(peer)) + _attribute(IFLA_NET_NS_FD, _number(network))
    kind = _attribute(IFLA_INFO_KIND, _text("veth"))
    kind += _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, end))
    return _message(
        RTM_NEWLINK,
        _LINK.pack(0, 0, 0, 0, 0),
        _attribute(IFLA_IFNAME, _text(name)),
        _attribute(IFLA_LINKINFO, kind),
    )


def new_address(index: int, address: Address, prefix: int) -> bytes:
    """Add an address to a link; one of IPv6 is there at once, whoever else has it."""
    return _address(RTM_NEWADDR, index, address, prefix)


def no_address(index: int, address: Address, prefix: int) -> bytes:
    """Take an address from a link."""
    return _address(RTM_DELADDR, index, address, prefix)


def new_route(destination: Address, prefix: int, gateway: Address) -> bytes:
    """Add a route over a gateway to the main table."""
    scope = 0
    body = (prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0)
    return _message(
        RTM_NEWROUTE,
        _ROUTE.pack(_family(gateway), *body),
        _attribute(RTA_DST, destination.packed),
        _attribute(RTA_GATEWAY, gateway.packed),
    )


def _address(kind: int, index: int, address: Address, prefix: int) -> bytes:
    flags = 0 if address.version == 4 else IFA_F_NODAD
    return _message(
        kind,
        _ADDRESS.pack(_family(address), prefix, flags, 0, index),
        _attribute(IFA_LOCAL, address.packed),
        _attribute(IFA_ADDRESS, address.packed),
    )


def _message(kind: int, *parts: bytes) -> bytes:
    """A message without flags and sequence number, which who sends it fills in."""
    payload = b"".join(parts)
    return HEADER.pack(HEADER.size + len(payload), kind, 0, 0, 0) + payload


def _attribute(kind: int, payload: bytes) -> bytes:
    length = ATTRIBUTE_HEADER.size + len(payload)
    return ATTRIBUTE_HEADER.pack(length, kind) + payload + bytes(aligned(length) - length)


def _number(value: int) -> bytes:
    return struct.pack("=I", value)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6
