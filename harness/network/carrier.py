# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an interface has its link, and waiting until the kernel says so."""

import asyncio
import fcntl
import socket
import struct

from harness.network.namespaces import NetworkError, Node

SIOCGIFFLAGS = 0x8913
IFF_RUNNING = 0x40
RTMGRP_LINK = 1
DEADLINE = 5.0


async def carrier(node: Node, name: str, present: bool = True) -> None:
    """Return when an interface has a link, or has none; raises NetworkError.

    The kernel notices some time after the cause, up to a second for a link that is lost.
    """
    loop = asyncio.get_running_loop()
    with node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        # Subscribed before the first look, so that no change is missed between the two.
        sock.bind((0, RTMGRP_LINK))
        try:
            async with asyncio.timeout(DEADLINE):
                while _runs(sock, name) is not present:
                    await loop.sock_recv(sock, 65536)
        except TimeoutError as error:
            missing = "had no link" if present else "kept its link"
            raise NetworkError(
                f"interface {name!r} of node {node.name!r} {missing} for {DEADLINE:g} s"
            ) from error
        except OSError as error:
            raise NetworkError(
                f"interface {name!r} of node {node.name!r} cannot be watched: {error.strerror}"
            ) from error


def _runs(sock: socket.socket, name: str) -> bool:
    answer = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    flags: int = struct.unpack_from("16xH", answer)[0]
    return bool(flags & IFF_RUNNING)
