# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's data plane between two namespaces, with real packets."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from harness.daemon.data_plane import (
    Acquired,
    DataPlaneError,
    Expired,
    PlaneEvent,
    Route,
)
from harness.daemon.kernel.plane import KernelPlane
from harness.daemon.sa_pair import SaPair
from harness.ike.address import Address, Path
from harness.ike.esp import EspSa
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.transforms import encryption, integrity
from harness.kernel.sa import SaId, SecurityAssociation
from harness.kernel.sad import Sad
from harness.kernel.socket import XfrmSocket
from tests.kernel.conftest import gateways
from tests.kernel.namespaces import Namespace

__all__ = ["gateways"]

pytestmark = pytest.mark.needs("esp")

MOON, SUN = Address("192.0.2.1"), Address("192.0.2.2")
HERE = TrafficSelector.of(ip_network("192.0.2.1/32"), 17)
THERE = TrafficSelector.of(ip_network("192.0.2.2/32"), 17)
GCM, CBC = encryption("AES_GCM_16_128"), encryption("AES_CBC_128")
SHA = integrity("HMAC_SHA2_256_128")
WITHIN = 20.0


def half(spi: int, key: int = 1) -> EspSa:
    return EspSa(spi, GCM, bytes([key]) * GCM.keymat_size)


PAIR = SaPair(
    "net", half(0x111), half(0x222), Path(MOON, SUN), (HERE,), (THERE,), 1, transport=True
)


def mirrored(pair: SaPair) -> SaPair:
    return replace(
        pair,
        inbound=pair.outbound,
        outbound=pair.inbound,
        path=Path(pair.path.remote, pair.path.local),
        local=pair.remote,
        remote=pair.local,
    )


class Interrupted(XfrmSocket):
    """A socket that does something else as soon as an SA is deleted."""

    then: Callable[[], object] = staticmethod(lambda: None)

    async def delete_sa(self, sa: SaId | SecurityAssociation) -> None:
        await super().delete_sa(sa)
        self.then()


class End:
    """A plane in a namespace, what it told, and a UDP socket beside it."""

    def __init__(self, namespace: Namespace, host: str) -> None:
        self.told: list[PlaneEvent] = []
        self._changed = asyncio.Event()
        with namespace.entered():
            self.watch = XfrmSocket()
            self.xfrm = Interrupted()
            self.plane = KernelPlane(self.xfrm, self._take)
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((host, 9))

    def _take(self, event: PlaneEvent) -> None:
        self.told.append(event)
        self._changed.set()

    async def until_told(self, event: PlaneEvent) -> None:
        async with asyncio.timeout(WITHIN):
            while event not in self.told:
                self._changed.clear()
                await self._changed.wait()

    async def hears(self) -> bytes:
        async with asyncio.timeout(WITHIN):
            return await asyncio.get_running_loop().sock_recv(self.sock, 100)

    async def sad(self) -> Sad:
        return await self.watch.sad()

    async def packets(self, spi: int) -> int:
        sa = (await self.sad()).find(spi=spi)
        assert sa is not None
        return sa.current.packets

    def close(self) -> None:
        self.sock.close()
        self.watch.close()


@contextmanager
def both(gateways: tuple[Namespace, Namespace]) -> Iterator[tuple[End, End]]:
    moon, sun = End(gateways[0], MOON.host), End(gateways[1], SUN.host)
    try:
        yield moon, sun
    finally:
        moon.close()
        sun.close()


def run(
    gateways: tuple[Namespace, Namespace],
    body: Callable[[End, End], Coroutine[Any, Any, None]],
) -> None:
    async def bounded() -> None:
        with both(gateways) as (moon, sun):
            await moon.plane.start()
            await sun.plane.start()
            await body(moon, sun)
            await moon.plane.close()
            await sun.plane.close()
            for end in (moon, sun):
                assert len((await end.sad()).established) == 0
                assert [p for p in await end.watch.spd() if "socket" not in p.direction] == []

    asyncio.run(bounded())


