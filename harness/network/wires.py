# SPDX-License-Identifier: GPL-2.0-or-later
"""Wires that carry each frame in user space: record it, ask the faults, hand it over.

Each end is a TAP device in its node's network, of which the harness holds the descriptor.
"""

import asyncio
import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from harness.capture.recording import Frame, Frames, WireRecord
from harness.network.errors import NetworkError
from harness.network.faults import Decision, Fault, Matches, Rule
from harness.network.node import Node
from harness.network.readiness import carrier

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETCARRIER = 0x400454E2
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
# More than any Ethernet frame of a TAP device: a shorter read would cut it without a word.
LARGEST_FRAME = 65536 + 18
# Frames that an end keeps while the harness is busy with something else.
QUEUE = 10_000
# Frames that one end is read for before the other end and everything else have their turn.
BATCH = 64
# MLDv2 reports go to this group (RFC 3810 section 5.2.14).
MLD_REPORTS = b"\x33\x33\x00\x00\x00\x16"


class FramesLost(NetworkError):
    """A recorded wire did not see every frame; one sentence says how many are missing."""


@dataclass(frozen=True)
class Tap:
    """A TAP device of a node, there as long as the node; without `fd` it has no link."""

    node: Node
    name: str
    fd: int

    @property
    def dropped(self) -> int:
        """How many frames the kernel had no room for, so that the wire never saw them.

        Raises NetworkError once the interface is gone.
        """
        for line in Path(f"/proc/{self.node.pid}/net/dev").read_text().splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == self.name:
                return int(counters.split()[11])
        raise NetworkError(f"interface {self.name!r} of node {self.node.name!r} is gone")

    def close(self) -> None:
        """Let go of the device, which loses its link."""
        os.close(self.fd)


def open_tap(node: Node, name: str) -> Tap:
    """Return a new TAP device in a node, which is still down; raises NetworkError."""
    with node.entered():
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkError(
                f"/dev/net/tun cannot be opened: {error.strerror}; wires need TUN in the kernel"
            ) from error
        try:
            request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI)
            fcntl.ioctl(fd, TUNSETIFF, request)
            # It is not the close that takes the device away, which would wait for the kernel for
            # tens of milliseconds, but the end of the node's network, in the background.
            fcntl.ioctl(fd, TUNSETPERSIST, 1)
        except OSError as error:
            os.close(fd)
            raise NetworkError(
                f"interface {name!r} of node {node.name!r} cannot be made: {error.strerror}"
            ) from error
    return Tap(node, name, fd)


