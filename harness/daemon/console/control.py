# SPDX-License-Identifier: GPL-2.0-or-later
"""What a console asks of a daemon: how things are, another configuration, all SAs gone.

These are commands of the control socket, beside those of `control`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.daemon.configuration import ConfigurationError, DaemonConfiguration
from harness.daemon.control import Answer, Request, Verb
from harness.daemon.engine import Refusal
from harness.daemon.history import History
from harness.daemon.ikev1 import Ikev1
from harness.daemon.service import Service
from harness.daemon.status_lines import plain_status

if TYPE_CHECKING:
    from harness.ike.v1.events import Event

FILE = "console"
"""The file that a configuration is said to be from which somebody has typed."""

Read = Callable[[str, str, str], DaemonConfiguration]
"""Reads a text, said to be from a file, in a dialect; raises `ConfigurationError`."""


class ConsoleControl:
    """Answers for one service from when it is made; make it before the service starts."""

    def __init__(self, service: Service, read: Read) -> None:
        self._service = service
        self._read = read
        engine = next(one for one in service.engines if isinstance(one, Ikev1))
        self._history = History(service.configuration, time.time, engine.reqid)
        before = engine.observe
        engine.observe = lambda event: self._see(event, before)

    def verbs(self) -> Mapping[str, Verb]:
        """The commands by their names."""
        return {"status": self._status, "load": self._load, "clear": self._clear}

    def _see(self, event: Event, before: Callable[[Any], None]) -> None:
        before(event)
        self._history.take(event)

    async def _status(self, request: Request) -> Answer:
        self._history.configuration = self._service.configuration
        carried = {spi: await self._service.carried(spi) for spi in self._history.inbound_spis()}
        return {"status": plain_status(self._history.status(carried))}

    async def _load(self, request: Request) -> Answer:
        now = self._service.configuration
        try:
            found = self._read(request.name("text"), FILE, request.name("dialect"))
        except ConfigurationError as error:
            raise Refusal(str(error)) from None
        new = [host for host in found.listen if now.listen and host not in now.listen]
        if new:
            raise Refusal(
                f"ikelabd listens on {', '.join(now.listen)} since it has begun,"
                f" and not on {', '.join(new)}; start it again"
            )
        # What it began with is more than what it needs now, and stays.
        found = replace(found, listen=now.listen, data_plane=now.data_plane)
        await self._service.reconfigure(found)
        return {}

    async def _clear(self, request: Request) -> Answer:
        engines = self._service.engines

        def clear(now: float) -> None:
            for engine in engines:
                for connection in engine.connections():
                    engine.terminate_ike(connection, now)

        await self._service.do(clear)
        await self._service.reconfigure(self._service.configuration)
        return {}
