# SPDX-License-Identifier: GPL-2.0-or-later
"""Two userspace planes back to back, with real packets of real hosts."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from harness.capture.frames import ESP, Esp, dissect
from harness.capture.recording import Frame
from harness.daemon.data_plane import Acquired, DataPlaneError, Expired, PeerMoved, Route
from harness.daemon.running import kernel_plane
from harness.daemon.userspace.headers import CE, ECT_0, ECT_1
from harness.daemon.userspace.sa_state import Refusal
from harness.daemon.userspace.spd import MOST_WAITING
from harness.ike.address import Address
from harness.ike.address import Path as NetworkPath
from harness.ike.ip_modes import internet_checksum
from harness.network.leaks import in_clear
from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import HOST_TO_HOST, MOON_SUN, NAT_IN_PATH, with_wire
from harness.network.topology import Topology
from harness.network.waiting import readable
from harness.network.wires import CarriedWire
from tests.daemon.userspace.ends import CBC, GCM, SHA, End, end, ends, pairs, selectors
from tests.network.conftest import Lab

WAN = NetworkPath(Address("192.168.0.1", 4500), Address("192.168.0.2", 4500))
MOON_NET, SUN_NET = selectors("10.1.0.0/16"), selectors("10.2.0.0/16")
MOON_SUN_SUBNETS = (ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))
IP_MTU_DISCOVER, IP_MTU, IP_RECVTOS, IP_PMTUDISC_DO = 10, 14, 13, 2
AF11 = 10 << 2
"""A DSCP (RFC 2597), where it is in the traffic class."""

ROOT = Path(__file__).resolve().parents[3]
PLANE_THAT_IS_KILLED = """
import asyncio
from harness.daemon.userspace.plane import UserspacePlane
from tests.daemon.userspace.ends import pairs
from tests.daemon.userspace.test_plane import MOON_NET, SUN_NET, WAN

async def main():
    plane = UserspacePlane(print, lambda octets, path, traffic_class: None)
    await plane.start()
    await plane.install(pairs(WAN, MOON_NET, SUN_NET)[0], outbound=True)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

Body = Callable[[Network, End, End], Coroutine[Any, Any, None]]


def between_gateways(lab: Lab, body: Body, topology: Topology = MOON_SUN) -> None:
    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(topology, spawner) as network,
            ends(network, "moon", "sun") as (moon, sun),
        ):
            await body(network, moon, sun)

    lab.run(run)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "in UDP"])
@pytest.mark.parametrize("suite", [(GCM, None), (CBC, SHA)], ids=["gcm", "cbc"])
@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_a_tunnel_carries_a_flow_and_nothing_in_clear(lab: Lab, encapsulated, suite, esn) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, suite=suite, esn=esn, encapsulated=encapsulated)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        async with network.traffic("alice", "bob", every=0.002, size=1200) as flow:
            await flow.crossed(50)
        assert flow.lost == flow.duplicated == flow.reordered == 0
        frames = network.wire("wan").frames
        assert not in_clear(frames, [flow.there.marker, flow.back.marker])
        esp = [
            dissect(frame.data) for frame in frames if isinstance(dissect(frame.data).carried, Esp)
        ]
        assert len(esp) >= 100
        assert {headers.protocol for headers in esp} == {17 if encapsulated else ESP}
        received, sent = await moon.plane.carried(mine.inbound.spi)
        assert received >= 50 * 1228
        assert sent >= 50 * 1228

    between_gateways(lab, body)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "in UDP"])
def test_transport_mode_carries_what_two_hosts_say_to_each_other(
    lab: Lab, version: int, encapsulated: bool
) -> None:
    first, second = ("10.0.0.1", "10.0.0.3") if version == 4 else ("2001:db8::1", "2001:db8::3")
    path = NetworkPath(Address(first, 4500), Address(second, 4500))

    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(HOST_TO_HOST, spawner) as network,
            ends(network, "host1", "host3") as (one, other),
        ):
            near, far = selectors(first), selectors(second)
            mine, yours = pairs(path, near, far, transport=True, encapsulated=encapsulated)
            await one.plane.install(mine, outbound=True)
            await other.plane.install(yours, outbound=True)
            async with network.traffic(
                "host1", "host3", every=0.002, size=1200, version=version
            ) as flow:
                await flow.crossed(50)
            assert flow.lost == 0
            pings = await network.ping("host1", "host3", version=version, count=3)
            assert pings.received == 3
            frames = network.wire("wan").frames
            assert not in_clear(frames, [flow.there.marker, flow.back.marker])
            assert one.plane.fates["passed in clear"] == 0

    lab.run(run)


