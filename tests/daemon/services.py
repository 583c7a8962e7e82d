# SPDX-License-Identifier: GPL-2.0-or-later
"""Two services back to back in one loop: their datagrams and data planes are the test's to see."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.daemon.commands import Commands
from harness.daemon.credentials import Credentials
from harness.daemon.data_plane import DataPlaneError, PlaneListener, Route
from harness.daemon.native.dialect import read_toml
from harness.daemon.reports import Report
from harness.daemon.reqids import Reqids
from harness.daemon.running import Scripting, make_engines
from harness.daemon.sa_pair import SaPair
from harness.daemon.service import Service
from harness.ike.address import Address, Datagram
from harness.ike.address import Path as Between
from harness.ike.chance import from_randomness

WITHIN = 20.0
HOSTS = {"moon": "192.0.2.1", "sun": "192.0.2.2"}

TOML = """
keep-rekeyed = {keep}
retransmission = {{ first = {first}, tries = 2 }}

[connection.gw]
version = {version}
local = "{local}"
remote = "{remote}"
local-id = "{name}.example"
remote-id = "{peer}.example"
secret = "known to both"
proposals = ["aes128-sha256-{group}"]
{more}

[connection.gw.child.net]
local = ["10.{near}.0.0/16"]
remote = ["10.{far}.0.0/16"]
proposals = ["aes128-sha256"]
start = "{start}"
{child}
"""


def toml(name: str, version: int = 2, **values: Any) -> str:
    """A configuration of moon or sun."""
    peer = "sun" if name == "moon" else "moon"
    near, far = (1, 2) if name == "moon" else (2, 1)
    usual = {"keep": 0.05, "start": "none", "more": "", "child": "", "first": 5}
    return TOML.format(
        **{
            "name": name,
            "peer": peer,
            "local": HOSTS[name],
            "remote": HOSTS[peer],
            "near": near,
            "far": far,
            "version": version,
            "group": "x25519" if version == 2 else "ecp256",
            **usual,
            **values,
        }
    )


@dataclass(eq=False)
class Cable:
    """Carries datagrams between the services, in order, unless `lose` says otherwise."""

    ends: dict[str, Sockets] = field(default_factory=dict)
    carried: list[Datagram] = field(default_factory=list)
    lose: Callable[[Datagram], bool] = lambda datagram: False

    def carry(self, datagram: Datagram) -> None:
        self.carried.append(datagram)
        end = self.ends.get(datagram.destination.host)
        if end is not None and not self.lose(datagram):
            asyncio.get_running_loop().call_soon(end.arrive, datagram)


@dataclass(eq=False)
class Sockets:
    """What a service has in the place of UDP sockets."""

    host: str
    cable: Cable
    log: list[str]
    arrived: Any = None
    has_route: bool = True

    def __post_init__(self) -> None:
        self.cable.ends[self.host] = self

    def listen(self, arrived: Any) -> None:
        self.arrived = arrived

    def send(self, datagram: Datagram) -> None:
        self.log.append("send")
        self.cable.carry(datagram)

    def own_address(self, remote: Address) -> Address:
        if not self.has_route:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return Address(self.host)

    def close(self) -> None:
        self.cable.ends.pop(self.host, None)

    def arrive(self, datagram: Datagram) -> None:
        if self.arrived is not None:
            self.arrived(datagram.data, datagram.source, datagram.destination)


@dataclass(eq=False)
class Plane:
    """A data plane that writes down what it is asked for, and refuses when it is told to."""

    log: list[str]
    listener: PlaneListener | None = None
    pairs: dict[int, SaPair] = field(default_factory=dict)
    sending: list[int] = field(default_factory=list)
    routes: dict[int, Route] = field(default_factory=dict)
    moved: list[tuple[int, Between, bool]] = field(default_factory=list)
    encapsulated: list[bytes] = field(default_factory=list)
    refuses: bool = False
    closed: bool = False

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        # Whatever is asked takes its time, so that an order which is kept is kept on purpose.
        await asyncio.sleep(0)
        if self.refuses:
            raise DataPlaneError("no ESP today")
        self.log.append("install")
        self.pairs[pair.inbound.spi] = pair
        if outbound:
            self.sending.append(pair.inbound.spi)

    async def switch(self, inbound_spi: int) -> None:
        await asyncio.sleep(0)
        self.log.append("switch")
        self.sending.append(inbound_spi)

    async def retire(self, inbound_spi: int) -> None:
        await asyncio.sleep(0)
        self.log.append("retire")
        if inbound_spi in self.sending:
            self.sending.remove(inbound_spi)

    async def remove(self, inbound_spi: int) -> None:
        await asyncio.sleep(0)
        self.log.append("remove")
        self.pairs.pop(inbound_spi, None)
        if inbound_spi in self.sending:
            self.sending.remove(inbound_spi)

    async def move(self, inbound_spi: int, path: Between, *, encapsulated: bool) -> None:
        self.moved.append((inbound_spi, path, encapsulated))

    async def protect(self, route: Route) -> None:
        self.routes[route.reqid] = route

    async def unprotect(self, reqid: int) -> None:
        self.routes.pop(reqid, None)

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        return 0, 0

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        self.encapsulated.append(octets)

    async def close(self) -> None:
        self.closed = True
        self.pairs.clear()


@dataclass(eq=False)
class KeyLog:
    """A key log that only says when something was written."""

    log: list[str]

    def isakmp(self, step: Any) -> None:
        self.log.append("isakmp key")

    def ike(self, step: Any) -> None:
        self.log.append("ike keys")

    def child(self, step: Any) -> None:
        self.log.append("child keys")


@dataclass(eq=False)
class End:
    """A service, and everything that it did."""

    name: str
    service: Service
    commands: Commands
    plane: Plane
    log: list[str]
    reports: list[Report] = field(default_factory=list)

    def told(self, kind: type) -> list[Any]:
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            await self.service.until(condition)

    async def until_told(self, kind: type, times: int = 1) -> Any:
        await self.until(lambda: len(self.told(kind)) >= times)
        return self.told(kind)[times - 1]


def make_end(name: str, cable: Cable, text: str, **scripts: Any) -> End:
    configuration = read_toml(text, f"{name}.toml", Credentials(Path("/")))
    log: list[str] = []
    plane = Plane(log)

    async def make_plane(listener: PlaneListener) -> Plane:
        plane.listener = listener
        return plane

    draw = from_randomness(random.Random(name).randbytes)
    scripting = Scripting(**{"draw": draw, **scripts})
    sockets: Any = Sockets(HOSTS[name], cable, log)
    reqids = Reqids()
    engines = make_engines(configuration, sockets, reqids, scripting)
    service = Service(configuration, engines, reqids, sockets, make_plane, key_log=KeyLog(log))
    end = End(name, service, Commands(service), plane, log)
    service.listen(end.reports.append)
    return end


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


@contextlib.asynccontextmanager
async def two(
    version: int = 2,
    moon: dict[str, Any] | None = None,
    sun: dict[str, Any] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[End, End, Cable]]:
    """moon and sun, started; `renamed` is replaced in both configurations."""
    cable = Cable()
    ends = [
        make_end(name, cable, _renamed(toml(name, version, **(values or {})), renamed or {}))
        for name, values in (("moon", moon), ("sun", sun))
    ]
    try:
        # sun first: moon may begin by itself.
        for end in reversed(ends):
            await end.service.start()
        yield ends[0], ends[1], cable
    finally:
        for end in ends:
            await end.service.abort()
