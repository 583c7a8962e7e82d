# SPDX-License-Identifier: GPL-2.0-or-later
"""Userspace planes in nodes, back to back, with the SAs that IKE would have given them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

from harness.capture.frames import Esp, dissect
from harness.capture.recording import Frame
from harness.daemon.data_plane import PlaneEvent
from harness.daemon.sa_pair import SaPair
from harness.daemon.sockets import open_sockets
from harness.daemon.userspace.plane import UserspacePlane
from harness.ike.address import Address, Datagram, Path
from harness.ike.esp import EspSa
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import Encryption, Integrity, encryption, integrity
from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN
from harness.network.topology import Topology
from tests.network.conftest import Lab

GCM = encryption("AES_GCM_16_128")
CBC, SHA = encryption("AES_CBC_128"), integrity("HMAC_SHA2_256_128")
WITHIN = 10.0


def selectors(*networks: str) -> tuple[TrafficSelector, ...]:
    return tuple(TrafficSelector.of(ip_network(network)) for network in networks)


WAN = Path(Address("192.168.0.1", 4500), Address("192.168.0.2", 4500))
MOON_NET, SUN_NET = selectors("10.1.0.0/16"), selectors("10.2.0.0/16")


def esp_sa(
    spi: int,
    cipher: Encryption = GCM,
    mac: Integrity | None = None,
    *,
    esn: bool = False,
) -> EspSa:
    """An SA whose keys follow from its SPI."""
    size = cipher.keymat_size
    key = spi.to_bytes(4, "big") * 16
    return EspSa(spi, cipher, key[:size], mac, key[: mac.key_size] if mac else b"", esn)


def pairs(
    path: Path,
    local: tuple[TrafficSelector, ...],
    remote: tuple[TrafficSelector, ...],
    *,
    spi: int = 0x1000,
    suite: tuple[Encryption, Integrity | None] = (GCM, None),
    esn: bool = False,
    **options: object,
) -> tuple[SaPair, SaPair]:
    """Both ends of a CHILD_SA: receiving with `spi`, and with the next one at the other end."""
    mine, yours = (esp_sa(number, *suite, esn=esn) for number in (spi, spi + 1))
    first = SaPair("net", mine, yours, path, local, remote, 1, **options)  # type: ignore[arg-type]
    back = Path(path.remote, path.local)
    return first, replace(
        first, inbound=yours, outbound=mine, path=back, local=remote, remote=local
    )


@dataclass
class End:
    """A plane in a node, and what it has reported."""

    node: Node
    plane: UserspacePlane
    events: list[PlaneEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def event(self, kind: type[PlaneEvent]) -> PlaneEvent:
        """The first event of a kind, which is taken out of the list."""
        async with asyncio.timeout(WITHIN):
            while not (found := [one for one in self.events if isinstance(one, kind)]):
                self.changed.clear()
                await self.changed.wait()
        self.events.remove(found[0])
        return found[0]

    async def fate(self, name: str, count: int = 1) -> None:
        """Return when the plane has counted so many packets of a fate."""
        async with asyncio.timeout(WITHIN):
            while self.plane.fates[name] < count:
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def end(node: Node) -> AsyncIterator[End]:
    """A plane that runs in a node for the block, with the sockets that ikelabd has."""

    def listen(event: PlaneEvent) -> None:
        made.events.append(event)
        made.changed.set()

    def send(octets: bytes, path: Path, traffic_class: int) -> None:
        with contextlib.suppress(BlockingIOError):
            sockets.send(Datagram(octets, path.local, path.remote), traffic_class)

    with node.entered():
        sockets = open_sockets(kernel_esp=False)
        plane = UserspacePlane(listen, send)
    made = End(node, plane)
    try:
        await plane.start()
        sockets.listen(plane.receive_encapsulated)
        yield made
    finally:
        sockets.close()
        await plane.close()


@contextlib.asynccontextmanager
async def ends(network: Network, first: str, second: str) -> AsyncIterator[tuple[End, End]]:
    async with end(network.node(first)) as one, end(network.node(second)) as two:
        yield one, two


Body = Callable[[Network, End, End], Coroutine[Any, Any, None]]


def between_gateways(lab: Lab, body: Body, topology: Topology = MOON_SUN) -> None:
    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(topology, spawner) as network,
            ends(network, "moon", "sun") as (moon, sun),
        ):
            await body(network, moon, sun)

    lab.run(run)


def carries_esp(frame: Frame) -> bool:
    return isinstance(dissect(frame.data).carried, Esp)