def test_a_rekeying_under_traffic_loses_nothing_and_switches_once(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        ours, theirs = pairs(WAN, MOON_NET, SUN_NET)
        await moon.plane.install(ours, outbound=True)
        await sun.plane.install(theirs, outbound=True)
        async with network.traffic("alice", "bob", every=0.001) as flow:
            for spi in range(0x2000, 0x2030, 0x10):
                await flow.crossed(20)
                mine, yours = pairs(WAN, MOON_NET, SUN_NET, spi=spi)
                # As in CREATE_CHILD_SA: the responder waits for the initiator to send.
                await sun.plane.install(yours, outbound=False)
                await moon.plane.install(mine, outbound=True)
                await sun.plane.switch(yours.inbound.spi)
                await moon.plane.retire(ours.inbound.spi)
                await sun.plane.retire(theirs.inbound.spi)
                await flow.crossed(20)
                await moon.plane.remove(ours.inbound.spi)
                await sun.plane.remove(theirs.inbound.spi)
                ours, theirs = mine, yours
        assert flow.lost == flow.duplicated == flow.reordered == 0
        frames = network.wire("wan").frames
        assert not in_clear(frames, [flow.there.marker, flow.back.marker])
        for sender in ("moon", "sun"):
            spis = [
                carried.spi
                for frame in frames
                if frame.sender == sender
                and isinstance(carried := dissect(frame.data).carried, Esp)
            ]
            assert spis == sorted(spis)
            assert len(set(spis)) == 4

    between_gateways(lab, body)


def test_traffic_of_a_route_asks_for_an_sa_and_its_first_packet_gets_through(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        await moon.plane.protect(Route("net", 7, WAN, MOON_NET, SUN_NET))
        mine, yours = (replace(pair, reqid=7) for pair in pairs(WAN, MOON_NET, SUN_NET))
        ping = asyncio.ensure_future(network.ping("alice", "bob", deadline=10.0))
        assert await moon.event(Acquired) == Acquired(7)
        await sun.plane.install(yours, outbound=True)
        await moon.plane.install(mine, outbound=True)
        assert (await ping).received == 1
        assert not moon.events
        # Once it is gone the next packet asks again, however soon that is.
        await moon.plane.remove(mine.inbound.spi)
        assert (await network.ping("alice", "bob", deadline=0.1)).received == 0
        assert moon.events == [Acquired(7)]
        frames = network.wire("wan").frames
        assert not in_clear(frames, inner=MOON_SUN_SUBNETS)

    between_gateways(lab, body)


def test_a_route_lets_nothing_out_in_clear_and_holds_no_more_than_a_few(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        await moon.plane.protect(Route("net", 7, WAN, MOON_NET, SUN_NET))
        async with network.traffic("alice", "bob", every=0.001, drain=0.0) as flow:
            await moon.fate("no room to wait", 20)
        assert moon.plane.fates["waiting for an SA"] == MOST_WAITING
        assert moon.events == [Acquired(7)]
        assert not in_clear(network.wire("wan").frames, [flow.there.marker])
        await moon.plane.unprotect(7)
        assert (await network.ping("alice", "bob")).received == 1

    between_gateways(lab, body)


def test_what_comes_in_clear_and_was_to_be_protected_is_dropped(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        assert (await network.ping("alice", "bob")).received == 1
        await sun.plane.protect(Route("net", 7, WAN, SUN_NET, MOON_NET))
        wan, lan = network.wire("wan"), network.wire("sun-lan")
        async with network.traffic("alice", "bob", every=0.001, drain=0.0) as flow:
            await crossed(wan, flow.there.marker, 20)
        assert not [frame for frame in lan.frames if flow.there.marker in frame.data]
        await sun.plane.unprotect(7)
        assert (await network.ping("alice", "bob")).received == 1

    between_gateways(lab, body)


def test_other_traffic_to_the_same_network_passes_in_clear(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        telnet = (replace(SUN_NET[0], protocol=6, start_port=23, end_port=23),)
        mine, yours = pairs(WAN, MOON_NET, telnet)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        async with network.traffic("alice", "bob", every=0.002, size=1200) as flow:
            await flow.crossed(20)
        assert flow.lost == 0
        assert moon.plane.fates["passed in clear"] >= 20
        assert moon.plane.fates["sent"] == 0

    between_gateways(lab, body)


def test_what_is_outside_the_selectors_of_its_sa_is_dropped(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET)
        await moon.plane.install(mine, outbound=True)
        elsewhere = replace(yours, remote=selectors("10.3.0.0/16"))
        await sun.plane.install(elsewhere, outbound=True)
        async with network.traffic("alice", "bob", every=0.001, drain=0.0):
            await sun.fate("outside the traffic selectors", 10)
        assert sun.plane.fates["received"] == 0

    between_gateways(lab, body)


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_larger_than_the_mtu_cross_in_transport_mode(lab: Lab, version: int) -> None:
    first, second = ("10.0.0.1", "10.0.0.3") if version == 4 else ("2001:db8::1", "2001:db8::3")
    path = NetworkPath(Address(first), Address(second))

    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(HOST_TO_HOST, spawner) as network,
            ends(network, "host1", "host3") as (one, other),
        ):
            mine, yours = pairs(path, selectors(first), selectors(second), transport=True)
            await one.plane.install(mine, outbound=True)
            await other.plane.install(yours, outbound=True)
            async with network.traffic(
                "host1", "host3", every=0.002, size=5000, version=version
            ) as flow:
                await flow.crossed(20)
            assert flow.lost == 0
            assert one.plane.fates["piece of a packet"] >= 20
            assert not in_clear(network.wire("wan").frames, [flow.there.marker])

    lab.run(run)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "in UDP"])
def test_a_packet_too_big_for_the_tunnel_is_answered_with_its_mtu(
    lab: Lab, encapsulated: bool
) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, encapsulated=encapsulated)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        # AES-GCM has 8 bytes of IV and 16 of ICV; the trailer ends at a multiple of four.
        room = (1500 - 20 - 8 - 8 - 16 - 8 * encapsulated) // 4 * 4 - 2
        sock = network.node("alice").socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            sock.connect(("10.2.0.10", 9))
            sock.send(bytes(1472))
            receiving = asyncio.get_running_loop().sock_recv(sock, 1)
            with pytest.raises(OSError, match="Message too long"):
                await asyncio.wait_for(receiving, 10)
            assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU) == room
        async with network.traffic("alice", "bob", every=0.002, size=room - 28) as flow:
            await flow.crossed(20)
        assert flow.lost == 0
        assert max(len(frame.data) for frame in network.wire("wan").frames) <= 1514

    between_gateways(lab, body)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "in UDP"])
