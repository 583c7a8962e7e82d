# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbered datagrams between two nodes, and what became of each of them."""

import asyncio
import contextlib
import errno
import hashlib
import os
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from harness.network.errors import NetworkError
from harness.network.node import Node

MARKER_SIZE = 16
SMALLEST = MARKER_SIZE + 8 + 4
LARGEST = 65507
PORT = 20000
"""Below the ports that Linux gives to sockets which ask for none."""
RECEIVE_BUFFER = 1 << 24
SO_RCVBUFFORCE = 33

_NUMBER = struct.Struct("!Q")
_CHECKSUM = struct.Struct("!I")


class TrafficStopped(NetworkError):
    """Datagrams that were waited for did not cross in time; one sentence says how many did."""


@dataclass(frozen=True)
class StreamReport:
    """What became of the datagrams of one direction; they are numbered from 0.

    `lost` are the numbers that did not arrive intact, `refused` those among them that the
    sender's own kernel would not send, each with errno's name. `reordered` arrived after a later
    one, `duplicated` more than once. `corrupted` counts datagrams whose contents had changed, and
    `foreign` those that were not of this stream. `longest_gap` is in seconds, the longest time
    without a new arrival between the first and the last datagram sent.
    """

    source: str
    destination: str
    sent: int
    received: int
    lost: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]
    duplicated: tuple[int, ...]
    reordered: tuple[int, ...]
    corrupted: int
    foreign: int
    longest_gap: float


class Stream:
    """One direction of a flow: makes the datagrams, and keeps count of those that arrive.

    Pure: `datagram` gives the next one to send, `arrived` takes what was received, times are in
    nanoseconds of the lab's clock.
    """

    def __init__(self, source: str, destination: str, flow: int, size: int) -> None:
        self.source = source
        self.destination = destination
        self.sent = 0
        self.marker = marker(source, destination, flow)
        self._filler = _filler(self.marker, size - SMALLEST)
        self._last_sent = 0
        self._refused: dict[int, str] = {}
        self._arrivals: dict[int, int] = {}
        self._duplicated: list[int] = []
        self._reordered: list[int] = []
        self._corrupted = 0
        self._foreign = 0
        self._highest = -1
        self._last_arrival = 0
        self._longest_gap = 0

    @property
    def received(self) -> int:
        """How many different datagrams have arrived intact."""
        return len(self._arrivals)

    @property
    def finished(self) -> bool:
        """Whether the last datagram that was sent has arrived, or there is none."""
        last = self.sent - 1
        while last in self._refused:
            last -= 1
        return last < 0 or last in self._arrivals

    def datagram(self, now: int) -> bytes:
        """Return the next datagram to send."""
        if not self.sent:
            self._last_arrival = now
        self._last_sent = now
        body = self.marker + _NUMBER.pack(self.sent) + self._filler
        self.sent += 1
        return body + _CHECKSUM.pack(zlib.crc32(body))

    def refused(self, error: OSError) -> None:
        """Note that the datagram that was last made could not be sent."""
        code = error.errno or 0
        self._refused[self.sent - 1] = errno.errorcode.get(code, str(code))

    def arrived(self, data: bytes, now: int) -> None:
        """Note what was received."""
        body = data[: -_CHECKSUM.size]
        if data[:MARKER_SIZE] != self.marker or len(data) < SMALLEST:
            self._foreign += 1
            return
        if _CHECKSUM.pack(zlib.crc32(body)) != data[-_CHECKSUM.size :]:
            self._corrupted += 1
            return
        (number,) = _NUMBER.unpack_from(data, MARKER_SIZE)
        if number in self._arrivals:
            self._duplicated.append(number)
            return
        if number < self._highest:
            self._reordered.append(number)
        self._highest = max(self._highest, number)
        self._arrivals[number] = now
        self._longest_gap = max(self._longest_gap, now - self._last_arrival)
        self._last_arrival = now

    def report(self) -> StreamReport:
        """Return what is known now; what is under way counts as lost."""
        tail = max(self._last_sent - self._last_arrival, 0)
        return StreamReport(
            self.source,
            self.destination,
            self.sent,
            self.received,
            tuple(number for number in range(self.sent) if number not in self._arrivals),
            tuple(self._refused.items()),
            tuple(self._duplicated),
            tuple(self._reordered),
            self._corrupted,
            self._foreign,
            max(self._longest_gap, tail) / 1e9,
        )


@dataclass(frozen=True)
class Place:
    """Where a flow ends: a node, and the address there that it is sent from and to.

    `seen` is the address to which the other end sends, where a NAT makes it another.
    """

    node: Node
    address: str
    seen: str = ""


