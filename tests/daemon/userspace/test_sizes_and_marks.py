# SPDX-License-Identifier: GPL-2.0-or-later
"""What is too large for a path, and what an outer header has of the inner one: DSCP and ECN."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.capture.frames import dissect
from harness.daemon.userspace.headers import CE, ECT_0, ECT_1
from harness.daemon.userspace.sa_state import Refusal
from harness.ike.address import Address
from harness.ike.address import Path as NetworkPath
from harness.ike.ip_modes import internet_checksum
from harness.network.leaks import in_clear
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import HOST_TO_HOST, MOON_SUN, NAT_IN_PATH, with_wire
from harness.network.waiting import readable
from tests.daemon.userspace.ends import (
    MOON_NET,
    SUN_NET,
    WAN,
    End,
    between_gateways,
    carries_esp,
    end,
    ends,
    pairs,
    selectors,
)
from tests.network.conftest import Lab

IP_MTU_DISCOVER, IP_MTU, IP_RECVTOS, IP_PMTUDISC_DO = 10, 14, 13, 2
AF11 = 10 << 2
"""A DSCP (RFC 2597), where it is in the traffic class."""


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


def congested(frame: bytes) -> bytes:
    """The IPv4 packet in an Ethernet frame as a router leaves it whose queue is full."""
    header = bytearray(frame[14:34])
    header[1] |= CE
    header[10:12] = bytes(2)
    header[10:12] = internet_checksum(bytes(header)).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:]
