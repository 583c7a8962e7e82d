# SPDX-License-Identifier: GPL-2.0-or-later
"""Doing what engines want: key log, data plane and reports, one step after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from harness.daemon.data_plane import DataPlane, DataPlaneError
from harness.daemon.engine import Engine
from harness.daemon.reports import Child, IkeDown, Report, Trouble
from harness.daemon.retired import Retired
from harness.daemon.steps import (
    Install,
    LogIkeKeys,
    LogIsakmpKey,
    Move,
    Remove,
    Step,
    Switch,
    Tell,
)

Listener = Callable[[Report], None]


class KeyLog(Protocol):
    """Where the keys of SAs are written down for a decryptor."""

    def isakmp(self, step: LogIsakmpKey) -> None:
        """Write the key of an ISAKMP SA."""
        ...

    def ike(self, step: LogIkeKeys) -> None:
        """Write the keys of an IKE SA."""
        ...

    def child(self, step: Install) -> None:
        """Write the keys of a pair."""
        ...


class NoKeyLog:
    """Writes nothing down."""

    def isakmp(self, step: LogIsakmpKey) -> None:
        """See KeyLog."""

    def ike(self, step: LogIkeKeys) -> None:
        """See KeyLog."""

    def child(self, step: Install) -> None:
        """See KeyLog."""


class Enforcement:
    """Does the steps of engines; `keep` is for how long a rekeyed SA still receives."""

    def __init__(self, plane: DataPlane, key_log: KeyLog, tell: Listener, keep: float) -> None:
        self.plane = plane
        self.retired = Retired()
        self.keep = keep
        self._key_log = key_log
        self._tell = tell

    async def do(self, engine: Engine, step: Step, now: float) -> None:
        """Do one step; what the data plane refuses is told, and undone in the engine."""
        match step:
            case LogIsakmpKey() | LogIkeKeys():
                self._write_down(step)
            case Install(pair, hold):
                self._write_down(step)
                if not await self._asked(self.plane.install(pair, outbound=not hold)):
                    engine.not_installed(pair.inbound.spi, now)
            case Switch(spi):
                await self._asked(self.plane.switch(spi))
            case Remove(child, replaced):
                await self._remove(child, now, replaced)
            case Move(spi, path, encapsulated):
                await self._asked(self.plane.move(spi, path, encapsulated=encapsulated))
            case Tell(report):
                self._tell(report)
                if isinstance(report, IkeDown):
                    # No peer sends on a rekeyed SA any more once the IKE SA itself is gone.
                    await self._forget(self.retired.take_of(report.ike.name))

    def _write_down(self, step: LogIsakmpKey | LogIkeKeys | Install) -> None:
        try:
            match step:
                case LogIsakmpKey():
                    self._key_log.isakmp(step)
                case LogIkeKeys():
                    self._key_log.ike(step)
                case Install():
                    self._key_log.child(step)
        except OSError as error:
            self._tell(Trouble(f"keys are not written down: {error.strerror}"))

    async def pass_time(self, now: float) -> None:
        """Remove the rekeyed SAs whose time is over."""
        await self._forget(self.retired.take_due(now))

    async def _remove(self, child: Child, now: float, replaced: bool) -> None:
        if replaced and self.keep > 0:
            self.retired.add(child, now + self.keep)
            await self._asked(self.plane.retire(child.inbound))
        else:
            await self._asked(self.plane.remove(child.inbound))

    async def _forget(self, children: list[Child]) -> None:
        for child in children:
            await self._asked(self.plane.remove(child.inbound))

    async def _asked(self, work: Awaitable[None]) -> bool:
        try:
            await work
        except DataPlaneError as error:
            self._tell(Trouble(str(error)))
            return False
        return True
