# SPDX-License-Identifier: GPL-2.0-or-later
"""What a userspace plane leaves when it is killed: rules without routes, and a table of nftables.

The table keeps traffic out in clear, which is right as long as nobody protects it. Whoever starts
next in the same network takes over, whichever its data plane is.
"""

from __future__ import annotations

import socket
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.daemon.data_plane import DataPlaneError
from harness.daemon.exemption import MARK
from harness.daemon.userspace.guard import Guard
from harness.daemon.userspace.tun import DEVICE, PRIORITY, TABLES

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Leftovers:
    """Those in the network namespace that the thread is in when this is made."""

    def __init__(self) -> None:
        self._guard = Guard("")
        self._netlink: Any = AsyncIPRoute(ext_ack=True)
        # The socket is made when it is first looked at: now, in this namespace.
        _ = self._netlink.socket

    async def remove(self) -> None:
        """Remove them; the devices of those that live say which are none. Raises DataPlaneError."""
        try:
            await self._netlink.setup_endpoint()
            rules = [
                (family, rule.get("table"))
                for family in _FAMILIES
                async for rule in await self._netlink.get_rules(family=family)
                if rule.get("priority") == PRIORITY and rule.get("fwmask") == MARK
            ]
            # Who lives had its device before its rule; to read a link takes longer than all else.
            living = await self._living() if rules else set()
            left = [(family, table) for family, table in rules if table - TABLES not in living]
            for family, table in left:
                await self._netlink.rule(
                    "del", family=family, table=table, priority=PRIORITY, fwmask=MARK
                )
        except NetlinkError as error:
            raise DataPlaneError(f"The kernel does not tell its rules: {error}") from error
        finally:
            self._netlink.close()
        try:
            # To start nftables takes longer than all else: without a rule there is no table.
            if left:
                await self._guard.remove_killed()
        finally:
            self._guard.abandon()

    async def _living(self) -> set[int]:
        """The devices of the planes that are there."""
        return {
            link["index"]
            async for link in await self._netlink.link("dump")
            if link.get("ifname").startswith(DEVICE)
        }
