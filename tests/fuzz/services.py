# SPDX-License-Identifier: GPL-2.0-or-later
"""Two daemons in one loop with nothing but memory between them, whose clock stands still."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.data_plane import PlaneListener, Route
from harness.daemon.reqids import Reqids
from harness.daemon.running import Scripting, make_engines
from harness.daemon.sa_pair import SaPair
from harness.daemon.service import Service
from harness.daemon.sockets import Arrived
from harness.ike.address import Address, Datagram, Path
from harness.ike.chance import from_randomness

MOST_PAIRS = 64


@dataclass
class MemoryPlane:
    """A data plane that keeps what it is told, and protects nothing."""

    pairs: dict[int, SaPair] = field(default_factory=dict)
    sending: set[int] = field(default_factory=set)
    esp: int = 0
    moved: list[tuple[int, Path]] = field(default_factory=list)

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        self.pairs[pair.inbound.spi] = pair
        if outbound:
            self.sending.add(pair.inbound.spi)
        assert len(self.pairs) <= MOST_PAIRS

    async def switch(self, inbound_spi: int) -> None:
        self.sending.add(inbound_spi)

    async def retire(self, inbound_spi: int) -> None:
        self.sending.discard(inbound_spi)

    async def remove(self, inbound_spi: int) -> None:
        self.pairs.pop(inbound_spi, None)
        self.sending.discard(inbound_spi)

    async def move(self, inbound_spi: int, path: Path, *, encapsulated: bool) -> None:
        self.moved.append((inbound_spi, path))

    async def protect(self, route: Route) -> None:
        pass

    async def unprotect(self, reqid: int) -> None:
        pass

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        return 0, 0

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        self.esp += 1

    async def close(self) -> None:
        self.pairs.clear()


def nobody_listens(octets: bytes, source: Address, destination: Address, octet: int) -> None:
    """Let what arrives be lost, as before a daemon is there."""


@dataclass
class MemorySockets:
    """The sockets of one end: what is sent waits until `Pair.deliver` lets it arrive."""

    address: Address
    sent: deque[Datagram] = field(default_factory=lambda: deque(maxlen=4096))
    arrived: Arrived = field(default_factory=lambda: nobody_listens)

    def listen(self, arrived: Arrived) -> None:
        self.arrived = arrived

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def own_address(self, remote: Address) -> Address:
        return self.address

    def close(self) -> None:
        pass


@dataclass
class Station:
    """One daemon and what is around it."""

    service: Service
    sockets: MemorySockets
    plane: MemoryPlane


class Pair:
    """Two daemons, `moon` and `sun`; `said` is every UDP payload that `deliver` let arrive."""

    def __init__(
        self,
        ends: tuple[tuple[Address, DaemonConfiguration], tuple[Address, DaemonConfiguration]],
        seed: int = 1,
    ) -> None:
        self.failures: list[str] = []
        self.said: list[bytes] = []
        asyncio.get_running_loop().set_exception_handler(self._failed)
        self.moon, self.sun = (
            station(address, configuration, seed + place * 1_000_000)
            for place, (address, configuration) in enumerate(ends)
        )

    async def __aenter__(self) -> Pair:
        for station in (self.moon, self.sun):
            await station.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for station in (self.moon, self.sun):
            await station.service.abort()

    async def initiate(self, child: str) -> None:
        """Have moon bring a child up, and let everything arrive that follows."""
        service = self.moon.service
        engine = service.engine_of_child(child)
        await service.do(lambda now: engine.initiate(child, now))
        await self.deliver()

    async def deliver(self, most: int = 200) -> None:
        """Let arrive what is under way, and what follows from that."""
        for _ in range(most):
            await self.quiet()
            moved = False
            for station, other in ((self.moon, self.sun), (self.sun, self.moon)):
                while station.sockets.sent:
                    one = station.sockets.sent.popleft()
                    if one.destination.host == other.sockets.address.host:
                        moved = True
                        self.said.append(one.data)
                        other.sockets.arrived(one.data, one.source, one.destination, 0)
            if not moved:
                return
        raise AssertionError("the two never come to rest")

    async def quiet(self) -> None:
        """Return when both have done all that they were given; raises what failed in them."""
        for station in (self.moon, self.sun):
            await station.service.do(lambda now: None)
        assert not self.failures, self.failures[0]

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")


def station(
    address: Address,
    configuration: DaemonConfiguration,
    seed: int,
    plane: MemoryPlane | None = None,
) -> Station:
    """A daemon of that configuration, not started yet."""
    sockets, plane = MemorySockets(address), plane or MemoryPlane()

    async def make_plane(listener: PlaneListener) -> MemoryPlane:
        return plane

    scripting = Scripting(draw=from_randomness(Random(seed).randbytes))
    reqids = Reqids()
    engines = make_engines(configuration, sockets, reqids, scripting)  # type: ignore[arg-type]
    service = Service(
        configuration,
        engines,
        reqids,
        sockets,  # type: ignore[arg-type]
        make_plane,
        clock=lambda: 0.0,
    )
    return Station(service, sockets, plane)