def test_what_is_too_large_for_a_narrow_path_only_with_esp_is_cut_after_it(
    lab: Lab, encapsulated: bool
) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, encapsulated=encapsulated)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        # The device has the 1280 bytes that IPv6 wants at least, and the path no room for more.
        async with network.traffic("alice", "bob", every=0.002, size=1280 - 28) as flow:
            await flow.crossed(20)
        assert flow.lost == 0
        frames = network.wire("wan").frames
        assert max(len(frame.data) for frame in frames) <= 14 + 1300
        assert [frame for frame in frames if dissect(frame.data).fragment]

    between_gateways(lab, body, with_wire(MOON_SUN, "wan", mtu=1300))


def test_a_path_that_is_narrower_further_on_is_told_to_who_sends_through_the_tunnel(
    lab: Lab,
) -> None:
    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(with_wire(NAT_IN_PATH, "wan", mtu=1400), spawner) as network,
            end(network.node("moon")) as moon,
        ):
            inside = NetworkPath(Address("172.16.0.10", 4500), Address("192.168.0.2", 4500))
            mine, _ = pairs(inside, MOON_NET, SUN_NET, encapsulated=True)
            await moon.plane.install(mine, outbound=True)
            room = (1400 - 20 - 8 - 8 - 16 - 8) // 4 * 4 - 2
            sock = network.node("alice").socket(socket.AF_INET, socket.SOCK_DGRAM)

            def mtu() -> int:
                """Of the path to bob, as alice knows it now."""
                sock.connect(("10.2.0.10", 9))
                return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)

            # Between two looks at the path a packet is cut after ESP, and nobody is told of that.
            with sock:
                async with (
                    network.traffic("alice", "bob", every=0.05, size=1400, drain=0.0),
                    asyncio.timeout(10),
                ):
                    while mtu() > room:
                        await asyncio.sleep(0)
                assert mtu() == room

    lab.run(run)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "in UDP"])