class Flow:
    """Datagrams in both directions between two places; make one with `flow`.

    `there` is the direction from the first place to the second, `back` the other.
    """

    def __init__(self, ends: tuple[Place, Place], every: float, size: int, port: int) -> None:
        first, second = (end.node.name for end in ends)
        self.there = Stream(first, second, port, size)
        self.back = Stream(second, first, port, size)
        self._every = every
        self._port = port
        self._ends = ends
        self._sockets: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._rounds = 0
        self._changed: list[asyncio.Future[None]] = []

    @property
    def reports(self) -> tuple[StreamReport, StreamReport]:
        """What became of the datagrams there and back."""
        return self.there.report(), self.back.report()

    @property
    def markers(self) -> tuple[bytes, bytes]:
        """The bytes by which the datagrams of each direction are known on a wire."""
        return self.there.marker, self.back.marker

    @property
    def lost(self) -> int:
        """How many datagrams did not arrive, both ways together."""
        return sum(len(report.lost) for report in self.reports)

    @property
    def duplicated(self) -> int:
        """How many datagrams arrived again, both ways together."""
        return sum(len(report.duplicated) for report in self.reports)

    @property
    def reordered(self) -> int:
        """How many datagrams arrived after a later one, both ways together."""
        return sum(len(report.reordered) for report in self.reports)

    @property
    def longest_gap(self) -> float:
        """The longest time without an arrival in either direction, in seconds."""
        return max(report.longest_gap for report in self.reports)

    def start(self) -> None:
        """Open the sockets and send the first datagrams; raises NetworkError."""
        for number, end in enumerate(self._ends):
            sock = _bound(end, self._port)
            self._sockets.append(sock)
            arriving = self.back if number == 0 else self.there
            self._loop.add_reader(sock.fileno(), self._receive, sock, arriving)
        self._started = self._loop.time()
        self._send()

    async def crossed(self, count: int = 1, deadline: float = 5.0) -> None:
        """Return when `count` more datagrams have arrived in each direction.

        Raises TrafficStopped when they have not after `deadline` seconds.
        """
        streams = (self.there, self.back)
        before = [stream.received for stream in streams]

        def counts() -> list[int]:
            return [stream.received - was for stream, was in zip(streams, before, strict=True)]

        if not await self._until(lambda: min(counts()) >= count, deadline):
            there, back = counts()
            raise TrafficStopped(
                f"between {self.there.source!r} and {self.back.source!r} {there} datagrams crossed "
                f"there and {back} back within {deadline:g} s, not {count}"
            )

    async def stop(self, drain: float = 1.0) -> None:
        """Send no more, and return when the last ones have arrived or after `drain` seconds."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._until(lambda: self.there.finished and self.back.finished, drain)

    def close(self) -> None:
        """Close the sockets at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets = []

    def _send(self) -> None:
        first, second = self._ends
        outgoing = (
            (self.there, 0, second.seen or second.address),
            (self.back, 1, first.seen or first.address),
        )
        for stream, end, address in outgoing:
            datagram = stream.datagram(time.time_ns())
            try:
                self._sockets[end].sendto(datagram, (address, self._port))
            except OSError as error:
                stream.refused(error)
        self._rounds += 1
        # Counted from the start, so that a late round does not move the ones that follow.
        self._timer = self._loop.call_at(self._started + self._rounds * self._every, self._send)

    def _receive(self, sock: socket.socket, stream: Stream) -> None:
        while True:
            try:
                data = sock.recv(LARGEST + 1)
            except BlockingIOError:
                break
            except OSError:
                # An ICMP error of an earlier datagram: that one is lost, and counted as such.
                continue
            stream.arrived(data, time.time_ns())
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)

    async def _until(self, true: Callable[[], bool], deadline: float) -> bool:
        end = self._loop.time() + deadline
        while not true():
            left = end - self._loop.time()
            if left <= 0:
                return False
            future = self._loop.create_future()
            self._changed.append(future)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, left)
        return True


@contextlib.asynccontextmanager
async def flow(
    first: Place,
    second: Place,
    *,
    every: float = 0.05,
    size: int = 64,
    port: int = PORT,
    drain: float = 1.0,
) -> AsyncIterator[Flow]:
    """Send numbered UDP datagrams both ways, one each way `every` seconds, during the block.

    `size` is the UDP payload in bytes. Flows at one time between the same nodes need different
    ports. After the block the last datagrams have arrived, or `drain` seconds have passed. Raises
    NetworkError.
    """
    if not SMALLEST <= size <= LARGEST or every <= 0:
        raise NetworkError(
            f"a flow of {size} bytes every {every:g} s cannot be: {SMALLEST} to {LARGEST} bytes, "
            "and a time above 0"
        )
    running = Flow((first, second), every, size, port)
    try:
        running.start()
        yield running
        await running.stop(drain)
    finally:
        running.close()


def marker(source: str, destination: str, flow: int) -> bytes:
    """Return 16 bytes that look random and are the same in every run for the same stream."""
    text = f"traffic {source} > {destination} {flow}"
    return hashlib.sha256(text.encode()).digest()[:MARKER_SIZE]


def _filler(seed: bytes, size: int) -> bytes:
    return hashlib.shake_128(seed).digest(size)


def _bound(place: Place, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    sock = place.node.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        sock.bind((place.address, port))
    except OSError as error:
        sock.close()
        raise NetworkError(
            f"traffic cannot use {place.address} port {port} in node {place.node.name!r}: "
            f"{os.strerror(error.errno or 0)}"
        ) from error
    return sock
