# SPDX-License-Identifier: GPL-2.0-or-later
"""What a plane leaves in a network that was closed, refused something, or killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemon.data_plane import DataPlaneError, Route
from harness.daemon.running import kernel_plane
from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN
from tests.daemon.userspace.ends import (
    MOON_NET,
    SUN_NET,
    WAN,
    End,
    between_gateways,
    end,
    pairs,
    selectors,
)
from tests.network.conftest import Lab

ROOT = Path(__file__).resolve().parents[3]
PLANE_THAT_IS_KILLED = """
import asyncio
from harness.daemon.userspace.plane import UserspacePlane
from tests.daemon.userspace.ends import MOON_NET, SUN_NET, WAN, pairs

async def main():
    plane = UserspacePlane(print, lambda octets, path, traffic_class: None)
    await plane.start()
    await plane.install(pairs(WAN, MOON_NET, SUN_NET)[0], outbound=True)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_closed_plane_leaves_no_device_route_rule_or_filter(lab: Lab) -> None:
    async def run(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            moon = network.node("moon")
            before = await everything(moon)
            async with end(moon) as made:
                await made.plane.protect(Route("net", 7, WAN, MOON_NET, SUN_NET))
                mine, _ = pairs(WAN, MOON_NET, SUN_NET)
                await made.plane.install(mine, outbound=True)
                assert made.plane.device in await everything(moon)
            assert await everything(moon) == before

    lab.run(run)


def test_what_the_kernel_refuses_leaves_nothing_half_done(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        before = await everything(moon.node)
        # The node has no IPv6, so that only the second of the two routes is refused.
        mixed = selectors("10.2.0.0/16", "fd02::/64")
        mine, _ = pairs(WAN, selectors("10.1.0.0/16", "fd01::/64"), mixed)
        with pytest.raises(DataPlaneError, match="The kernel refused the route to fd02::/64"):
            await moon.plane.install(mine, outbound=True)
        assert await everything(moon.node) == before
        mine, _ = pairs(WAN, MOON_NET, SUN_NET)
        await moon.plane.install(mine, outbound=True)

    between_gateways(lab, body)


def test_a_killed_plane_takes_device_and_routes_with_it_and_another_can_begin(lab: Lab) -> None:
    async def run(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            moon = network.node("moon")
            before = await everything(moon)
            kill_a_plane(moon)
            for command in ("ip link", "ip route show table all"):
                listed = (await moon.run(command.split())).stdout.decode()
                assert "ikelab0" not in listed
                assert listed in before
            # As from another one that was killed.
            await moon.run(["nft", "add", "table", "inet", "ikelab7"])
            async with end(moon) as made:
                mine, _ = pairs(WAN, MOON_NET, SUN_NET)
                await made.plane.install(mine, outbound=True)
            listed = await everything(moon)
            assert [line for line in listed.splitlines() if "ikelab" in line] == []

    lab.run(run)


def test_what_a_killed_plane_leaves_is_removed_by_who_begins_with_the_kernels_esp(
    lab: Lab,
) -> None:
    async def run(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            moon = network.node("moon")
            before = await everything(moon)
            kill_a_plane(moon)
            assert "table inet ikelab0" in await everything(moon)
            async with end(moon) as living:
                with moon.entered():
                    make = kernel_plane()
                kernel = await make(print)
                # One that lives keeps what it has.
                assert f"table inet {living.plane.device}" in await everything(moon)
                await kernel.close()
            assert await everything(moon) == before

    lab.run(run)


def kill_a_plane(node: Node) -> None:
    """Let a process protect traffic in a node, and kill it."""
    with node.entered():
        argv = [sys.executable, "-c", PLANE_THAT_IS_KILLED]
        killed = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    with killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"ready\n"
        killed.kill()


async def everything(node: Node) -> str:
    """All that a plane could leave in a network, as text."""
    commands = ("ip link", "ip route show table all", "ip rule", "ip -6 rule", "nft list ruleset")
    return "".join([(await node.run(command.split())).stdout.decode() for command in commands])
