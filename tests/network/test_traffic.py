# SPDX-License-Identifier: GPL-2.0-or-later
import errno
import socket
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.frames import dissect
from harness.capture.recording import Frame
from harness.network.errors import NetworkError
from harness.network.faults import Matches
from harness.network.leaks import in_clear
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN, MOON_SUN_IPV6
from harness.network.traffic import Stream, TrafficStopped, flow, marker
from tests.network.conftest import Lab
from tests.network.topologies import PAIR

SECOND = 10**9


def sent(count: int, every: int = SECOND) -> tuple[Stream, list[bytes]]:
    stream = Stream("alice", "bob", 1, 64)
    return stream, [stream.datagram(number * every) for number in range(count)]


def test_what_all_arrives_in_order_is_all_well() -> None:
    stream, datagrams = sent(4)
    for number, datagram in enumerate(datagrams):
        stream.arrived(datagram, number * SECOND + 5)
    report = stream.report()
    assert (report.sent, report.received, report.lost) == (4, 4, ())
    assert (report.duplicated, report.reordered, report.refused) == ((), (), ())
    assert report.longest_gap == 1.0
    assert {len(datagram) for datagram in datagrams} == {64}


def test_each_fate_is_told_by_number() -> None:
    stream, datagrams = sent(8)
    for number in (0, 2, 1, 5, 5, 6):
        stream.arrived(datagrams[number], 0)
    stream.arrived(datagrams[3][:-1] + b"!", 0)
    stream.arrived(datagrams[4][:40] + b"!!" + datagrams[4][42:], 0)
    stream.arrived(b"something else", 0)
    report = stream.report()
    assert report.lost == (3, 4, 7)
    assert report.duplicated == (5,)
    assert report.reordered == (1,)
    assert (report.corrupted, report.foreign) == (2, 1)


def test_the_longest_gap_counts_from_the_first_to_the_last_that_was_sent() -> None:
    arrivals = {"at the start": (7, 8, 9), "within": (0, 1, 8, 9), "at the end": (0, 1, 2)}
    gaps = {}
    for case, numbers in arrivals.items():
        stream, datagrams = sent(10)
        for number in numbers:
            stream.arrived(datagrams[number], number * SECOND)
        gaps[case] = stream.report().longest_gap
    assert gaps == {"at the start": 7.0, "within": 7.0, "at the end": 7.0}
    assert sent(5)[0].report().longest_gap == 4.0
    assert sent(0)[0].report().longest_gap == 0.0


def test_what_the_sender_refuses_is_lost_with_its_reason() -> None:
    stream, datagrams = sent(1)
    stream.arrived(datagrams[0], 0)
    stream.datagram(1)
    stream.refused(OSError(errno.EPERM, "no"))
    assert stream.finished
    report = stream.report()
    assert (report.lost, report.refused) == ((1,), ((1, "EPERM"),))


@given(st.lists(st.integers(0, 9)), st.binary(max_size=80))
def test_the_counts_agree_with_each_other_whatever_arrives(order: list[int], noise: bytes) -> None:
    stream, datagrams = sent(10)
    for number in order:
        stream.arrived(datagrams[number], 0)
        stream.arrived(noise, 0)
    report = stream.report()
    assert report.received + len(report.lost) == report.sent == 10
    assert report.received + len(report.duplicated) == len(order)
    assert set(report.lost) == set(range(10)) - set(order)
    assert report.foreign == len(order)


def test_markers_differ_by_direction_and_flow_and_not_by_run() -> None:
    assert marker("alice", "bob", 1).hex() == "2bedeba03ae75d285f43bdc4f5828285"
    assert (
        len({marker("alice", "bob", 1), marker("bob", "alice", 1), marker("alice", "bob", 2)}) == 3
    )


@pytest.mark.parametrize("version", [4, 6])
def test_a_flow_over_a_sound_network_loses_nothing(lab: Lab, version: int) -> None:
    topology = MOON_SUN if version == 4 else MOON_SUN_IPV6

    async def body(spawner: Spawner) -> None:
        async with Network.up(topology, spawner) as network:
            async with network.traffic(
                "alice", "bob", every=0.002, size=1400, version=version
            ) as flow:
                await flow.crossed(50)
            assert flow.lost == flow.duplicated == flow.reordered == 0
            assert min(report.sent for report in flow.reports) >= 50
            assert flow.longest_gap < 1
            on_wire = [f for f in network.wire("wan").frames if flow.there.marker in f.data]
            assert len(on_wire) == flow.there.sent

    lab.run(body)


