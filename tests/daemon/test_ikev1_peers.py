# SPDX-License-Identifier: GPL-2.0-or-later
"""One IKEv1 connection for peers of any address: each of them is one of its own."""

from __future__ import annotations

import asyncio

from harness.daemon.configuration import DaemonConfiguration
from harness.ike.address import Address
from harness.ike.v1.configuration import NatTraversal
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.identity import address_identity
from tests.fuzz.services import MemoryPlane, Station, station
from tests.fuzz.targets import FAST
from tests.ike.v1.pair import SWAN, seeded, seil, swan

ANYBODY = swan(phase1=FAST, remote=None, remote_identity=None)
PEERS = (Address("10.9.0.1"), Address("10.9.0.2"))


async def bring_up(sun: Station, address: Address, seed: int) -> Endpoint:
    """An initiator of that address that has an SA with the service."""
    identity = address_identity(address.host)
    mine = seil(phase1=FAST, local=address, local_identity=identity, nat=NatTraversal(force=True))
    endpoint = Endpoint((mine,), seeded(seed))
    endpoint.initiate("seil", "lan", 0.0)
    while said := endpoint.datagrams():
        for one in said:
            sun.sockets.arrived(one.data, one.source, one.destination)
        await sun.service.do(lambda now: None)
        while sun.sockets.sent:
            answer = sun.sockets.sent.popleft()
            endpoint.receive(answer.data, answer.source, 0.0, answer.destination)
    assert endpoint.sas()
    return endpoint


def test_each_peer_of_a_connection_has_its_own_children_and_moves_alone() -> None:
    async def body() -> None:
        plane = MemoryPlane()
        sun = station(SWAN, DaemonConfiguration(v1=(ANYBODY,)), 1, plane)
        await sun.service.start()
        ends = [await bring_up(sun, address, seed) for seed, address in enumerate(PEERS, 1)]
        spis = [int.from_bytes(end.sas()[0].outbound_spi, "big") for end in ends]
        assert [[one.inbound for one in ike.children] for ike in sun.service.sas()] == [
            [spis[0]],
            [spis[1]],
        ]
        elsewhere = Address("10.9.0.9", 4500)
        (engine,) = (one for one in sun.service.engines if one.version == 1)
        await sun.service.do(lambda now: engine.peer_moved(spis[0], elsewhere, now))
        assert [spi for spi, _ in plane.moved] == [spis[0]]
        assert plane.moved[0][1].remote == elsewhere
        await sun.service.abort()

    asyncio.run(body())
