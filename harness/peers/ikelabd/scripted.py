# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd within the harness, so that a scenario can hold, drop, replace and forge its messages.

    script = Script()
    held = script.sent(exchange=ExchangeType.CREATE_CHILD_SA, response=True).hold()
    net = lab.up(MOON_SUN, moon=Ikelabd().scripted(script), sun=sun, connection=NET_NET)
    ...
    net.moon.until(lambda: bool(held.messages))
    net.moon.act(held.release)
    net.moon.act(lambda engine, now: engine.commands.check_liveness(spi, now))

Its sockets and its data plane are those of the node, its loop is the lab's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.daemon.commands import Commands, Failed
from harness.daemon.configuration import ConfigurationError
from harness.daemon.credentials import Credentials
from harness.daemon.data_plane import DataPlaneError
from harness.daemon.dialects import DIALECTS, read_text
from harness.daemon.engine import Refusal
from harness.daemon.inbox import Stopped
from harness.daemon.key_log import WiresharkKeyLog
from harness.daemon.reports import Report, sentence
from harness.daemon.running import UNSCRIPTED, Scripting, make_service
from harness.daemon.service import Service
from harness.daemon.sockets import SocketError
from harness.network.node import Node
from harness.peers.contract import (
    Configuration,
    ConfigurationRefused,
    DataPlane,
    IkeSa,
    Listener,
    NegotiationFailed,
    PeerError,
    keep_copy,
)
from harness.peers.ikelabd.events import event_of, ike_of
from harness.peers.ikelabd.native import files_of

T = TypeVar("T")

LOG = "ikelabd.log"


@dataclass(frozen=True)
class ScriptedIkelabd:
    """ikelabd in the harness's own process, with a test between its engines and the wire."""

    scripting: Scripting = field(default=UNSCRIPTED, repr=False)
    name: str = "ikelabd"
    image: str = ""
    modules: tuple[str, ...] = ()
    negotiates: bool = True
    dialects: tuple[str, ...] = DIALECTS
    data_planes: tuple[DataPlane, ...] = ("kernel", "userspace")

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> ServiceInNode:
        """Run the daemon on this loop, in the node's network, and return when it can negotiate."""
        files = files_of(configuration)
        for file in files:
            keep_copy(file, logs)
        log = os.open(logs / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        key_log = WiresharkKeyLog(logs)
        try:
            first = files[0]
            read = read_text(first.text, first.path, configuration.dialect, Credentials(logs))
            read = replace(read, data_plane=configuration.data_plane)
            with node.entered():
                service = make_service(read, key_log=key_log, scripting=self.scripting)
        except ConfigurationError as error:
            raise ConfigurationRefused(f"ikelabd refused its configuration: {error}") from error
        except (SocketError, DataPlaneError, OSError) as error:
            raise PeerError(f"ikelabd on {node.name}: {error}") from error
        running = ServiceInNode(node.name, service, key_log, log)
        running.watch(listener)
        await service.start()
        return running


class ServiceInNode:
    """A service on the lab's loop as a daemon of its node.

    `observed` has every event of its engines, in order.
    """

    def __init__(self, node: str, service: Service, key_log: WiresharkKeyLog, log: int) -> None:
        self.service = service
        self.observed: list[Any] = []
        self._node = node
        self._commands = Commands(service)
        self._key_log = key_log
        self._log = log
        self._closed = False
        for engine in service.engines:
            engine.observe = self.observed.append

    def watch(self, listener: Listener) -> None:
        """Give every event from now on to a listener, and every report to the log."""

        def tell(report: Report) -> None:
            stamp = time.strftime("%H:%M:%S")
            os.write(self._log, f"{stamp} {sentence(report)}\n".encode())
            event = event_of(report)
            if event is not None:
                listener(event)

        self.service.listen(tell)

    async def act(self, work: Callable[[Any, float], T], version: int = 2) -> T:
        """See Scriptable."""
        endpoints = {engine.version: engine.endpoint for engine in self.service.engines}
        if version not in endpoints:
            raise PeerError(f"{self._node} has no IKEv{version} in its configuration")
        try:
            return await self.service.do(lambda now: work(endpoints[version], now))
        except Stopped as stopped:
            raise PeerError(f"ikelabd on {self._node}: {stopped}") from None

    async def until(self, condition: Callable[[], bool], within: float) -> None:
        """See Scriptable."""
        try:
            async with asyncio.timeout(within):
                await self.service.until(condition)
        except TimeoutError:
            what = getattr(condition, "__name__", "what the scenario waits for")
            raise AssertionError(f"{self._node}: {what} did not hold within {within:g} s") from None

    async def initiate(self, child: str, within: float) -> None:
        """See Daemon."""
        try:
            await self._commands.initiate(child, within)
        except (Failed, Refusal) as error:
            raise NegotiationFailed(f"ikelabd on {self._node}: {error}") from error

    async def terminate_child(self, child: str, within: float) -> None:
        """See Daemon."""
        try:
            await self._commands.terminate_child(child, within)
        except (Failed, Refusal) as error:
            raise NegotiationFailed(f"ikelabd on {self._node}: {error}") from error

    async def terminate_ike(self, name: str, within: float) -> None:
        """See Daemon."""
        try:
            await self._commands.terminate_ike(name, within)
        except (Failed, Refusal) as error:
            raise NegotiationFailed(f"ikelabd on {self._node}: {error}") from error

    async def rekey_child(self, child: str) -> None:
        """See Daemon."""
        try:
            await self._commands.rekey_child(child)
        except Refusal as error:
            raise PeerError(f"ikelabd on {self._node}: {error}") from error

    async def rekey_ike(self, name: str) -> None:
        """See Daemon."""
        try:
            await self._commands.rekey_ike(name)
        except Refusal as error:
            raise PeerError(f"ikelabd on {self._node}: {error}") from error

    async def sas(self) -> Sequence[IkeSa]:
        """See Daemon; none once it has ended."""
        return () if self._closed else [ike_of(ike) for ike in self.service.sas()]

    async def settled(self) -> None:
        """See Daemon: its messages have their turns in this process."""

    async def stop(self) -> None:
        """See Daemon."""
        if not self._closed:
            self._closed = True
            await self.service.stop()
            self._close_files()

    async def crash(self) -> None:
        """See Daemon: the kernel keeps what it has."""
        if not self._closed:
            self._closed = True
            await self.service.halt()
            self._close_files()

    async def close(self) -> None:
        """See Scriptable."""
        if not self._closed:
            self._closed = True
            await self.service.abort()
            self._close_files()

    def _close_files(self) -> None:
        self._key_log.close()
        os.close(self._log)
