# SPDX-License-Identifier: GPL-2.0-or-later
"""A router as a peer: it is configured, watched and told what to do by its console alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from harness.network.node import Node
from harness.peers.console.listing import changes, ike_sas
from harness.peers.console.session import Session
from harness.peers.console.settings import Box
from harness.peers.console.vendor import SEIL, Tunnel, Vendor
from harness.peers.console.verbs import Verbs
from harness.peers.contract import (
    Configuration,
    DataPlane,
    IkeSa,
    Listener,
    NativeFile,
    NegotiationFailed,
    PeerError,
    Unsupported,
    keep_copy,
)

T = TypeVar("T")

LOOK_EVERY = 1.0
"""Seconds between two looks at a router's SAs: it announces nothing."""
TRANSCRIPT = "console.log"
DISCARD = 9
"""The port of the datagram that a tunnel is initiated with."""

Connect = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True)
class ConsoleBox:
    """A router that is reached by its console.

    `connect` is for a console that is reached in a way which no settings can say.
    """

    box: Box
    vendor: Vendor = SEIL
    connect: Connect | None = None
    image: str = ""
    modules: tuple[str, ...] = ()
    negotiates: bool = True
    # Its ESP is out of the lab's reach, as that of any daemon which does it by itself.
    data_planes: tuple[DataPlane, ...] = ("userspace",)

    @property
    def dialects(self) -> tuple[str, ...]:
        """The one language of the router."""
        return (self.vendor.dialect,)

    @property
    def name(self) -> str:
        """The name of the settings."""
        return self.box.name

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> BoxDaemon:
        """Log in, load the configuration, and watch the SAs from then on.

        `node` is what stands for the router in the lab: traffic for a tunnel is sent from there.
        """
        if configuration.dialect not in self.dialects:
            raise Unsupported(
                f"{self.name} has no dialect {configuration.dialect!r};"
                f" it has {', '.join(self.dialects)}"
            )
        if configuration.options:
            named = ", ".join(configuration.options)
            raise Unsupported(f"{self.name} has no settings of another daemon: {named}")
        text, tunnels = _written(configuration, self.vendor, logs)
        connect = self.connect or (lambda: Session.at(self.box))
        with ExitStack() as stack:
            session = await asyncio.to_thread(stack.enter_context, connect())
            session.record(stack.enter_context(_transcript(logs)))
            daemon = BoxDaemon(node, self.vendor.verbs(session), tunnels, stack.pop_all())
        try:
            await daemon.load(text)
            await daemon.watch(listener)
        except BaseException:
            await daemon.leave()
            raise
        return daemon


