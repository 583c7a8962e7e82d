# SPDX-License-Identifier: GPL-2.0-or-later
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.capture.recording import Recording
from harness.network.errors import NetworkError
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import (
    HOST_TO_HOST,
    MOON_SUN,
    MOON_SUN_IPV6,
    SEIL,
    with_wire,
)
from harness.network.topology import Topology, TopologyError
from tests.network.conftest import Lab

ENDS = {
    "moon-sun": (MOON_SUN, "alice", "bob", 4),
    "moon-sun-ipv6": (MOON_SUN_IPV6, "alice", "bob", 6),
    "host-to-host": (HOST_TO_HOST, "host1", "host3", 4),
    "host-to-host over IPv6": (HOST_TO_HOST, "host1", "host3", 6),
    "seil": (SEIL, "left", "right", 4),
    "plain": (with_wire(MOON_SUN, "wan", carried=False), "alice", "bob", 4),
    "plain with jumbo frames": (
        with_wire(MOON_SUN_IPV6, "wan", carried=False, mtu=9000),
        "alice",
        "bob",
        6,
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_packets_cross_a_topology_as_soon_as_it_is_up(lab: Lab, case: str) -> None:
    topology, first, second, version = ENDS[case]

    async def body(spawner: Spawner) -> None:
        async with Network.up(topology, spawner) as network:
            pings = await network.ping(first, second, version=version, count=3)
            assert pings.received == 3
            assert all(wire.frames for wire in network.wires.values())

    lab.run(body)


def test_a_topology_is_built_as_it_is_written(lab: Lab) -> None:
    topology = with_wire(MOON_SUN, "wan", mtu=1454)

    async def body(spawner: Spawner) -> None:
        async with Network.up(topology, spawner) as network:
            for spec in topology.nodes:
                node = network.node(spec.name)
                assert (await node.run(["hostname"])).stdout.decode() == spec.name + "\n"
                for end in topology.interfaces(spec.name):
                    sys = f"/sys/class/net/{end.name}"
                    assert node.read(f"{sys}/address").decode() == end.mac + "\n"
                    assert node.read(f"{sys}/tx_queue_len") == b"10000\n"
                forwards = (await node.run(["cat", "/proc/sys/net/ipv4/ip_forward"])).stdout
                assert forwards == (b"1\n" if spec.role.forwards else b"0\n")
            moon = network.node("moon")
            assert moon.read("/sys/class/net/eth0/mtu") == b"1454\n"
            assert moon.read("/sys/class/net/eth1/mtu") == b"1500\n"
            assert set(network.wires) == {"wan", "moon-lan", "sun-lan"}

    lab.run(body)


def test_a_node_gets_other_addresses_and_its_routes_along_with_them(lab: Lab) -> None:
    async def listed(network: Network, *argv: str) -> list[str]:
        shown = await network.node("moon").run(["ip", "-4", "-brief", *argv])
        return shown.stdout.decode().splitlines()

    async def body(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            routes = await listed(network, "route")
            assert "10.2.0.0/16 via 192.168.0.2 dev eth0" in "\n".join(routes)
            await network.readdress("moon", "wan", "192.168.0.3/24")
            (shown,) = await listed(network, "address", "show", "dev", "eth0")
            assert shown.split()[2:] == ["192.168.0.3/24"]
            moved = [one.replace("192.168.0.1", "192.168.0.3") for one in routes]
            assert sorted(await listed(network, "route")) == sorted(moved)
            await network.readdress("moon", "wan")
            assert await listed(network, "address", "show", "dev", "eth0") == []
            assert not [one for one in await listed(network, "route") if "eth0" in one]
            await network.readdress("moon", "wan", "192.168.0.1/24")
            assert (await network.ping("alice", "bob")).received == 1

    lab.run(body)


def test_only_an_end_of_a_wire_that_there_is_gets_another_address(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            with pytest.raises(NetworkError, match="node 'alice' has no end of wire 'wan'"):
                await network.readdress("alice", "wan", "192.168.0.3/24")
            with pytest.raises(TopologyError, match="has no wire 'lan'"):
                await network.readdress("moon", "lan", "192.168.0.3/24")
            with pytest.raises(TopologyError, match="interface 'eth0' of node 'moon'"):
                await network.readdress("moon", "wan", "192.168.0.300/24")

    lab.run(body)


def test_a_node_is_rooted_in_its_image(lab: Lab, small_image: Path) -> None:
    async def body(spawner: Spawner) -> None:
        roots = {"moon": small_image, "sun": [small_image], "alice": None}
        async with Network.up(MOON_SUN, spawner, roots) as network:
            for name in ("moon", "sun"):
                listed = (await network.node(name).run(["ls", "/"])).stdout.decode().split()
                assert set(listed) >= {"bin", "opt", "proc", "run"}
                assert "home" not in listed
            assert "home" in os.listdir(network.node("alice").root)

    lab.run(body)


def test_a_network_that_cannot_be_built_leaves_nothing(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        before = processes()
        with pytest.raises(
            NetworkError, match="'moon' could not be set up: the image root /absent"
        ):
            async with Network.up(MOON_SUN, spawner, {"moon": Path("/absent")}):
                pytest.fail("the network is up")
        with pytest.raises(TopologyError, match="topology 'moon-sun' has no node 'mars'"):
            async with Network.up(MOON_SUN, spawner, {"mars": Path("/")}):
                pytest.fail("the network is up")
        # What a kernel refuses although the topology is sound: a route to where it already goes.
        routes = MOON_SUN.node("alice").routes * 2
        alice = replace(MOON_SUN.node("alice"), routes=routes)
        twice = Topology("twice", (alice, *MOON_SUN.nodes[1:]), MOON_SUN.wires)
        with pytest.raises(
            NetworkError, match=r"the route to 0\.0\.0\.0/0 of node 'alice' was refused"
        ):
            async with Network.up(twice, spawner):
                pytest.fail("the network is up")
        assert processes() == before

    lab.run(body)


def processes() -> int:
    """How many children the spawners of this process have."""
    mine = str(os.getpid())
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] != "Z":
                parents[entry] = stat[1]
    spawners = [pid for pid, parent in parents.items() if parent == mine]
    return sum(parent in spawners for parent in parents.values())


def test_many_networks_one_after_the_other_use_nothing_up(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(HOST_TO_HOST, spawner):
            pass
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            async with Network.up(HOST_TO_HOST, spawner) as network:
                assert (await network.ping("host1", "host3")).received == 1
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert processes() == 0

    lab.run(body)


def test_two_networks_at_once_do_not_meet(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with (
            Network.up(HOST_TO_HOST, spawner) as first,
            Network.up(HOST_TO_HOST, spawner) as second,
        ):
            await first.wire("wan").cut()
            assert (await first.ping("host1", "host3", deadline=0.05)).received == 0
            assert (await second.ping("host1", "host3")).received == 1

    lab.run(body)


def test_asking_for_what_is_not_there_says_what_is(lab: Lab, tmp_path: Path) -> None:
    async def body(spawner: Spawner) -> None:
        plain = with_wire(MOON_SUN, "wan", carried=False)
        with Recording(tmp_path / "c") as recording:
            async with Network.up(plain, spawner, None, recording) as network:
                with pytest.raises(NetworkError, match="'wan' is a plain link, which is not car"):
                    network.wire("wan")
                with pytest.raises(NetworkError, match="no wire 'x', only 'moon-lan', 'sun-lan'"):
                    network.wire("x")
                with pytest.raises(NetworkError, match="no node 'mars', only 'alice', 'moon'"):
                    network.node("mars")
                with pytest.raises(NetworkError, match="no NAT router 'nat', only none"):
                    network.router("nat")

    lab.run(body)