def test_the_traffic_class_crosses_and_a_mark_of_congestion_with_it(
    lab: Lab, encapsulated: bool
) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, encapsulated=encapsulated)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        wan = network.wire("wan")
        wan.on(carries_esp, sender="moon").replace(congested)
        hosts = [network.node(name) for name in ("alice", "bob")]
        alice, bob = (host.socket(socket.AF_INET, socket.SOCK_DGRAM) for host in hosts)
        with alice, bob:
            bob.bind(("10.2.0.10", 9))
            bob.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
            for sent in (AF11 | ECT_0, AF11 | ECT_1):
                before = len(wan.frames)
                alice.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, sent)
                alice.sendto(b"marked", ("10.2.0.10", 9))
                async with asyncio.timeout(10):
                    await readable(bob.fileno())
                _, told, _, _ = bob.recvmsg(16, 64)
                assert [data for _, _, data in told] == [bytes([AF11 | CE])]
                # As moon sent it, and as it was delivered instead.
                classes = [one.data[15] for one in wan.frames[before:] if carries_esp(one)]
                assert classes == [sent, AF11 | CE]
            # RFC 6040 section 4.2: what cannot tell of congestion is dropped where there is some.
            alice.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, AF11)
            alice.sendto(b"unmarked", ("10.2.0.10", 9))
            await sun.fate(Refusal.CONGESTION)

    between_gateways(lab, body)


def test_a_peer_behind_a_nat_that_maps_anew_is_reported_once_and_followed(lab: Lab) -> None:
    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(NAT_IN_PATH, spawner) as network,
            ends(network, "moon", "sun") as (moon, sun),
        ):
            inside = NetworkPath(Address("172.16.0.10", 4500), Address("192.168.0.2", 4500))
            mine, yours = pairs(inside, MOON_NET, SUN_NET, encapsulated=True)
            first = NetworkPath(Address("192.168.0.2", 4500), Address("192.168.0.1", 4500))
            await moon.plane.install(mine, outbound=True)
            await sun.plane.install(replace(yours, path=first), outbound=True)
            for _ in range(2):
                async with network.traffic("alice", "bob", every=0.002, drain=0.0) as flow:
                    moved = await sun.event(PeerMoved)
                    assert isinstance(moved, PeerMoved)
                    assert moved.inbound_spi == yours.inbound.spi
                    path = replace(first, remote=moved.remote)
                    await sun.plane.move(yours.inbound.spi, path, encapsulated=True)
                    await flow.crossed(10)
                    assert not sun.events
                mappings = await network.router("nat").mappings()
                assert tuple(moved.remote) in [one.outside for one in mappings]
                await network.router("nat").remap((31000, 31999))

    lab.run(run)


