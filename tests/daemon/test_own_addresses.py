# SPDX-License-Identifier: GPL-2.0-or-later
"""What a daemon learns of its host's addresses, in a real namespace."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from harness.daemon.own_addresses import OwnAddresses
from harness.daemon.sockets import open_sockets
from harness.ike.address import Address
from tests.kernel.conftest import gateways
from tests.kernel.namespaces import Namespace

__all__ = ["gateways"]

WITHIN = 20.0
PEER = Address("192.0.2.2")


class Watcher:
    """The addresses that were told, the newest last."""

    def __init__(self, namespace: Namespace) -> None:
        self.told: list[frozenset[str]] = []
        self._more = asyncio.Event()
        with namespace.entered():
            self.addresses = OwnAddresses()

    def take(self, own: frozenset[str]) -> None:
        self.told.append(own)
        self._more.set()

    async def until(self, condition: Callable[[frozenset[str]], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not any(condition(one) for one in self.told):
                self._more.clear()
                await self._more.wait()


def run(namespace: Namespace, body: Callable[[Watcher], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        watcher = Watcher(namespace)
        try:
            await watcher.addresses.watch(watcher.take)
            await body(watcher)
        finally:
            watcher.addresses.close()
            watcher.addresses.close()

    asyncio.run(whole())


def test_an_address_that_goes_and_one_that_comes_are_told(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, _ = gateways

    async def body(watcher: Watcher) -> None:
        moon.ip("address del 192.0.2.1/24 dev eth0")
        await watcher.until(lambda own: "192.0.2.1" not in own)
        moon.ip("address add 192.0.2.77/24 dev eth0")
        await watcher.until(lambda own: "192.0.2.77" in own)
        assert "2001:db8::1" in watcher.told[-1]

    run(moon, body)


def test_the_addresses_of_an_interface_that_is_down_do_not_count(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, _ = gateways

    async def body(watcher: Watcher) -> None:
        moon.ip("link set eth0 down")
        await watcher.until(lambda own: "192.0.2.1" not in own)
        moon.ip("link set eth0 up")
        await watcher.until(lambda own: "192.0.2.1" in own)

    run(moon, body)


def test_a_new_way_is_told_with_the_addresses_that_there_are(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, _ = gateways

    async def body(watcher: Watcher) -> None:
        moon.ip("route add 198.51.100.0/24 via 192.0.2.2")
        await watcher.until(lambda own: "192.0.2.1" in own)

    run(moon, body)


def test_the_own_address_towards_a_peer_follows_the_host(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, _ = gateways
    with moon.entered():
        sockets = open_sockets(kernel_esp=False)
    try:
        assert sockets.own_address(PEER).host == "192.0.2.1"
        moon.ip("address del 192.0.2.1/24 dev eth0")
        moon.ip("address add 192.0.2.77/24 dev eth0")
        assert sockets.own_address(PEER).host == "192.0.2.77"
        assert sockets.own_address(Address("2001:db8::2")).host == "2001:db8::1"
    finally:
        sockets.close()
