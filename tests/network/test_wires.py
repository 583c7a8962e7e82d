# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import os
import socket
from pathlib import Path

import pytest

from harness.capture.frames import UDP, dissect
from harness.capture.pcapng import read
from harness.capture.recording import Frame, FrameNotSeen, Recording
from harness.network.errors import NetworkError
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topology import Topology, Wire
from harness.network.wires import FramesLost
from tests.network.conftest import Lab
from tests.network.topologies import PAIR

PORT = 5000


def is_udp(frame: Frame) -> bool:
    return dissect(frame.data).protocol == UDP


def payload(frame: Frame) -> bytes:
    return dissect(frame.data).payload


class Ends:
    """A UDP socket at each end of the pair's wire."""

    def __init__(self, network: Network) -> None:
        self.wire = network.wire("wire")
        self.left = self._socket(network, "left", "10.0.0.1")
        self.right = self._socket(network, "right", "10.0.0.2")

    def _socket(self, network: Network, name: str, address: str) -> socket.socket:
        sock = network.node(name).socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
        sock.bind((address, PORT))
        return sock

    def send(self, data: bytes) -> None:
        self.left.sendto(data, ("10.0.0.2", PORT))

    async def receive(self) -> bytes:
        received = asyncio.get_running_loop().sock_recv(self.right, 65536)
        return await asyncio.wait_for(received, 5)

    def nothing_came(self) -> bool:
        try:
            self.right.recv(65536)
        except BlockingIOError:
            return True
        return False

    async def warm(self) -> None:
        """Let both ends know each other's MAC address."""
        self.send(b"warm")
        assert await self.receive() == b"warm"


