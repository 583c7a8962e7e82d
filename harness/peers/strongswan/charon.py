# SPDX-License-Identifier: GPL-2.0-or-later
"""A running charon: commands, events, logs, its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from harness.network.node import Node
from harness.network.process import Process
from harness.peers.contract import (
    ChildUp,
    Exited,
    IkeSa,
    IkeUp,
    Listener,
    NegotiationFailed,
    PeerError,
    PeerEvent,
)
from harness.peers.strongswan.events import EVENTS, brought_up, read_event, read_ike
from harness.peers.strongswan.sections import Section
from harness.peers.strongswan.vici import Vici, ViciError

PID_FILE = "/run/charon.pid"
LOOK_EVERY = 0.005
"""Seconds between two looks at what charon is at work on: it does not say when it has done."""
FIRST_LOOKS = 5
"""A look may meet the end of the one before, which is a job too: so many do not all."""
MESSAGES = ("high", "medium", "low")
"""The priorities of the jobs that messages are."""
SETTLE_DEADLINE = 10.0
STOP_DEADLINE = 10.0
"""Seconds that a charon has to end after SIGTERM: it waits for no answer to its deletes."""


class Charon:
    """One charon in one node, over its VICI socket."""

    def __init__(self, node: Node, process: Process, vici: Vici, listener: Listener) -> None:
        self._node = node
        self._process = process
        self._vici = vici
        self._listener = listener
        self._tasks: list[asyncio.Future[Any]] = []
        self._up: set[tuple[int, int]] = set()
        self._resident: int | None = None

    async def watch(self) -> None:
        """Register for every event; all that happens from here on reaches the listener.

        So does what is up already: with ipsec.conf a charon may begin before anybody can register.
        """
        delivery = await self._vici.listen(EVENTS, self._take)
        try:
            # The list is younger than the registration, so nothing is missed between them.
            for event in brought_up(await self.sas()):
                self._tell(event)
        finally:
            self._tasks = [
                asyncio.ensure_future(delivery),
                asyncio.ensure_future(self._report_exit()),
            ]

    async def initiate(self, child: str, within: float) -> None:
        """Bring a CHILD_SA up and return when it is; raises `NegotiationFailed`."""
        await self._command("initiate", {"child": child}, within)

    async def terminate_child(self, child: str, within: float) -> None:
        """Delete a CHILD_SA and return when it is gone here; raises `NegotiationFailed`."""
        await self._command("terminate", {"child": child}, within)

    async def terminate_ike(self, name: str, within: float) -> None:
        """Delete an IKE SA and return when it is gone here; raises `NegotiationFailed`."""
        await self._command("terminate", {"ike": name}, within)

    async def rekey_child(self, child: str) -> None:
        """Start the rekeying of a CHILD_SA now."""
        await self._request("rekey", {"child": child})

    async def rekey_ike(self, name: str) -> None:
        """Start the rekeying of an IKE SA now."""
        await self._request("rekey", {"ike": name})

    async def sas(self) -> Sequence[IkeSa]:
        """All IKE SAs with their children, as charon lists them; none once it has ended."""
        if self._process.returncode is not None:
            return ()
        listed = await self._vici.stream("list-sas", "list-sa")
        return [
            read_ike(name, ike)
            for message in listed
            for name, ike in message.items()
            if isinstance(ike, Mapping)
        ]

    async def settled(self) -> None:
        """Return when no worker is busy with a message, and none waits for a worker.

        Messages have workers of their own, and an INFORMATIONAL overtakes others. The first call
        must come before there are any: what charon has then are the jobs that never end.
        Raises `PeerError` when it is at work for too long.
        """
        if self._resident is None:
            looks = [await self._jobs() for _ in range(FIRST_LOOKS)]
            self._resident = min(looks)
        with contextlib.suppress(ViciError, OSError):
            for _ in range(round(SETTLE_DEADLINE / LOOK_EVERY)):
                if await self._jobs() <= self._resident:
                    return
                await asyncio.sleep(LOOK_EVERY)
            raise PeerError(
                f"charon on {self._node.name} is at work still after {SETTLE_DEADLINE:g} s"
            )

    async def _jobs(self) -> int:
        """How many jobs of the priorities that messages have are under way, or wait."""
        stats = await self._vici.request("stats")
        active, queued = stats["workers"]["active"], stats["queues"]
        return sum(int(jobs[name]) for jobs in (active, queued) for name in MESSAGES)

    async def stop(self) -> None:
        """End charon with SIGTERM, as its supervisor would: it sends its deletes first."""
        self._process.kill(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_DEADLINE)
        except TimeoutError:
            await self.crash()
            raise PeerError(
                f"charon on {self._node.name} did not end within {STOP_DEADLINE:g} s of SIGTERM"
            ) from None
        await self._settle()

    async def crash(self) -> None:
        """Kill charon with SIGKILL; a starter above it goes first, or it would start another."""
        self._process.kill(signal.SIGKILL)
        await self._process.wait()
        with contextlib.suppress(Exception):
            pid = int(self._node.read(PID_FILE).decode())
            # The file may be an old one. A process is gone when its parent has taken note of it.
            own = f'[ "$(cat /proc/{pid}/comm)" = charon ]'
            kill = f"{own} && kill -9 {pid} && while kill -0 {pid}; do sleep 0.01; done"
            await self._node.run(["/bin/sh", "-c", kill], check=False, deadline=STOP_DEADLINE)
        await self._settle()

    async def _command(self, command: str, arguments: dict[str, Any], within: float) -> None:
        # Zero would be "do not wait", and charon's own time-out is what leaves its state clean.
        milliseconds = max(1, round(within * 1000))
        try:
            await self._request(command, {**arguments, "timeout": milliseconds, "loglevel": -1})
        except PeerError as error:
            raise NegotiationFailed(str(error)) from error

    async def _request(self, command: str, arguments: Section) -> None:
        try:
            await self._vici.request(command, arguments)
        except (ViciError, OSError) as error:
            raise PeerError(f"charon on {self._node.name}: {error}") from error

    def _take(self, name: str, message: Section) -> None:
        for event in read_event(name, message):
            self._tell(event)

    def _tell(self, event: PeerEvent) -> None:
        # What came up while it was listed is in both: it is told when it is first heard of.
        if isinstance(event, IkeUp | ChildUp):
            if _key(event) in self._up:
                return
            self._up.add(_key(event))
        self._listener(event)

    async def _report_exit(self) -> None:
        self._listener(Exited(await self._process.wait()))

    async def _settle(self) -> None:
        """Let the events that are already on their way be delivered."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _key(event: IkeUp | ChildUp) -> tuple[int, int]:
    """The SPIs of an SA, which tell it from all others that come up."""
    if isinstance(event, IkeUp):
        return event.ike.initiator_spi, event.ike.responder_spi
    return event.child.inbound, event.child.outbound