class BoxDaemon:
    """A router that has its configuration; `stack` holds what `leave` closes."""

    def __init__(
        self, node: Node, verbs: Verbs, tunnels: Mapping[str, Tunnel], stack: ExitStack
    ) -> None:
        self._node = node
        self._verbs = verbs
        self._tunnels = dict(tunnels)
        self._ends = {name: tunnel.ends for name, tunnel in tunnels.items()}
        self._stack = stack
        self._turn = asyncio.Lock()
        self._seen: Sequence[IkeSa] = ()
        self._listener: Listener = lambda event: None
        self._watching: asyncio.Task[None] | None = None

    async def initiate(self, child: str, within: float) -> None:
        """Send traffic for the tunnel, since there is no command for it, until it is up."""
        tunnel = self._tunnels.get(child)
        if tunnel is None:
            known = ", ".join(self._tunnels) or "none"
            raise PeerError(f"the router has no tunnel {child!r}; it has {known}")
        try:
            async with asyncio.timeout(within):
                while not self._is_up(await self.sas(), child):
                    self._send_traffic(tunnel.beyond)
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise NegotiationFailed(
                f"{child} did not come up within {within:g} s of traffic for it;"
                " the router's log says more"
            ) from None

    async def terminate_child(self, child: str, within: float) -> None:
        """Raise `Unsupported`."""
        raise Unsupported("a SEIL's console deletes no single IPsec SA; terminate the IKE SA")

    async def terminate_ike(self, name: str, within: float) -> None:
        """Clear all SAs of the router, as its console has nothing narrower."""
        old = [ike for ike in await self.sas() if ike.name == name]
        await self._ask(lambda: self._verbs.clear())
        try:
            async with asyncio.timeout(within):
                while set(old) & set(await self.sas()):
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise PeerError(f"IKE SA {name} was not gone within {within:g} s") from None

    async def rekey_child(self, child: str) -> None:
        """Raise `Unsupported`."""
        raise Unsupported("a SEIL's console rekeys nothing; give phase 2 a short lifetime")

    async def rekey_ike(self, name: str) -> None:
        """Raise `Unsupported`."""
        raise Unsupported("a SEIL's console rekeys nothing; give phase 1 a short lifetime")

    async def sas(self) -> Sequence[IkeSa]:
        """All ISAKMP SAs with their children, as the console lists them now."""
        isakmp, ipsec = await self._ask(lambda: (self._verbs.isakmp(), self._verbs.ipsec()))
        now = ike_sas(isakmp, ipsec, self._ends)
        before, self._seen = self._seen, now
        for event in changes(before, now):
            self._listener(event)
        return now

    async def settled(self) -> None:
        """See Daemon: a console does not say what a router is at work on."""

    async def stop(self) -> None:
        """Take the configuration away, so that the router deletes its SAs, and log out."""
        try:
            await self.load("")
        finally:
            await self.leave()

    async def crash(self) -> None:
        """Raise `Unsupported`: nobody can kill a router from its console."""
        raise Unsupported("a router cannot be made to crash by its console; cut its wire instead")

    async def load(self, text: str) -> None:
        """Use a configuration; raises `ConfigurationRefused`."""
        await self._ask(lambda: self._verbs.load(text))

    async def watch(self, listener: Listener) -> None:
        """Tell a listener what changes from now on."""
        self._seen = await self.sas()
        self._listener = listener
        self._watching = asyncio.create_task(self._look())

    async def leave(self) -> None:
        """Log out; the router keeps its configuration."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        async with self._turn:
            await asyncio.to_thread(self._stack.close)

    async def _look(self) -> None:
        # What goes wrong here is told to whoever asks next.
        with contextlib.suppress(PeerError):
            while True:
                await asyncio.sleep(LOOK_EVERY)
                await self.sas()

    async def _ask(self, verb: Callable[[], T]) -> T:
        # One console, one question at a time; whoever stops waiting leaves it to its answer.
        async with self._turn:
            return await asyncio.shield(asyncio.to_thread(verb))

    def _is_up(self, ikes: Sequence[IkeSa], child: str) -> bool:
        return any(
            one.name == child and one.inbound and one.outbound
            for ike in ikes
            for one in ike.children
        )

    def _send_traffic(self, beyond: str) -> None:
        family = socket.AF_INET6 if ":" in beyond else socket.AF_INET
        with self._node.entered():
            sock = socket.socket(family, socket.SOCK_DGRAM)
        # Whatever says no to this one, the next may pass.
        with sock, contextlib.suppress(OSError):
            sock.sendto(b"", (beyond, DISCARD))


def _written(
    configuration: Configuration, vendor: Vendor, logs: Path
) -> tuple[str, Mapping[str, Tunnel]]:
    """The text for the router, and the tunnels in it."""
    files = configuration.files
    if not files and configuration.side is not None:
        files = (NativeFile(f"/{vendor.dialect}.conf", vendor.write(configuration.side)),)
    for file in files:
        keep_copy(file, logs)
    text = "".join(file.text for file in files)
    return text, vendor.tunnels(text, files[0].path if files else "no file")


@contextlib.contextmanager
def _transcript(logs: Path) -> Iterator[TextIO]:
    descriptor = os.open(
        logs / TRANSCRIPT, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    with os.fdopen(descriptor, "w", buffering=1) as file:
        yield file