def test_an_sa_that_has_no_sequence_number_left_says_so_and_stops(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(yours, outbound=True)
        state = moon.plane._traffic.states[mine.inbound.spi]
        state._sealer.sequence = 0xFFFFFFFE
        async with network.traffic("alice", "bob", every=0.001, drain=0.0):
            await moon.fate("waiting for an SA", 3)
        assert moon.events == [
            Expired(mine.inbound.spi, hard=False),
            Expired(mine.inbound.spi, hard=True),
        ]
        (esp,) = [f for f in network.wire("wan").frames if f.sender == "moon" and carries_esp(f)]
        assert dissect(esp.data).carried.sequence == 0xFFFFFFFF

    between_gateways(lab, body)


def test_an_sa_tells_of_its_lifetimes_and_ends_with_the_last(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, life=1, rekey_octets=100)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(replace(yours, life=0, rekey_octets=0), outbound=True)
        await network.ping("alice", "bob", count=2)
        assert moon.events == [Expired(mine.inbound.spi, hard=False)]
        moon.events.clear()
        assert await moon.event(Expired) == Expired(mine.inbound.spi, hard=True)
        await moon.plane.switch(mine.inbound.spi)
        assert await moon.plane.carried(mine.inbound.spi) == (0, 0)
        assert not sun.events

    between_gateways(lab, body)


def test_an_sa_that_has_carried_all_that_it_may_says_so_once_and_ends(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, yours = pairs(WAN, MOON_NET, SUN_NET, octets=10_000)
        await moon.plane.install(mine, outbound=True)
        await sun.plane.install(replace(yours, octets=0), outbound=True)
        async with network.traffic("alice", "bob", every=0.001, drain=0.0):
            assert await moon.event(Expired) == Expired(mine.inbound.spi, hard=True)
            await moon.plane.switch(mine.inbound.spi)
            assert await moon.plane.carried(mine.inbound.spi) == (0, 0)
        assert not moon.events + sun.events

    between_gateways(lab, body)


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


def test_an_spi_that_is_in_use_and_a_path_that_cannot_be_are_refused_in_words(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, _ = pairs(WAN, MOON_NET, SUN_NET)
        await moon.plane.install(mine, outbound=True)
        with pytest.raises(DataPlaneError, match="the SPI 0x00001000 is in use"):
            await moon.plane.install(mine, outbound=True)
        mixed = NetworkPath(Address("192.168.0.1"), Address("2001:db8::2"))
        with pytest.raises(DataPlaneError, match=r"no path from 192\.168\.0\.1 to 2001:db8::2"):
            await moon.plane.move(mine.inbound.spi, mixed, encapsulated=False)

    between_gateways(lab, body)


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


def test_a_strict_reverse_path_filter_is_named_where_it_would_cut_the_peer_off(lab: Lab) -> None:
    async def body(network: Network, moon: End, sun: End) -> None:
        mine, _ = pairs(WAN, selectors("192.168.0.1"), selectors("192.168.0.2"), transport=True)
        tunnel, _ = pairs(WAN, MOON_NET, SUN_NET, spi=0x2000)
        moon.node.sysctl("net/ipv4/conf/eth0/rp_filter", 1)
        sentence = "net: eth0 drops what comes from 192.168.0.2 .* set net.ipv4.conf.all.rp_filter"
        with pytest.raises(DataPlaneError, match=sentence):
            await moon.plane.install(mine, outbound=True)
        await moon.plane.install(tunnel, outbound=True)
        moon.node.sysctl("net/ipv4/conf/all/rp_filter", 2)
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


def congested(frame: bytes) -> bytes:
    """The IPv4 packet in an Ethernet frame as a router leaves it whose queue is full."""
    header = bytearray(frame[14:34])
    header[1] |= CE
    header[10:12] = bytes(2)
    header[10:12] = internet_checksum(bytes(header)).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:]


def carries_esp(frame: Frame) -> bool:
    return isinstance(dissect(frame.data).carried, Esp)


async def crossed(wire: CarriedWire, marker: bytes, count: int) -> None:
    async with asyncio.timeout(10):
        while sum(marker in frame.data for frame in wire.frames) < count:
            await asyncio.sleep(0)


async def everything(node: Node) -> str:
    """All that a plane could leave in a network, as text."""
    commands = ("ip link", "ip route show table all", "ip rule", "ip -6 rule", "nft list ruleset")
    return "".join([(await node.run(command.split())).stdout.decode() for command in commands])
