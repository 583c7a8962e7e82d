# SPDX-License-Identifier: GPL-2.0-or-later
"""Userspace planes in nodes, back to back, with the SAs that IKE would have given them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from harness.daemon.data_plane import PlaneEvent
from harness.daemon.exemption import exempt
from harness.daemon.sa_pair import SaPair
from harness.daemon.userspace.plane import UserspacePlane
from harness.ike.address import Address, Path
from harness.ike.esp import EspSa
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import Encryption, Integrity, encryption, integrity
from harness.network.network import Network
from harness.network.node import Node

GCM = encryption("AES_GCM_16_128")
CBC, SHA = encryption("AES_CBC_128"), integrity("HMAC_SHA2_256_128")
WITHIN = 10.0


def selectors(*networks: str) -> tuple[TrafficSelector, ...]:
    return tuple(TrafficSelector.of(ip_network(network)) for network in networks)


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
    """A plane in a node, its UDP socket for ESP, and what the plane has reported."""

    node: Node
    plane: UserspacePlane
    udp: socket.socket
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
async def end(node: Node, version: int = 4) -> AsyncIterator[End]:
    """A plane that runs in a node for the block."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with node.socket(family, socket.SOCK_DGRAM) as udp:
        if version == 6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        exempt(udp)
        udp.bind(("", 4500))
        here = Address(*udp.getsockname()[:2])

        def listen(event: PlaneEvent) -> None:
            made.events.append(event)
            made.changed.set()

        def send(octets: bytes, path: Path) -> None:
            with contextlib.suppress(BlockingIOError):
                udp.sendto(octets, path.remote[:2])

        def receive() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    octets, source = udp.recvfrom(65535)
                    made.plane.receive_encapsulated(octets, Address(*source[:2]), here)

        with node.entered():
            plane = UserspacePlane(listen, send)
        made = End(node, plane, udp)
        try:
            await plane.start()
            loop.add_reader(udp, receive)
            yield made
        finally:
            loop.remove_reader(udp)
            await plane.close()


@contextlib.asynccontextmanager
async def ends(
    network: Network, first: str, second: str, version: int = 4
) -> AsyncIterator[tuple[End, End]]:
    async with end(network.node(first), version) as one, end(network.node(second), version) as two:
        yield one, two
