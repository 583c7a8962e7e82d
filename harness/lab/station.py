# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands on a gateway: its daemon, a socket to its kernel, and the journal of both.

Belongs to the lab's loop; `Gateway` is the same for a scenario.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from harness.kernel.events import Expire, SaAdded, SaDeleted, SaUpdated
from harness.kernel.sad import Sad
from harness.kernel.socket import XfrmSocket
from harness.kernel.spd import Spd
from harness.kernel.statistics import read_statistics
from harness.lab.event_log import EventLog
from harness.lab.journal import Journal, NotSeen
from harness.network.node import Node
from harness.peers.console.in_node import HasConsole
from harness.peers.contract import (
    ChildRekeyed,
    ChildSa,
    ChildUp,
    Configuration,
    Daemon,
    DataPlane,
    IkeDown,
    IkeRekeyed,
    IkeSa,
    Peer,
    PeerError,
    Scriptable,
)

INSTALLATIONS: tuple[type[SaAdded | SaUpdated], ...] = (SaAdded, SaUpdated)
POLL, SELDOM = 0.05, 0.4
"""Seconds between the first looks at a daemon with ESP of its own, and between later ones.

It announces no deletion. Each look costs as much as several packets, mostly within the daemon.
"""


class Station:
    """A gateway's daemon and kernel, and what they told so far."""

    def __init__(self, node: Node, peer: Peer, data_plane: DataPlane, log: EventLog) -> None:
        self.node = node
        self.peer = peer
        self.data_plane = data_plane
        self.journal = Journal(node.name, partial(log.write, node.name))
        self._daemon: Daemon | None = None
        self._started: tuple[Configuration, Path] | None = None
        # Where in the journal a CHILD_SA came up: what becomes of it stands behind that.
        self._came_up: dict[int, int] = {}
        with node.entered():
            self._xfrm = XfrmSocket()

    async def start(self, configuration: Configuration, logs: Path) -> None:
        """Watch the kernel, then start the daemon; nothing of either is missed."""
        await self._xfrm.record(self.journal.record)
        self._started = (configuration, logs)
        await self.start_again()

    async def start_again(self) -> None:
        """Start the daemon once more as it was started first; what was before has ended.

        Raises `PeerError` before it was started at all.
        """
        if self._started is None:
            raise PeerError(f"{self.node.name} has no daemon yet: bring the lab up first")
        configuration, logs = self._started
        self._daemon = await self.peer.start(self.node, configuration, self.journal.record, logs)

    @property
    def running(self) -> Daemon:
        """The daemon; raises `PeerError` before it was started."""
        if self._daemon is None:
            raise PeerError(f"{self.node.name} has no daemon yet: bring the lab up first")
        return self._daemon

    @property
    def scripted(self) -> Scriptable:
        """The daemon, where it runs within the harness; raises `PeerError` for others."""
        if not isinstance(self._daemon, Scriptable):
            raise PeerError(f"{self.peer.name} on {self.node.name} is not scripted")
        return self._daemon

    async def open_console(self) -> int:
        """A terminal with the daemon's console at its other end; raises `PeerError`."""
        daemon = self.running
        if not isinstance(daemon, HasConsole):
            raise PeerError(f"{self.peer.name} on {self.node.name} has no console")
        return await daemon.open_console()

    async def close(self) -> None:
        """Close the socket to the kernel; a daemon that is a process ends with its node."""
        if isinstance(self._daemon, Scriptable):
            await self._daemon.close()
        self._xfrm.close()

    # Waits.

    async def initiate(self, child: str, within: float) -> ChildSa:
        """Bring a CHILD_SA up, and return it once the daemon has announced it."""
        since = len(self.journal.entries)
        await self.running.initiate(child, within)
        return await self.child_up(child, within, since)

    async def child_up(
        self, child: str, within: float, since: int = 0, inbound: int | None = None
    ) -> ChildSa:
        """The CHILD_SA of that name, and with an SPI of that, up after position `since`."""
        entry = await self.journal.first(
            ChildUp,
            lambda up: up.child.name == child and inbound in (None, up.child.inbound),
            f"CHILD_SA {child} up",
            within,
            since,
        )
        up: ChildUp = entry.event
        self._came_up[up.child.inbound] = entry.position
        return up.child

    async def rekeyed(self, old: ChildSa, within: float) -> ChildSa:
        """The CHILD_SA that replaced `old`."""
        entry = await self.journal.first(
            ChildRekeyed,
            lambda event: _same(event.old, old),
            f"rekeying of {old}",
            within,
            self._came_up.get(old.inbound, 0),
        )
        rekeyed: ChildRekeyed = entry.event
        self._came_up[rekeyed.new.inbound] = entry.position
        return rekeyed.new

    async def deleted(self, old: ChildSa, within: float) -> None:
        """Return when neither half of `old` is left here."""
        if self.data_plane == "userspace":
            await self._unlisted(old, within)
            return
        for spi in (old.outbound, old.inbound):
            await self.journal.first(
                (SaDeleted, Expire),
                partial(_removes, spi),
                f"deletion of SA 0x{spi:08x}",
                within,
                self._came_up.get(old.inbound, 0),
            )

    async def ike_down(self, name: str, within: float, initiator_spi: int | None) -> IkeSa:
        """The IKE SA of that name, and with an SPI of that, that is gone."""
        entry = await self.journal.first(
            IkeDown,
            lambda event: (
                event.ike.name == name and initiator_spi in (None, event.ike.initiator_spi)
            ),
            f"end of IKE SA {name}",
            within,
        )
        down: IkeDown = entry.event
        return down.ike

    async def ike_rekeyed(self, old: IkeSa, within: float) -> IkeSa:
        """The IKE SA that replaced `old`."""
        entry = await self.journal.first(
            IkeRekeyed,
            lambda event: (
                (event.old.initiator_spi, event.old.responder_spi)
                == (old.initiator_spi, old.responder_spi)
            ),
            f"rekeying of IKE SA {old.name}",
            within,
        )
        rekeyed: IkeRekeyed = entry.event
        return rekeyed.new

    async def soft_expire(self, spi: int, within: float) -> float:
        """Seconds from the installation of an SA to its soft EXPIRE."""
        expire = await self.journal.first(
            Expire,
            lambda event: event.sa.spi == spi and not event.hard,
            f"soft EXPIRE of SA 0x{spi:08x}",
            within,
        )
        return (expire.time_ns - self._installed(spi)) / 1e9

    def rekey_to_deletion(self, old: ChildSa, spi: int) -> float:
        """Seconds between the replacement of `old` and the kernel's deletion of one half of it.

        Raises `NotSeen` where either has not happened.
        """
        rekeyed = next(self.journal.of(ChildRekeyed, lambda e: _same(e.old, old)), None)
        deleted = next(self.journal.of(SaDeleted, lambda e: e.sa.spi == spi), None)
        if rekeyed is None or deleted is None:
            raise NotSeen(f"{self.node.name}: {old} was not both rekeyed and deleted")
        return (deleted.time_ns - rekeyed.time_ns) / 1e9

    # State.

    async def sad(self) -> Sad:
        """The kernel's SAs."""
        return await self._xfrm.sad()

    async def spd(self) -> Spd:
        """The kernel's policies."""
        return await self._xfrm.spd()

    def statistics(self) -> Mapping[str, int]:
        """The kernel's XFRM counters of this node."""
        return read_statistics(self.node.pid)

    async def children(self) -> Sequence[ChildSa]:
        """The CHILD_SAs that the daemon lists."""
        return [child for ike in await self.running.sas() for child in ike.children]

    def _installed(self, spi: int) -> int:
        # A daemon that allocated the SPI first fills that larval SA: an update to the kernel.
        added = next(self.journal.of(INSTALLATIONS, lambda event: event.sa.spi == spi), None)
        if added is None:
            raise NotSeen(f"{self.node.name}: no SA 0x{spi:08x} was ever installed")
        return added.time_ns

    async def _unlisted(self, old: ChildSa, within: float) -> None:
        pause = POLL
        try:
            async with asyncio.timeout(within):
                while any(_same(child, old) for child in await self.children()):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, SELDOM)
        except TimeoutError:
            raise NotSeen(f"{self.node.name}: {old} is still there after {within:g} s") from None


def _removes(spi: int, event: SaDeleted | Expire) -> bool:
    """Whether the kernel tells with this that it has an SA no more.

    One whose lifetime ends it removes itself, and then says only that.
    """
    ends = isinstance(event, SaDeleted) or event.hard
    return ends and event.sa.spi == spi


def _same(one: ChildSa, other: ChildSa) -> bool:
    """Whether two views are of one CHILD_SA: a half may be gone from the later one."""
    return one.inbound == other.inbound or (
        one.inbound == 0 and one.outbound == other.outbound != 0
    )