class CarriedWire:
    """A wire whose frames pass through the harness. Belongs to the loop that runs when it is made.

    `frames` is everything that was on it. `snooped` counts multicast listener reports of IPv6,
    which it takes for itself as a snooping switch does: the kernel sends them at random times.
    """

    def __init__(self, record: WireRecord, taps: tuple[Tap, Tap]) -> None:
        self.name = record.name
        self.ends = record.ends
        self.rules: list[Rule] = []
        self.snooped = 0
        self.undelivered = 0
        self._record = record
        self._taps = taps
        self._cut = ""
        self._loop = asyncio.get_running_loop()
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._lates = 0
        self._closed = False
        self._counted: int | None = None
        self._backlog = [0, 0]
        self._overflowed = False
        for end, tap in enumerate(taps):
            self._loop.add_reader(tap.fd, self._carry, end)

    @property
    def frames(self) -> Frames:
        """Every frame that was on the wire, in order."""
        return self._record.frames

    @property
    def dropped(self) -> int:
        """How many frames the wire never saw, because the harness could not keep up.

        A kernel also counts what it drops while an interface has no link or is set down. So its
        count is taken only when an end has had a full queue, as it has before it loses any.
        """
        if self._counted is not None or self._closed:
            return self._counted or 0
        return sum(tap.dropped for tap in self._taps) if self._overflowed else 0

    def count(self) -> None:
        """Carry what is left and take the count of `dropped` for good, before the nodes go."""
        for end in range(len(self._taps)):
            while self._carry(end):
                pass
        self._counted = self.dropped

    def check(self) -> None:
        """Raise FramesLost when the recording is not complete."""
        if self.dropped:
            raise FramesLost(
                f"wire {self.name!r} lost {self.dropped} frames before they were recorded: "
                "send less at a time, or use a plain link"
            )

    @property
    def unused(self) -> list[str]:
        """The names of the rules that no frame has met."""
        return [rule.name for rule in self.rules if not rule.uses]

    def on(
        self,
        matches: Matches = lambda frame: True,
        *,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
        name: str = "",
    ) -> Fault:
        """Pick frames for a fault, as in `wire.on(is_ike, sender="sun", nth=1).drop()`.

        `sender` is a node at one of the ends; `nth`, from 1, picks one of those that match;
        `times` limits how many are picked. Raises NetworkError for a sender that is not there.
        """
        if sender is not None and sender not in self.ends:
            raise NetworkError(f"wire {self.name!r} has no end at {sender!r} to take frames from")
        return Fault(self.rules.append, self._deliver, matches, sender, nth, times, name)

    def inject(self, sender: str, data: bytes) -> Frame:
        """Deliver a frame to the other end as if node `sender` had sent it, and return it.

        `data` begins with the Ethernet header. Raises NetworkError where `sender` has no end here.
        """
        if sender not in self.ends:
            raise NetworkError(f"wire {self.name!r} has no end at {sender!r} to send from")
        end = self.ends.index(sender)
        frame = self._record.next(end, time.time_ns(), data)._replace(fault="injected")
        if self._cut:
            frame = frame._replace(fault=self._cut, delivered=False)
            self._record.add(end, frame)
        else:
            self._pass(end, frame)
        self._record.flush()
        return frame

    async def cut(self, *, pulled: bool = False) -> None:
        """Let nothing through from now on; what is sent is still recorded.

        With `pulled` both ends lose their link too, as when the cable is pulled: then the kernels
        send nothing, and daemons have been told when this returns.
        """
        self._cut = "the wire is cut"
        if pulled:
            await self._set_carrier(False)

    async def restore(self) -> None:
        """Undo `cut`, and return when both ends have their link."""
        self._cut = ""
        await self._set_carrier(True)

    def close(self) -> None:
        """Stop carrying; both ends lose their link."""
        if self._closed:
            return
        self._closed = True
        for timer in self._late.values():
            timer.cancel()
        for tap in self._taps:
            self._loop.remove_reader(tap.fd)
            tap.close()

    async def _set_carrier(self, present: bool) -> None:
        for tap in self._taps:
            fcntl.ioctl(tap.fd, TUNSETCARRIER, struct.pack("i", present))
        for tap in self._taps:
            await carrier(tap.node, tap.name, present)

    def _carry(self, end: int) -> bool:
        """Take what one end has sent, up to a batch, and hand it over; is there more?"""
        fd = self._taps[end].fd
        taken = 0
        try:
            while taken < BATCH:
                data = os.read(fd, LARGEST_FRAME)
                taken += 1
                if data[:6] == MLD_REPORTS:
                    self.snooped += 1
                    continue
                frame = self._record.next(end, time.time_ns(), data)
                if self.rules or self._cut:
                    self._disturb(end, frame)
                else:
                    self._pass(end, frame)
        except BlockingIOError:
            pass
        finally:
            self._record.flush()
        # How many there were without a pause: as many as fit in the queue, if it was ever full.
        # Places that were read from are free again a few at a time, hence a batch less.
        waited = self._backlog[end] + taken
        self._overflowed = self._overflowed or waited >= QUEUE - BATCH
        self._backlog[end] = waited if taken == BATCH else 0
        return taken == BATCH

    def _pass(self, end: int, frame: Frame) -> None:
        self._record.add(end, frame)
        try:
            os.write(self._taps[1 - end].fd, frame.data)
        except OSError:
            # The receiver has set its interface down: then a real wire's frame is lost as well.
            self.undelivered += 1

    def _disturb(self, end: int, frame: Frame) -> None:
        if self._cut:
            self._record.add(end, frame._replace(fault=self._cut, delivered=False))
            return
        for rule in self.rules:
            decision = rule.decide(frame)
            if decision is not None:
                self._follow(end, frame, decision)
                return
        self._pass(end, frame)

    def _follow(self, end: int, frame: Frame, decision: Decision) -> None:
        if decision.passes:
            self._pass(end, frame._replace(fault=decision.fault))
        else:
            self._record.add(end, frame._replace(fault=decision.fault, delivered=False))
        for delivery in decision.deliveries:
            if delivery.after > 0:
                self._deliver_later(delivery.after, frame, delivery.data, delivery.note)
            else:
                self._deliver(frame, delivery.data, delivery.note)

    def _deliver_later(self, after: float, frame: Frame, data: bytes, note: str) -> None:
        self._lates += 1
        number = self._lates

        def deliver() -> None:
            del self._late[number]
            self._deliver(frame, data, note)

        self._late[number] = self._loop.call_later(after, deliver)

    def _deliver(self, frame: Frame, data: bytes, note: str) -> None:
        """Hand bytes to the receiver of `frame`, which the wire has had before."""
        if self._closed:
            return
        end = self.ends.index(frame.sender)
        copy = self._record.next(end, time.time_ns(), data)._replace(copy_of=frame.number)
        if self._cut:
            self._record.add(end, copy._replace(fault=self._cut, delivered=False))
        else:
            self._pass(end, copy._replace(fault=note))
        self._record.flush()


@dataclass(frozen=True)
class PlainLink:
    """A veth pair, which the kernel carries: fast, and neither recorded nor disturbed."""

    name: str
    ends: tuple[str, str]
