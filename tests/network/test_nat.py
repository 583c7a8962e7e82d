# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import socket

import pytest

from harness.capture.frames import dissect
from harness.network.errors import NetworkError
from harness.network.nat import Mapping
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import NAT_IN_PATH
from tests.network.conftest import Lab

INSIDE = ("172.16.0.10", 500)
REMOTE = ("192.168.0.2", 500)


class Ends:
    """moon's and sun's IKE sockets, with the router between them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.moon = self._socket("moon", INSIDE)
        self.sun = self._socket("sun", REMOTE)

    def _socket(self, node: str, address: tuple[str, int]) -> socket.socket:
        sock = self.network.node(node).socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(address)
        return sock

    async def send(self) -> tuple[str, int]:
        """Send from moon and return whom sun takes it from."""
        self.moon.sendto(b"hello", REMOTE)
        loop = asyncio.get_running_loop()
        data, sender = await asyncio.wait_for(loop.sock_recvfrom(self.sun, 100), 5)
        assert data == b"hello"
        host, port = sender
        return host, port


def test_the_router_shows_itself_outside_and_answers_come_back(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            ends = Ends(network)
            host, port = await ends.send()
            assert host == "192.168.0.1"
            assert 30000 <= port <= 30999
            ends.sun.sendto(b"back", (host, port))
            loop = asyncio.get_running_loop()
            answer = await asyncio.wait_for(loop.sock_recvfrom(ends.moon, 100), 5)
            assert answer == (b"back", REMOTE)
            assert await network.router("nat").mappings() == [
                Mapping(socket.IPPROTO_UDP, INSIDE, (host, port), REMOTE)
            ]
            seen = [dissect(frame.data).ports for frame in network.wire("inside").frames]
            assert (500, 500) in seen
            assert all(dissect(f.data).source != INSIDE[0] for f in network.wire("wan").frames)

    lab.run(body)


def test_only_the_remote_port_that_a_mapping_is_for_can_use_it(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            ends = Ends(network)
            outside = await ends.send()
            other = network.node("sun").socket(socket.AF_INET, socket.SOCK_DGRAM)
            other.bind((REMOTE[0], 501))
            other.sendto(b"stranger", outside)
            wan = network.wire("wan")
            await wan.frames.first(lambda f: b"stranger" in f.data, "the stranger's datagram")
            ends.sun.sendto(b"friend", outside)
            loop = asyncio.get_running_loop()
            assert await asyncio.wait_for(loop.sock_recv(ends.moon, 100), 5) == b"friend"
            assert not any(b"stranger" in f.data for f in network.wire("inside").frames)

    lab.run(body)


def test_what_is_inside_cannot_be_reached_from_outside(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            sun = network.node("sun")
            await sun.run(["ip", "route", "add", "172.16.0.0/24", "via", "192.168.0.1"])
            assert (await network.ping("sun", "moon", deadline=0.1)).received == 0
            assert (await network.ping("moon", "sun")).received == 1

    lab.run(body)


def test_a_forwarded_port_is_reached_from_outside_and_answers_as_itself(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            ends = Ends(network)
            await network.router("nat").forward(INSIDE[0], INSIDE[1])
            ends.sun.sendto(b"first", ("192.168.0.1", 500))
            loop = asyncio.get_running_loop()
            received = await asyncio.wait_for(loop.sock_recvfrom(ends.moon, 100), 5)
            assert received == (b"first", REMOTE)
            assert await ends.send() == ("192.168.0.1", 500)

    lab.run(body)


def test_a_forgotten_mapping_is_made_anew_and_a_remapped_one_has_another_port(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            ends = Ends(network)
            router = network.router("nat")
            await router.remap((40000, 40000))
            assert await ends.send() == ("192.168.0.1", 40000)
            await router.remap((41000, 41000))
            assert await router.mappings() == []
            ends.sun.sendto(b"too late", ("192.168.0.1", 40000))
            assert await ends.send() == ("192.168.0.1", 41000)
            await router.expire()
            assert await router.mappings() == []
            assert await ends.send() == ("192.168.0.1", 41000)
            assert not any(b"too late" in f.data for f in network.wire("inside").frames)

    lab.run(body)


def test_a_mapping_times_out(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            ends = Ends(network)
            router = network.router("nat")
            router.timeouts(unreplied=1, stream=2)
            outside = await ends.send()
            assert [mapping.outside for mapping in await router.mappings()] == [outside]
            async with asyncio.timeout(10):
                while await router.mappings():
                    # The kernel tells nobody when it forgets one.
                    await asyncio.sleep(0.1)
            ends.sun.sendto(b"too late", outside)
            wan = network.wire("wan")
            await wan.frames.first(lambda f: b"too late" in f.data, "the late datagram")
            assert await ends.send()
            assert not any(b"too late" in f.data for f in network.wire("inside").frames)

    lab.run(body)


def test_a_router_that_refuses_says_why(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(NAT_IN_PATH, spawner) as network:
            with pytest.raises(NetworkError, match="nft -f - in node 'nat' returned 1: "):
                await network.router("nat").translate((9, 1))

    lab.run(body)
