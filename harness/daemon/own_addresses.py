# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's own addresses, and word of it when they or the ways out of it change (rtnetlink)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import (
    RTM_DELROUTE,
    RTM_NEWROUTE,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_LINK,
)

Changed = Callable[[frozenset[str]], None]
"""Takes the addresses that packets can have as their source now."""

_GROUPS = (
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE,
)
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_LARGEST = 1 << 16
_HEADER = struct.Struct("=IHHII")
_UP = 0x1 | 0x40
"""IFF_UP and IFF_RUNNING: an interface that is to be used, and can be."""


class OwnAddresses:
    """The addresses of the network namespace that the thread is in when it is made."""

    def __init__(self) -> None:
        """Open the sockets; raises `OSError`."""
        self._news = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        self._netlink: Any = AsyncIPRoute()
        # The socket is made when it is first looked at: now, in this namespace.
        _ = self._netlink.socket
        self._known: frozenset[str] = frozenset()
        self._looking: asyncio.Task[None] | None = None
        self._stale = False

    async def watch(self, changed: Changed) -> None:
        """Call `changed` after each change from now on; done once is enough."""
        if self._news.getsockname()[1]:
            return
        await self._netlink.setup_endpoint()
        self._news.bind((0, 0))
        for group in _GROUPS:
            self._news.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        asyncio.get_running_loop().add_reader(self._news, self._take, changed)
        self._known = await self._look()

    def close(self) -> None:
        """Tell of nothing any more; closing twice is fine."""
        if self._news.fileno() < 0:
            return
        if self._looking is not None:
            self._looking.cancel()
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._news)
        self._news.close()
        self._netlink.close()

    def _take(self, changed: Changed) -> None:
        only_routes = True
        while True:
            try:
                told = self._news.recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                # More was told than there was room for: any of it may have been about addresses.
                only_routes = False
                continue
            only_routes &= _HEADER.unpack_from(told)[1] in (RTM_NEWROUTE, RTM_DELROUTE)
        if self._looking is not None:
            self._stale = True
        elif only_routes:
            # A way to a peer may be there again.
            changed(self._known)
        else:
            self._looking = asyncio.create_task(self._tell(changed))

    async def _tell(self, changed: Changed) -> None:
        try:
            self._stale = True
            while self._stale:
                self._stale = False
                self._known = await self._look()
            changed(self._known)
        finally:
            self._looking = None

    async def _look(self) -> frozenset[str]:
        try:
            up = {
                link["index"]
                async for link in await self._netlink.get_links()
                if link["flags"] & _UP == _UP
            }
            usable = {
                address.get("local") or address.get("address")
                async for address in await self._netlink.get_addr()
                if address["index"] in up
            }
        except NetlinkError:
            # It changed while it was looked at, so there will be news.
            return self._known
        return frozenset(usable)