async def say(sender: End, receiver: End, text: bytes) -> None:
    sender.sock.sendto(text, receiver.sock.getsockname())
    assert await receiver.hears() == text


def test_packets_are_protected_both_ways_and_counted(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(moon: End, sun: End) -> None:
        await sun.plane.install(mirrored(PAIR), outbound=True)
        await moon.plane.install(PAIR, outbound=True)
        await say(moon, sun, b"there")
        await say(sun, moon, b"back")
        assert await moon.packets(0x222) == await sun.packets(0x222) == 1
        received, sent = await moon.plane.carried(0x111)
        assert received > 0
        assert sent > 0
        assert (await moon.sad()).mirrors(await sun.sad()) == []

    run(gateways, body)


@pytest.mark.parametrize("esn", [False, True])
def test_integrity_tunnel_mode_and_extended_sequence_numbers(
    gateways: tuple[Namespace, Namespace], esn: bool
) -> None:
    pair = replace(
        PAIR,
        inbound=EspSa(0x111, CBC, bytes(16), SHA, bytes(32), esn),
        outbound=EspSa(0x222, CBC, bytes(16), SHA, bytes(32), esn),
        transport=False,
    )

    async def body(moon: End, sun: End) -> None:
        await sun.plane.install(mirrored(pair), outbound=True)
        await moon.plane.install(pair, outbound=True)
        await say(moon, sun, b"there")
        assert [(sa.mode, sa.esn) for sa in await moon.sad()] == [("tunnel", esn)] * 2
        # Counted in seconds of the pair, which sets none.
        assert all(sa.lifetimes.hard_seconds == 0 for sa in await moon.sad())

    run(gateways, body)


def test_the_outbound_half_is_held_back_until_the_switch_and_traffic_waits(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(moon: End, sun: End) -> None:
        await sun.plane.install(mirrored(PAIR), outbound=True)
        await moon.plane.install(PAIR, outbound=False)
        moon.sock.sendto(b"too early", sun.sock.getsockname())
        await moon.until_told(Acquired(1))
        await moon.plane.switch(0x111)
        await say(moon, sun, b"now")
        assert await sun.packets(0x222) == 1

    run(gateways, body)


def test_a_newer_pair_takes_over_and_the_older_one_is_retired_half_by_half(
    gateways: tuple[Namespace, Namespace],
) -> None:
    newer = replace(PAIR, inbound=half(0x333, 2), outbound=half(0x444, 2))

    async def body(moon: End, sun: End) -> None:
        for pair in (PAIR, newer):
            await sun.plane.install(mirrored(pair), outbound=True)
            await moon.plane.install(pair, outbound=True)
            await say(moon, sun, b"on the newest")
        assert await sun.packets(0x444) == 1
        await moon.plane.retire(0x111)
        assert {sa.spi for sa in await moon.sad()} == {0x111, 0x333, 0x444}
        await moon.plane.remove(0x111)
        assert {sa.spi for sa in await moon.sad()} == {0x333, 0x444}
        await say(moon, sun, b"still")
        assert await sun.packets(0x444) == 2

    run(gateways, body)


def test_when_the_newest_pair_goes_an_older_one_sends_again(
    gateways: tuple[Namespace, Namespace],
) -> None:
    newer = replace(PAIR, inbound=half(0x333, 2), outbound=half(0x444, 2))

    async def body(moon: End, sun: End) -> None:
        for pair in (PAIR, newer):
            await sun.plane.install(mirrored(pair), outbound=True)
            await moon.plane.install(pair, outbound=True)
        await moon.plane.remove(0x333)
        await say(moon, sun, b"on the older")
        assert await sun.packets(0x222) == 1

    run(gateways, body)


def test_traffic_of_a_route_asks_for_its_sa_and_never_leaves_in_clear(
    gateways: tuple[Namespace, Namespace],
) -> None:
    route = Route("net", 7, Path(MOON, SUN), (HERE,), (THERE,), transport=True)

    async def body(moon: End, sun: End) -> None:
        await moon.plane.protect(route)
        moon.sock.sendto(b"in clear", sun.sock.getsockname())
        await moon.until_told(Acquired(7))
        pair = replace(PAIR, reqid=7)
        await sun.plane.install(mirrored(pair), outbound=True)
        await moon.plane.install(pair, outbound=True)
        await say(moon, sun, b"protected")
        await moon.plane.remove(0x111)
        moon.told.clear()
        moon.sock.sendto(b"in clear", sun.sock.getsockname())
        await moon.until_told(Acquired(7))
        await moon.plane.unprotect(7)
        await sun.plane.remove(0x222)
        await say(moon, sun, b"in clear, as it is not protected any more")

    run(gateways, body)


def test_the_kernel_tells_of_both_lifetimes(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(moon: End, sun: End) -> None:
        await moon.plane.install(replace(PAIR, rekey_after=1, life=2), outbound=True)
        soft = {sa.spi: sa.lifetimes.soft_seconds for sa in await moon.sad()}
        # The inbound half asks for the rekeying of both.
        assert soft == {0x111: 1, 0x222: 0}
        await moon.until_told(Expired(0x111, hard=False))
        await moon.until_told(Expired(0x111, hard=True))
        await moon.until_told(Expired(0x222, hard=True))

    run(gateways, body)


def test_a_pair_moves_with_its_counters(gateways: tuple[Namespace, Namespace]) -> None:
    moved = Path(Address("192.0.2.1", 4500), Address("192.0.2.2", 4500))

    async def body(moon: End, sun: End) -> None:
        await sun.plane.install(mirrored(PAIR), outbound=True)
        await moon.plane.install(PAIR, outbound=True)
        await say(moon, sun, b"before")
        await moon.plane.move(0x111, moved, encapsulated=True)
        for sa in await moon.sad():
            assert sa.encapsulation is not None
            assert sa.encapsulation.source_port == 4500
        outbound = (await moon.sad()).find(spi=0x222)
        assert outbound.replay.sent == 1
        await moon.plane.move(0x111, PAIR.path, encapsulated=False)
        await say(moon, sun, b"after")
        outbound = (await moon.sad()).find(spi=0x222)
        assert outbound.replay.sent == 2

    run(gateways, body)


def test_a_pair_moves_under_traffic(gateways: tuple[Namespace, Namespace]) -> None:
    moved = Path(Address("192.0.2.1", 4500), Address("192.0.2.2", 4500))

    async def body(moon: End, sun: End) -> None:
        await sun.plane.install(mirrored(PAIR), outbound=True)
        await moon.plane.install(PAIR, outbound=True)
        moon.xfrm.then = lambda: moon.sock.sendto(b"meanwhile", sun.sock.getsockname())
        await moon.plane.move(0x111, moved, encapsulated=True)
        (outbound,) = [sa for sa in await moon.sad() if sa.spi == 0x222]
        assert outbound.encapsulation is not None

    run(gateways, body)


def test_what_a_crashed_daemon_left_is_removed(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(moon: End, sun: End) -> None:
        await moon.plane.install(PAIR, outbound=True)
        with gateways[0].entered():
            successor = KernelPlane(XfrmSocket(), lambda event: None)
        await successor.start()
        assert len(await moon.sad()) == 0
        await successor.close()

    run(gateways, body)


def test_what_the_kernel_has_not_is_refused_in_a_sentence(
    gateways: tuple[Namespace, Namespace],
) -> None:
    keyed = integrity("KEYED_MD5")
    strange = replace(PAIR, inbound=EspSa(0x111, CBC, bytes(16), keyed, bytes(16)))

    async def body(moon: End, sun: End) -> None:
        with pytest.raises(DataPlaneError, match="the kernel has no KEYED_MD5; use the userspace"):
            await moon.plane.install(strange, outbound=True)
        await moon.plane.install(PAIR, outbound=True)
        with pytest.raises(DataPlaneError, match=r"installing net: .*EEXIST"):
            await moon.plane.install(PAIR, outbound=True)

    run(gateways, body)
