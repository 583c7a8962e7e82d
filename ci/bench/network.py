# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast a carried wire is and how soon a network is up, beside the usual tools in the same run.

    python ci/bench/network.py [FRAMES]

A wire carries FRAMES (default 60,000) UDP datagrams of 1 KB, sent by a program in a node at a
steady rate, in steps until frames are lost; all of it is recorded into a pcapng file. Beside it
the kernel's veth carries the same, with dumpcap recording. Then ten namespaces with five links
between them, beside the same made with `ip` commands, and the ready topology of moon and sun; the
median of 7. Exits 1 below 20,000 frames a second without loss or above 0.15 s.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.capture.pcapng import read
from harness.capture.recording import Recording
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN, with_wire
from harness.network.topology import NodeSpec, Topology, Wire, interface
from harness.network.wires import FramesLost

DEMANDED_RATE = 20_000
DEMANDED_TIME = 0.15
RATES = (20_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000)
ROUNDS = 7
SIZE = 1000 - 42

PAIR = Topology(
    "pair",
    (NodeSpec("left"), NodeSpec("right")),
    (
        Wire(
            "wire",
            (interface("left", "eth0", "10.0.0.1/24"), interface("right", "eth0", "10.0.0.2/24")),
        ),
    ),
)

FIVE_LINKS = Topology(
    "five-links",
    tuple(NodeSpec(f"n{number}") for number in range(10)),
    tuple(
        Wire(
            f"w{number}",
            (
                interface(f"n{2 * number}", "eth0", f"10.0.{number}.1/24"),
                interface(f"n{2 * number + 1}", "eth0", f"10.0.{number}.2/24"),
            ),
            carried=False,
        )
        for number in range(5)
    ),
)

FIVE_LINKS_WITH_IP = """set -e
for n in 0 1 2 3 4 5 6 7 8 9; do ip netns add n$n; ip -n n$n link set lo up; done
for n in 0 1 2 3 4; do
  a=n$((2 * n)) b=n$((2 * n + 1))
  ip link add eth0 netns $a type veth peer name eth0 netns $b
  ip -n $a addr add 10.0.$n.1/24 dev eth0
  ip -n $b addr add 10.0.$n.2/24 dev eth0
  ip -n $a link set eth0 up
  ip -n $b link set eth0 up
done
"""

SENDER = f"""
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("10.0.0.2", 9))
count, rate = int(sys.argv[1]), float(sys.argv[2])
data, clock, send = bytes({SIZE}), time.perf_counter, sock.send
started = clock()
for number in range(count):
    while rate * (clock() - started) < number:
        pass
    send(data)
print(clock() - started)
"""


@dataclass(frozen=True)
class Rate:
    """What became of the datagrams of one step."""

    asked: int
    sent: float
    recorded: int
    lost: int
    cpu: float


def interpreter() -> str:
    """The interpreter itself, which a node sees, and not that of a virtual environment."""
    return os.path.realpath(sys.executable)


async def send(network: Network, count: int, rate: int) -> float:
    """Send from the left node; return the rate that was reached, in datagrams a second."""
    right = network.node("right").socket(2, 2)
    right.bind(("10.0.0.2", 9))
    await network.ping("left", "right")
    argv = [interpreter(), "-I", "-S", "-c", SENDER, str(count), str(rate)]
    done = await network.node("left").run(argv, deadline=120)
    right.close()
    return count / float(done.stdout)


async def carried(spawner: Spawner, folder: Path, count: int, rate: int) -> Rate:
    path = folder / "carried.pcapng"
    result: Rate | None = None
    try:
        with Recording(path) as recording:
            async with Network.up(PAIR, spawner, recording=recording) as network:
                wire = network.wire("wire")
                cpu = time.process_time()
                sent = await send(network, count, rate)
                while sum(len(f.data) > SIZE for f in wire.frames) + wire.dropped < count:
                    await asyncio.sleep(0.01)
                cpu = (time.process_time() - cpu) / count
                recorded = sum(len(frame.data) > SIZE for frame in wire.frames)
                result = Rate(rate, sent, recorded, wire.dropped, cpu)
    except FramesLost:
        pass
    assert result is not None
    kept = sum(len(packet.data) > SIZE for packet in read(path).packets)
    assert kept == result.recorded, f"{kept} frames in the file, not {result.recorded}"
    return result


