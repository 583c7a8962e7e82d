# SPDX-License-Identifier: GPL-2.0-or-later
"""A TUN device and the routes that lead into it what is to be protected.

The device goes when its descriptor is closed, however the process ends, and its routes go with it.
The routes are in a table of their own, which whoever has no mark of an exempt socket is sent to
first; that rule is all that a killed process leaves, and with no route in its table it does
nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.daemon.data_plane import DataPlaneError
from harness.daemon.exemption import MARK
from harness.kernel.addresses import Address, Network, family_of

LARGEST_PACKET = 65536
SMALLEST_MTU = 1280
"""A device with a smaller one has no IPv6 (RFC 8200 section 5)."""
QUEUE = 5_000
PRIORITY = 500
"""Of the rules: after that for own addresses (0) and before those of the host's routes (32766)."""
DEVICE = "ikelab"
"""What the name of every device begins with; a number follows."""
TABLES = 0x1CE00000
"""The first table; each device has that of its index."""

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_EXISTS, _NOT_THERE, _NO_FAMILY = 17, (2, 3, 19), (95, 97)


class Tun:
    """A TUN device in the network namespace that the thread is in when it is made.

    `read` and `write` are for whole IP packets. The async methods raise DataPlaneError.
    """

    def __init__(self) -> None:
        """Make the device, which is down; raises DataPlaneError."""
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DataPlaneError(
                f"/dev/net/tun cannot be opened: {error.strerror}; the userspace data plane needs "
                "TUN in the kernel and its device in /dev"
            ) from error
        try:
            request = struct.pack("16sH22x", f"{DEVICE}%d".encode(), _IFF_TUN | _IFF_NO_PI)
            answer = fcntl.ioctl(self._fd, _TUNSETIFF, request)
            self.name = answer[:16].rstrip(b"\0").decode()
            self.index = socket.if_nametoindex(self.name)
            self._netlink: Any = AsyncIPRoute(ext_ack=True)
            # The socket is made when it is first looked at: now, in this namespace.
            _ = self._netlink.socket
        except OSError as error:
            os.close(self._fd)
            raise DataPlaneError(
                f"no TUN device can be made: {error.strerror}; run as the network's administrator"
            ) from error
        self.mtu = 0
        self._table = TABLES + self.index
        self._routes: Counter[Network] = Counter()
        self._rules: list[int] = []

    def fileno(self) -> int:
        """The descriptor that is readable when there is a packet to protect."""
        return self._fd

    def read(self) -> bytes:
        """The next packet that the host wants to send; raises BlockingIOError without one."""
        return os.read(self._fd, LARGEST_PACKET)

    def write(self, packet: bytes) -> bool:
        """Hand the host a packet as if it had come over a link; was it taken?"""
        try:
            os.write(self._fd, packet)
        except OSError:
            return False
        return True

    async def start(self, mtu: int) -> None:
        """Set the device up, and the rule that leads to its routes."""
        await self._netlink.setup_endpoint()
        with _explained(f"TUN device {self.name!r}"):
            await self._netlink.link("set", index=self.index, mtu=mtu, txqlen=QUEUE)
            await self._netlink.link("set", index=self.index, state="up")
            self.mtu = mtu
            for family in _FAMILIES:
                await self._add_rule(family)

    async def resize(self, mtu: int) -> None:
        """Set another MTU, of 1280 bytes at least."""
        mtu = max(mtu, SMALLEST_MTU)
        if mtu != self.mtu:
            with _explained(f"MTU {mtu} of TUN device {self.name!r}"):
                await self._netlink.link("set", index=self.index, mtu=mtu)
            self.mtu = mtu

    async def attract(self, networks: Iterable[Network], sources: Iterable[Network]) -> None:
        """Lead packets to `networks` into the device, once more for each time that it is said.

        They get an own address within `sources`, where there is one, unless they have a source.
        All or nothing.
        """
        done: list[Network] = []
        try:
            for network in networks:
                if not self._routes[network]:
                    await self._add_route(network, sources)
                self._routes[network] += 1
                done.append(network)
        except DataPlaneError:
            await self.release(done)
            raise

    async def release(self, networks: Iterable[Network]) -> None:
        """Take back an `attract`."""
        for network in networks:
            self._routes[network] -= 1
            if not self._routes[network]:
                del self._routes[network]
                with _explained(f"route to {network}", allowed=_NOT_THERE):
                    await self._netlink.route("del", **self._route(network))

    def abandon(self) -> None:
        """Close a device that was never started."""
        os.close(self._fd)
        self._fd = -1
        self._netlink.close()

    async def close(self) -> None:
        """Remove the rules and the device with its routes; closing twice is fine."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            for family in self._rules:
                with _explained("rule", allowed=_NOT_THERE):
                    await self._netlink.rule("del", **self._rule(family))
        finally:
            os.close(fd)
            self._netlink.close()

    async def _add_route(self, network: Network, sources: Iterable[Network]) -> None:
        source = await self._own_address(sources, network.version)
        preferred = {"prefsrc": str(source)} if source else {}
        with _explained(f"route to {network}"):
            await self._netlink.route("add", **self._route(network), **preferred)

    async def _add_rule(self, family: int) -> None:
        try:
            await self._netlink.rule("add", **self._rule(family))
        except NetlinkError as error:
            if error.code in _NO_FAMILY:
                return
            # A killed process has left it, whose device had the same index.
            if error.code != _EXISTS:
                raise
        self._rules.append(family)

    def _rule(self, family: int) -> dict[str, Any]:
        # A mask without a mark: none of the mark's bits may be set.
        return {"family": family, "table": self._table, "priority": PRIORITY, "fwmask": MARK}

    def _route(self, network: Network) -> dict[str, Any]:
        return {
            "family": family_of(network),
            "dst": str(network),
            "oif": self.index,
            "table": self._table,
        }

    async def _own_address(self, networks: Iterable[Network], version: int) -> Address | None:
        wanted = [network for network in networks if network.version == version]
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        async for message in await self._netlink.get_addr(family=family):
            address = ip_address(message.get("local") or message.get("address"))
            if not address.is_link_local and any(address in network for network in wanted):
                return address
        return None


@contextlib.contextmanager
def _explained(what: str, allowed: tuple[int, ...] = ()) -> Any:
    try:
        yield
    except NetlinkError as error:
        if error.code not in allowed:
            raise DataPlaneError(f"The kernel refused the {what}: {error}") from error