def test_a_flow_finds_exactly_what_was_done_to_it(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            wan = network.wire("wan")
            async with network.traffic("alice", "bob", every=0.005, drain=0.2) as flow:

                def numbered(number: int, mark: bytes = flow.there.marker) -> Matches:
                    return lambda f: mark + number.to_bytes(8, "big") in f.data

                # Rules are added before the second datagram is sent: the loop did not run since.
                wan.on(numbered(3)).drop()
                wan.on(numbered(4)).duplicate()
                hold = wan.on(numbered(6)).hold()
                # A byte of the filler, in a datagram without an UDP checksum.
                wan.on(numbered(8)).replace(
                    lambda d: d[:40] + b"\0\0" + d[42:70] + bytes([d[70] ^ 1]) + d[71:]
                )
                wan.on(numbered(5, flow.back.marker)).drop()
                await wan.frames.first(numbered(9), "a later one")
                hold.release()
                await flow.crossed(20)
            there, back = flow.reports
            assert there.lost == (3, 8)
            assert there.duplicated == (4,)
            assert there.reordered == (6,)
            assert there.corrupted == 1
            assert (back.lost, back.duplicated, back.reordered) == ((5,), (), ())
            assert wan.unused == []
            assert flow.lost == 3

    lab.run(body)


def test_a_stop_waits_for_what_is_under_way_and_not_for_ever(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            wire = network.wire("wire")
            async with network.traffic("left", "right", every=10) as flow:
                wire.on(lambda f: flow.there.marker in f.data).delay(0.1)
            assert flow.lost == 0
            assert flow.there.report().received == 1
            hold = wire.on(lambda f: flow.there.marker in f.data).hold()
            wire.rules.reverse()
            async with network.traffic("left", "right", every=10, drain=0.05) as flow:
                await hold.used()
            assert (len(flow.reports[0].lost), len(flow.reports[1].lost)) == (1, 0)

    lab.run(body)


def test_a_cut_wire_is_seen_while_it_lasts(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            wire = network.wire("wire")
            async with network.traffic("left", "right", every=0.005) as flow:
                await flow.crossed(5)
                await wire.cut()
                # What had crossed before the cut may still be counted.
                with pytest.raises(
                    TrafficStopped, match=r"crossed there and \d+ back within 0\.1 s"
                ):
                    await flow.crossed(1000, deadline=0.1)
                await wire.restore()
                await flow.crossed(5)
            assert flow.lost >= 10
            assert flow.longest_gap >= 0.08

    lab.run(body)


def test_a_datagram_without_a_way_is_refused(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            await network.node("left").run(["ip", "route", "add", "blackhole", "10.0.0.2"])
            async with network.traffic("left", "right", every=10, drain=0) as flow:
                pass
            assert flow.reports[0].refused == ((0, "EINVAL"),)
            assert flow.reports[0].lost == (0,)

    lab.run(body)


def test_what_cannot_be_sent_is_one_sentence(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            left, right = network.place("left"), network.place("right")
            with pytest.raises(NetworkError, match=r"a flow of 10 bytes every 0\.05 s cannot be"):
                await flow(left, right, size=10).__aenter__()
            taken = network.node("left").socket(socket.AF_INET, socket.SOCK_DGRAM)
            taken.bind(("10.0.0.1", 20000))
            with pytest.raises(
                NetworkError, match=r"traffic cannot use 10\.0\.0\.1 port 20000 in node"
            ):
                await flow(left, right).__aenter__()
            taken.close()

    lab.run(body)


def test_what_crosses_in_clear_is_found_by_marker_and_by_address(lab: Lab) -> None:
    inner = [ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")]

    async def body(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network:
            async with network.traffic("alice", "bob", every=0.005) as flow:
                await flow.crossed(5)
            frames = network.wire("wan").frames
            clear = in_clear(frames, flow.markers)
            assert len(clear) == flow.there.sent + flow.back.sent
            assert in_clear(frames, (), inner) == clear
            # ARP is not in clear, nor are the gateways' own packets.
            assert len(clear) < len(frames)
            before = len(frames)
            await network.ping("moon", "sun")
            assert len(frames) > before
            assert in_clear(frames[before:], flow.markers, inner) == []

    lab.run(body)


def test_what_is_inside_esp_or_ah_is_not_in_clear() -> None:
    mark = marker("alice", "bob", 1)

    def frame(protocol: int, payload: bytes) -> Frame:
        header = bytes.fromhex("4500000000000000ff") + bytes([protocol]) + bytes(2)
        packet = header + bytes([10, 1, 0, 10, 10, 2, 0, 10]) + payload
        return Frame(1, "wan", "moon", "sun", 0, bytes(12) + b"\x08\x00" + packet)

    esp = bytes.fromhex("0000123400000001") + mark
    ah = bytes.fromhex("110400000000123400000001") + bytes(12) + mark
    udp = bytes.fromhex("1194119400000000")
    inner = [ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")]
    assert dissect(frame(50, esp).data).protocol == 50
    covered = [frame(50, esp), frame(51, ah), frame(17, udp + esp)]
    assert in_clear(covered, [mark], inner) == []
    bare = frame(17, bytes.fromhex("0001000200000000") + mark)
    assert in_clear([bare], [mark]) == in_clear([bare], [], inner) == [bare]
    assert in_clear([bare], [b"other"]) == []
