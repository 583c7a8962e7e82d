# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd as a process of its node, told and watched over its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.network.node import Node
from harness.network.process import Process
from harness.peers.console.in_node import open_terminal
from harness.peers.contract import (
    ChildUp,
    Exited,
    IkeSa,
    IkeUp,
    Listener,
    NegotiationFailed,
    PeerError,
)
from harness.peers.ikelabd.events import read_event, read_ike

CONTROL = "/run/ikelabd.sock"
"""Its control socket, in its node."""
STOP_DEADLINE = 10.0
"""Seconds of lab time that it has to end after SIGTERM: it waits for answers for two."""
LONGEST_LINE = 1 << 24


class ControlClient:
    """Commands and events over the control socket; each command has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, command: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer to a command; raises `PeerError` with the daemon's own sentence."""
        reader, writer = await self._connect()
        try:
            _send(writer, {"command": command, **arguments})
            line = await reader.readline()
        except ConnectionError:
            line = b""
        finally:
            writer.close()
        if not line:
            raise PeerError(f"ikelabd ended while it was told to {command}")
        answer: Mapping[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise PeerError(str(answer["error"]))
        return answer

    async def subscribe(
        self,
    ) -> tuple[Sequence[IkeSa], asyncio.StreamReader, asyncio.StreamWriter]:
        """The SAs that there are, and where every event from then on comes as a line.

        Raises `PeerError` where ikelabd ends meanwhile.
        """
        reader, writer = await self._connect()
        _send(writer, {"command": "subscribe"})
        line = await reader.readline()
        if not line:
            raise PeerError("ikelabd ended while somebody began to listen to it")
        return [read_ike(values) for values in json.loads(line)["sas"]], reader, writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_unix_connection(str(self._path), limit=LONGEST_LINE)
        except OSError as error:
            raise PeerError(f"ikelabd does not listen: {error.strerror}") from error


class IkelabdProcess:
    """One ikelabd in one node."""

    def __init__(self, node: Node, process: Process, control: ControlClient) -> None:
        self._node = node
        self._process = process
        self._control = control
        self._tasks: list[asyncio.Task[None]] = []

    async def watch(self, listener: Listener) -> None:
        """Give every event to a listener, of what it has begun by itself too."""
        there, reader, writer = await self._control.subscribe()
        for ike in there:
            listener(IkeUp(ike))
            for child in ike.children:
                listener(ChildUp(child))
        self._tasks = [
            asyncio.create_task(_deliver(reader, writer, listener)),
            asyncio.create_task(self._report_exit(listener)),
        ]

    async def initiate(self, child: str, within: float) -> None:
        """See Daemon."""
        await self._negotiate("initiate", child=child, within=within)

    async def terminate_child(self, child: str, within: float) -> None:
        """See Daemon."""
        await self._negotiate("terminate-child", child=child, within=within)

    async def terminate_ike(self, name: str, within: float) -> None:
        """See Daemon."""
        await self._negotiate("terminate-ike", connection=name, within=within)

    async def rekey_child(self, child: str) -> None:
        """See Daemon."""
        await self._control.ask("rekey-child", child=child)

    async def rekey_ike(self, name: str) -> None:
        """See Daemon."""
        await self._control.ask("rekey-ike", connection=name)

    async def sas(self) -> Sequence[IkeSa]:
        """See Daemon; none once it has ended."""
        if self._process.returncode is not None:
            return ()
        answer = await self._control.ask("list-sas")
        return [read_ike(values) for values in answer["sas"]]

    async def settled(self) -> None:
        """See Daemon: a message that it has read is dealt with before anything else is."""

    async def open_console(self) -> int:
        """See HasConsole."""
        return await open_terminal(self._node, CONTROL)

    async def stop(self) -> None:
        """See Daemon."""
        self._process.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_DEADLINE)
        except TimeoutError:
            await self.crash()
            raise PeerError(
                f"ikelabd on {self._node.name} did not end within {STOP_DEADLINE:g} s of SIGTERM"
            ) from None
        await self._delivered()

    async def crash(self) -> None:
        """See Daemon."""
        self._process.kill(signal.SIGKILL)
        await self._process.wait()
        await self._delivered()

    async def _negotiate(self, command: str, **arguments: Any) -> None:
        try:
            await self._control.ask(command, **arguments)
        except PeerError as error:
            raise NegotiationFailed(f"ikelabd on {self._node.name}: {error}") from error

    async def _report_exit(self, listener: Listener) -> None:
        listener(Exited(await self._process.wait()))

    async def _delivered(self) -> None:
        """Return when the events that are already on their way have been delivered."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _deliver(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: Listener
) -> None:
    try:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                event = read_event(json.loads(line))
                if event is not None:
                    listener(event)
    finally:
        writer.close()


def _send(writer: asyncio.StreamWriter, request: Mapping[str, Any]) -> None:
    writer.write(json.dumps(request).encode() + b"\n")
