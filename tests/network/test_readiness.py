# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.network.errors import NetworkError
from harness.network.network import Network
from harness.network.readiness import carrier, link_local
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN_IPV6
from harness.network.topology import interface
from tests.network.conftest import Lab


def test_the_link_local_address_is_made_of_the_mac_address() -> None:
    # The example of RFC 2464 section 4 and RFC 4291 appendix A.
    assert str(link_local("34:56:78:9a:bc:de")) == "fe80::3656:78ff:fe9a:bcde"


def test_every_ipv6_address_answers_at_once(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        for _ in range(5):
            async with Network.up(MOON_SUN_IPV6, spawner) as network:
                pings = await network.ping("bob", "alice", version=6)
                assert pings.received == 1

    lab.run(body)


def test_an_interface_that_is_not_there_is_one_sentence(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        node = await spawner.node("moon")
        with pytest.raises(NetworkError, match="interface 'eth9' of node 'moon' cannot be watched"):
            await carrier(node, interface("moon", "eth9").name)
        await node.close()

    lab.run(body)