async def beside(spawner: Spawner, folder: Path, count: int, rate: int) -> Rate:
    """The same over a veth pair of the kernel's, with dumpcap on one end."""
    async with Network.up(with_wire(PAIR, "wire", carried=False), spawner) as network:
        right = network.node("right")
        reading, writing = os.pipe()
        argv = ["dumpcap", "-q", "-i", "eth0", "-B", "64", "-f", "udp"]
        argv += ["-c", str(count), "-w", "/tmp/veth.pcapng"]
        process = await right.spawn(argv, stderr=writing)
        os.close(writing)
        loop = asyncio.get_running_loop()
        printed = b""
        while b"File:" not in printed:
            printed += await loop.run_in_executor(None, os.read, reading, 4096)
        sent = await send(network, count, rate)
        try:
            # It ends of itself when it has them all.
            await asyncio.wait_for(process.wait(), 2)
        except TimeoutError:
            process.kill(2)
            await process.wait()
        os.close(reading)
        kept = read(Path(f"{right.root}/tmp/veth.pcapng")).packets
        return Rate(rate, sent, len(kept), count - len(kept), 0.0)


async def time_up(topology: Topology, spawner: Spawner) -> float:
    started = time.perf_counter()
    async with Network.up(topology, spawner):
        return time.perf_counter() - started


async def time_with_ip(spawner: Spawner) -> float:
    """The same made by `ip`, in a node whose /run and namespaces are gone with it."""
    node = await spawner.node("tools")
    started = time.perf_counter()
    await node.run(["sh", "-c", FIVE_LINKS_WITH_IP])
    took = time.perf_counter() - started
    await node.close()
    return took


async def medians(spawner: Spawner) -> tuple[float, float, float]:
    """Return the times of ten nodes, of the same with `ip` and of moon and sun, taken in turns."""
    rounds = [
        (
            await time_up(FIVE_LINKS, spawner),
            await time_with_ip(spawner),
            await time_up(MOON_SUN, spawner),
        )
        for _ in range(ROUNDS)
    ]
    ten, with_ip, moon_sun = (statistics.median(times) for times in zip(*rounds, strict=True))
    return ten, with_ip, moon_sun


async def main(count: int) -> int:
    started = time.perf_counter()
    spawner = await Spawner.start()
    print(f"spawner ready after {(time.perf_counter() - started) * 1000:.0f} ms\n")
    lossless = 0.0
    print("frames a second, 1 KB      sent   recorded   lost   harness CPU a frame")
    with tempfile.TemporaryDirectory() as folder:
        for rate in RATES:
            result = await carried(spawner, Path(folder), count, rate)
            print(
                f"  carried wire         {result.sent:8,.0f} {result.recorded:10,} {result.lost:6,}"
                f"   {result.cpu * 1e6:.1f} us"
            )
            if result.lost:
                break
            lossless = max(lossless, result.sent)
        kernel = 0.0
        for rate in (*RATES, 150_000, 200_000):
            result = await beside(spawner, Path(folder), count, rate)
            print(
                f"  veth and dumpcap     {result.sent:8,.0f} {result.recorded:10,} {result.lost:6,}"
            )
            if result.lost:
                break
            kernel = max(kernel, result.sent)
    ratio = f"{lossless / kernel:.2f}" if kernel else "all of it"
    print(f"  without loss: {lossless:,.0f}, beside {kernel:,.0f}: {ratio}\n")
    ten, with_ip, moon_sun = await medians(spawner)
    print(f"ten namespaces, five links   {ten * 1000:6.1f} ms")
    print(f"  the same with ip           {with_ip * 1000:6.1f} ms   {with_ip / ten:.1f} times")
    print(f"moon and sun, recorded       {moon_sun * 1000:6.1f} ms")
    await spawner.close()
    return int(lossless < DEMANDED_RATE or ten > DEMANDED_TIME)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)))
