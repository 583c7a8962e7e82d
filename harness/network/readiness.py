# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting until the kernel has done what it does in the background with an interface.

Netlink answers a request before the link is up and before an IPv6 address can be asked for; what
is sent meanwhile is lost.
"""

import asyncio
import ctypes
import fcntl
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.topology import Interface

SIOCGIFFLAGS = 0x8913
SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0xA
IFF_RUNNING = 0x40
IFA_F_TENTATIVE = 0x40
RTMGRP_LINK, RTMGRP_IPV6_IFADDR = 0x1, 0x100
DEADLINE = 5.0


async def carrier(node: Node, name: str, present: bool = True) -> None:
    """Return when an interface has a link, or has none; raises NetworkError.

    The kernel notices some time after the cause, up to a second for a link that is lost.
    """
    missing = "had no link" if present else "kept its link"
    await _until(
        node, RTMGRP_LINK, lambda sock: _runs(sock, name) is present, f"interface {name!r}", missing
    )


async def reachable(node: Node, interface: Interface) -> None:
    """Return when neighbours can ask for the interface's IPv6 addresses; raises NetworkError.

    That is when the link-local address is there, which routers ask from, and the solicited-node
    group of each address has been joined (RFC 4291 section 2.7.1).
    """
    wanted = [ip.ip for ip in interface.addresses if isinstance(ip.ip, IPv6Address)]
    if not wanted:
        return
    wanted.append(link_local(interface.mac))
    groups = {_solicited_node(address) for address in wanted}
    addresses = {address.packed.hex() for address in wanted}
    proc = Path(f"/proc/{node.pid}/net")

    def ready(_: socket.socket) -> bool:
        assigned = {
            line.split()[0]
            for line in (proc / "if_inet6").read_text().splitlines()
            if line.split()[5] == interface.name and not int(line.split()[4], 16) & IFA_F_TENTATIVE
        }
        joined = {
            line.split()[2]
            for line in (proc / "igmp6").read_text().splitlines()
            if line.split()[1] == interface.name
        }
        return addresses <= assigned and groups <= joined

    # A message comes for each address when the kernel is done with it.
    what = f"interface {interface.name!r}"
    await _until(node, RTMGRP_IPV6_IFADDR, ready, what, "could not be asked for over IPv6")


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address that a kernel makes of a MAC address (RFC 4291 A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def _solicited_node(address: IPv6Address) -> str:
    return IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + address.packed[-3:]).packed.hex()


async def _until(
    node: Node, events: int, true: Callable[[socket.socket], bool], what: str, otherwise: str
) -> None:
    """Return when `true`, which is asked again after each rtnetlink message of the groups."""
    loop = asyncio.get_running_loop()
    with node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        # Subscribed before the first look, so that no change is missed between the two.
        sock.bind((0, events))
        try:
            async with asyncio.timeout(DEADLINE):
                while not true(sock):
                    await loop.sock_recv(sock, 65536)
        except TimeoutError as error:
            raise NetworkError(
                f"{what} of node {node.name!r} {otherwise} for {DEADLINE:g} s"
            ) from error
        except OSError as error:
            raise NetworkError(
                f"{what} of node {node.name!r} cannot be watched: {error.strerror}"
            ) from error


def _runs(sock: socket.socket, name: str) -> bool:
    # Since 6.8 this question makes the kernel do what it would otherwise put off for up to a
    # second. What it answers is not the link as others see it, so the flags are looked at after.
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_GLINK, 0))
    fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sQ16x", name.encode(), ctypes.addressof(value)))
    answer = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    flags: int = struct.unpack_from("16xH", answer)[0]
    return bool(flags & IFF_RUNNING)