def test_every_frame_is_recorded_and_arrives_in_both_directions(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"

    async def body(spawner: Spawner) -> None:
        with Recording(path) as recording:
            async with Network.up(PAIR, spawner, recording=recording) as network:
                ends = Ends(network)
                sent = [os.urandom(1 + number * 29) for number in range(50)]
                for data in sent:
                    ends.send(data)
                assert [await ends.receive() for _ in sent] == sent
                ends.right.sendto(b"back", ("10.0.0.1", PORT))
                await ends.wire.frames.first(lambda f: f.sender == "right" and is_udp(f), "a reply")
                frames = [frame for frame in ends.wire.frames if is_udp(frame)]
                assert [payload(frame) for frame in frames] == [*sent, b"back"]
                assert {frame.sender for frame in frames[:-1]} == {"left"}
                stamps = [frame.time_ns for frame in ends.wire.frames]
                assert stamps == sorted(stamps)
                assert ends.wire.dropped == ends.wire.undelivered == 0

    lab.run(body)
    kept = [one for one in read(path).packets if dissect(one.data).protocol == UDP]
    assert len(kept) == 51


def test_nodes_say_nothing_of_their_own_accord(lab: Lab) -> None:
    """No duplicate address detection, router solicitations or listener reports, with IPv6 too."""

    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            assert [dissect(frame.data).ethertype for frame in ends.wire.frames[:2]] == [0x0806] * 2
            # A kernel repeats its listener reports after up to a second; the wire takes them.
            with pytest.raises(FrameNotSeen):
                await ends.wire.frames.first(lambda f: True, "a word", since=3, deadline=0.8)
            assert ends.wire.snooped > 0

    lab.run(body)


def test_the_same_traffic_is_the_same_capture_but_for_the_time(lab: Lab) -> None:
    runs: list[list[tuple[str, bytes]]] = []

    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            await Ends(network).warm()
            frames = network.wire("wire").frames
            runs.append([(frame.sender, frame.data[:14]) for frame in frames])

    lab.run(body)
    lab.run(body)
    assert runs[0] == runs[1]


def test_a_dropped_frame_is_recorded_and_does_not_arrive(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            rule = ends.wire.on(is_udp, sender="left", nth=2).drop()
            for data in (b"1", b"2", b"3"):
                ends.send(data)
            assert [await ends.receive(), await ends.receive()] == [b"1", b"3"]
            assert ends.nothing_came()
            assert [(f.fault, f.delivered) for f in ends.wire.frames if is_udp(f)] == [
                ("", True),
                ("", True),
                ("dropped", False),
                ("", True),
            ]
            assert payload(rule.frames[0]) == b"2"

    lab.run(body)


def test_a_held_frame_arrives_when_it_is_released(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            hold = ends.wire.on(is_udp, sender="left", times=1).hold()
            ends.send(b"first")
            held = await hold.used()
            ends.send(b"second")
            assert await ends.receive() == b"second"
            hold.release()
            assert await ends.receive() == b"first"
            late = ends.wire.frames[-1]
            assert (late.copy_of, late.delivered) == (held.number, True)
            assert late.fault == f"frame {held.number}, held until now"

    lab.run(body)


def test_a_delayed_frame_arrives_late_and_a_duplicate_twice(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            ends.wire.on(lambda f: payload(f) == b"late").delay(0.02)
            ends.wire.on(lambda f: payload(f) == b"twice").duplicate()
            for data in (b"late", b"twice"):
                ends.send(data)
            assert [await ends.receive() for _ in range(3)] == [b"twice", b"twice", b"late"]
            sent, late = (f for f in ends.wire.frames if payload(f) == b"late")
            assert late.time_ns - sent.time_ns >= 20_000_000
            assert ends.wire.unused == []

    lab.run(body)


def test_a_replaced_frame_arrives_changed(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            # With the checksum's two bytes zeroed, which in IPv4 says that there is none.
            ends.wire.on(lambda f: payload(f) == b"good").replace(
                lambda data: data[:40] + b"\0\0" + data[42:].replace(b"good", b"evil")
            )
            ends.send(b"good")
            assert await ends.receive() == b"evil"
            assert [payload(f) for f in ends.wire.frames[-2:]] == [b"good", b"evil"]

    lab.run(body)


def test_the_first_rule_that_matches_has_the_frame_and_the_others_are_unused(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            ends.wire.on(is_udp, name="first").drop()
            ends.wire.on(is_udp, name="second").duplicate()
            ends.send(b"x")
            await ends.wire.frames.first(lambda f: f.fault == "dropped", "the drop")
            assert ends.nothing_came()
            assert ends.wire.unused == ["second"]
            with pytest.raises(NetworkError, match="wire 'wire' has no end at 'mars'"):
                ends.wire.on(is_udp, sender="mars")

    lab.run(body)


def test_a_frame_can_be_injected(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            before = ends.wire.frames[-1]
            injected = ends.wire.inject("left", before.data)
            assert await ends.receive() == b"warm"
            assert ends.wire.frames[-1] == injected
            assert injected.fault == "injected"

    lab.run(body)


def test_nothing_passes_a_cut_wire_and_all_of_it_is_recorded(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            late = ends.wire.on(lambda f: payload(f) == b"late").delay(0.01)
            ends.send(b"late")
            await late.used()
            await ends.wire.cut()
            ends.send(b"lost")
            await ends.wire.frames.first(lambda f: payload(f) == b"lost", "the lost one")
            await ends.wire.frames.first(lambda f: f.copy_of > 0, "the late one")
            assert [f.delivered for f in ends.wire.frames[-2:]] == [False, False]
            await ends.wire.restore()
            ends.send(b"again")
            assert await ends.receive() == b"again"

    lab.run(body)


def test_a_pulled_wire_takes_the_link_from_both_ends(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            states = [node.root / "sys/class/net/eth0/carrier" for node in network.nodes.values()]
            await ends.wire.cut(pulled=True)
            assert [state.read_text() for state in states] == ["0\n", "0\n"]
            await ends.wire.restore()
            assert [state.read_text() for state in states] == ["1\n", "1\n"]
            ends.send(b"again")
            assert await ends.receive() == b"again"

    lab.run(body)


def test_jumbo_frames_are_carried_whole(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        wire = PAIR.wires[0]
        jumbo = Topology("jumbo", PAIR.nodes, (Wire(wire.name, wire.ends, mtu=65521),))
        async with Network.up(jumbo, spawner) as network:
            ends = Ends(network)
            data = os.urandom(65400)
            ends.send(data)
            assert await ends.receive() == data
            assert max(len(frame.data) for frame in ends.wire.frames) > 65400

    lab.run(body)


def test_frames_that_the_harness_did_not_keep_up_with_fail_the_run(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        wires = []

        async def too_much() -> None:
            async with Network.up(PAIR, spawner) as network:
                ends = Ends(network)
                wires.append(ends.wire)
                await ends.warm()
                # All at once: the loop, which carries the frames, does not run meanwhile.
                for _ in range(11_000):
                    ends.send(b"x")

        with pytest.raises(FramesLost, match=r"wire 'wire' lost \d+ frames before they were"):
            await too_much()
        assert wires[0].dropped >= 1_000

    lab.run(body)


def test_a_receiver_that_is_down_loses_frames_as_on_a_real_wire(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            ends = Ends(network)
            await ends.warm()
            await network.node("right").run(["ip", "link", "set", "eth0", "down"])
            ends.send(b"x")
            await ends.wire.frames.first(lambda f: payload(f) == b"x", "the frame")
            assert ends.wire.undelivered == 1

    lab.run(body)
