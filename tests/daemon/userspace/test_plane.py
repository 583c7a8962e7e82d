# SPDX-License-Identifier: GPL-2.0-or-later
"""Two userspace planes back to back, with real packets of real hosts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from harness.capture.frames import ESP, Esp, dissect
from harness.daemon.data_plane import Acquired, DataPlaneError, Expired, PeerMoved, Route
from harness.daemon.userspace.spd import MOST_WAITING
from harness.ike.address import Address
from harness.ike.address import Path as NetworkPath
from harness.network.leaks import in_clear
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import HOST_TO_HOST, NAT_IN_PATH
from harness.network.wires import CarriedWire
from tests.daemon.userspace.ends import (
    CBC,
    GCM,
    MOON_NET,
    SHA,
    SUN_NET,
    WAN,
    End,
    between_gateways,
    carries_esp,
    ends,
    pairs,
    selectors,
)
from tests.network.conftest import Lab

MOON_SUN_SUBNETS = (ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))


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


async def crossed(wire: CarriedWire, marker: bytes, count: int) -> None:
    async with asyncio.timeout(10):
        while sum(marker in frame.data for frame in wire.frames) < count:
            await asyncio.sleep(0)
