# SPDX-License-Identifier: GPL-2.0-or-later
"""First messages from addresses that nobody has: who is up stays up, and memory stays as it was."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from harness.ike.address import Address
from harness.ike.v1.configuration import Limits
from harness.ike.v1.events import PeerAlive as PeerAliveV1
from harness.ike.v2.connection import Settings
from harness.ike.v2.events import PeerAlive
from tests.fuzz import services
from tests.fuzz.targets import daemons
from tests.ike.v1 import pair as v1
from tests.ike.v2.pair import Pair

MANY = 4_000
LITTLE = 64 * 1024
"""Octets by which memory may differ between one half of a flood and the other."""


def spoofed(number: int) -> Address:
    return Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def firsts(first: bytes) -> Iterator[tuple[bytes, Address]]:
    """The same first message from one stranger after the other, each with an SPI of its own."""
    for number in range(1, MANY + 1):
        yield number.to_bytes(8, "big") + first[8:], spoofed(number)


@contextmanager
def memory_is_bounded() -> Iterator[list[int]]:
    """Check that what is noted halfway and at the end differs by little."""
    noted: list[int] = []
    tracemalloc.start()
    try:
        yield noted
    finally:
        tracemalloc.stop()
    assert len(noted) == 2
    assert noted[1] - noted[0] < LITTLE


def memory() -> int:
    """Octets that are held, without what is only not collected yet."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def halfway_or_done(number: int) -> bool:
    return number in (MANY // 2, MANY)


def test_ikev2_serves_its_peer_and_a_new_one_in_the_middle_of_a_flood() -> None:
    pair = Pair(settings=Settings(half_open_limit=64, cookie_threshold=16)).up()
    before = pair.sun.child
    sun = pair.sun.endpoint
    honest = Pair(seed=5)
    honest.moon.endpoint.commands.initiate("gw", 0.0)
    (letter,) = honest.collect()
    with memory_is_bounded() as noted:
        for number, (octets, source) in enumerate(firsts(letter.datagram.data), 1):
            sun.receive(octets, source, 0.0, sun.local)
            sun.datagrams()
            sun.events()
            if halfway_or_done(number):
                noted.append(memory())
    assert len(sun.all_sas()) <= 1 + 16
    assert pair.sun.child == before
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, 0.0)
    pair.moon.endpoint.commands.rekey_child(pair.moon.ike, pair.moon.child.inbound_spi, 0.0)
    pair.settle()
    assert pair.moon.events(PeerAlive)
    assert pair.sun.child != before
    # Whoever can receive a cookie is let in.
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.settle()
    assert len(pair.moon.ike_sas()) == 2


def test_ikev1_serves_its_peer_in_the_middle_of_a_flood() -> None:
    pair = v1.Pair(limits=Limits(half_open=64, events=100))
    pair.up()
    sun = pair.b.endpoint
    sun.connections = (*sun.connections, v1.swan(remote=None, name="any"))
    first = pair.sent[0].data
    with memory_is_bounded() as noted:
        for number, (octets, source) in enumerate(firsts(first), 1):
            sun.receive(octets, source, pair.now, v1.SWAN)
            sun.datagrams()
            sun.events()
            if halfway_or_done(number):
                noted.append(memory())
    assert sun.half_open <= 64
    assert len(pair.b.sas) == 1
    pair.b.endpoint.check_peer(sun.isakmp_sas()[0], pair.now)
    pair.run()
    assert pair.b.of(PeerAliveV1)
    pair.a.endpoint.rekey_isakmp(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert len(sun.isakmp_sas()) == 2


def test_a_daemon_serves_its_peer_in_the_middle_of_a_flood_of_either_version() -> None:
    async def body() -> None:
        async with services.Pair(daemons()) as pair:
            for child in ("net", "lan"):
                await pair.initiate(child)
            openings = [one for one in pair.said if one[8:16] == bytes(8)]
            assert {one[17] >> 4 for one in openings} == {1, 2}
            sun = pair.sun
            with memory_is_bounded() as noted:
                for number in range(1, MANY + 1):
                    first = openings[number % len(openings)]
                    octets = number.to_bytes(8, "big") + first[8:]
                    sun.sockets.arrived(octets, spoofed(number), sun.sockets.address)
                    if number % 100 == 0:
                        await pair.quiet()
                        sun.sockets.sent.clear()
                    if halfway_or_done(number):
                        noted.append(memory())
            before = [one.children for one in sun.service.sas()]
            for child in ("net", "lan"):
                engine = pair.moon.service.engine_of_child(child)
                await pair.moon.service.do(partial(engine.rekey_child, child))
                await pair.deliver()
            after = [one.children for one in sun.service.sas()]
            for old, new in zip(before, after, strict=True):
                assert {one.inbound for one in new} - {one.inbound for one in old}

    asyncio.run(body())
