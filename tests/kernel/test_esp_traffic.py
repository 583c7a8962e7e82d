# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs that protect packets between two namespaces: what the kernel counts and tells."""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest

from harness.kernel.algorithms import Algorithm
from harness.kernel.capabilities import probe
from harness.kernel.errors import XfrmError
from harness.kernel.events import (
    Event,
    Expire,
    MappingChanged,
    SaAdded,
    SaDeleted,
    SaUpdated,
)
from harness.kernel.lifetimes import Lifetimes
from harness.kernel.policy import Policy, Template
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, Mark, SecurityAssociation
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket
from harness.kernel.statistics import read_statistics
from tests.kernel.namespaces import Namespace
from tests.kernel.test_watch import Arrivals
from tests.kernel.values import ESP, MOON, SHA, SUN, TRANSPORT

pytestmark = pytest.mark.needs("esp")

PORT = 9
FLOW = Selector(ip_network(MOON), ip_network(SUN), 17, destination_port=PORT)
PROTECTED = replace(TRANSPORT, replay=Replay(window=32))
TEMPLATE = Template(mode="transport", reqid=1)
WITHIN = 20.0
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2


@dataclass(frozen=True)
class Ends:
    """Both kernels, and a socket in each that sends to and hears from the other."""

    moon: XfrmSocket
    sun: XfrmSocket
    sender: socket.socket
    receiver: socket.socket

    async def send(self, payload: bytes = b"hello") -> None:
        """Send from moon to sun and return when sun has it."""
        self.sender.sendto(payload, (str(SUN), PORT))
        async with asyncio.timeout(WITHIN):
            received = await asyncio.get_running_loop().sock_recv(self.receiver, 2000)
        assert received == payload

    async def send_in_vain(self, changed: Callable[[SecurityAssociation], bool]) -> None:
        """Send from moon to sun and return when sun's only SA shows that it was refused."""
        self.sender.sendto(b"in vain", (str(SUN), PORT))
        async with asyncio.timeout(WITHIN):
            while not changed((await self.sun.sad()).find(spi=0x1000)):
                await asyncio.sleep(0.01)
        with pytest.raises(BlockingIOError):
            self.receiver.recv(2000)


def run(
    gateways: tuple[Namespace, Namespace], body: Callable[[Ends], Coroutine[Any, Any, None]]
) -> None:
    moon, sun = gateways

    async def with_ends() -> None:
        with moon.entered():
            first, sender = XfrmSocket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sun.entered():
            second, receiver = XfrmSocket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            receiver.bind((str(SUN), PORT))
        receiver.setblocking(False)
        await first.add_policy(Policy(FLOW, "out", templates=(TEMPLATE,)))
        await second.add_policy(Policy(FLOW, "in", templates=(TEMPLATE,)))
        async with first, second:
            with sender, receiver:
                await body(Ends(first, second, sender, receiver))

    asyncio.run(with_ends())


def test_both_ends_count_what_went_through_and_mirror_each_other(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(ends: Ends) -> None:
        before = int(time.time())
        await ends.moon.add_sa(PROTECTED)
        await ends.sun.add_sa(PROTECTED)
        for _ in range(3):
            await ends.send()
        ours, theirs = await ends.moon.sad(), await ends.sun.sad()
        out, into = ours.find(spi=0x1000), theirs.find(spi=0x1000)
        assert out is not None
        assert into is not None
        assert (out.current.packets, into.current.packets) == (3, 3)
        # The UDP datagrams, as they were before ESP.
        assert into.current.bytes == 3 * (8 + len(b"hello"))
        assert before <= out.current.added <= out.current.used <= time.time()
        assert (out.replay.sent, into.replay.received, into.replay.bitmap) == (3, 3, 0b111)
        assert ours.mirrors(theirs) == []

    run(gateways, body)


def test_a_wrong_key_is_counted_and_named_by_the_mirror(
    gateways: tuple[Namespace, Namespace],
) -> None:
    _, sun = gateways

    async def body(ends: Ends) -> None:
        await ends.moon.add_sa(PROTECTED)
        wrong = replace(PROTECTED, integrity=replace(SHA, key=bytes(32)))
        await ends.sun.add_sa(wrong)
        await ends.send_in_vain(lambda sa: sa.statistics.not_authentic == 1)
        with sun.entered():
            assert read_statistics(os.getpid())["XfrmInStateProtoError"] == 1
        assert (await ends.moon.sad()).mirrors(await ends.sun.sad()) == [
            "esp SA 0x00001000 from 192.0.2.1 to 192.0.2.2 has another integrity key in the second"
        ]

    run(gateways, body)


def test_a_replayed_packet_and_one_before_the_window_are_counted_apart(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(ends: Ends) -> None:
        await ends.moon.add_sa(replace(PROTECTED, replay=Replay(32, oseq=99)))
        await ends.sun.add_sa(PROTECTED)
        await ends.send()
        for sequence, counter in ((99, "replayed"), (9, "outside_window")):
            await ends.moon.delete_sa(PROTECTED)
            await ends.moon.add_sa(replace(PROTECTED, replay=Replay(32, oseq=sequence)))
            await ends.send_in_vain(lambda sa, name=counter: getattr(sa.statistics, name) == 1)

    run(gateways, body)


def test_extended_sequence_numbers_go_over_32_bits(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(ends: Ends) -> None:
        last = 0xFFFFFFFF
        extended = replace(PROTECTED, esn=True)
        await ends.moon.add_sa(replace(extended, replay=Replay(64, oseq=last)))
        await ends.sun.add_sa(replace(extended, replay=Replay(64, seq=last)))
        await ends.send()
        (out,), (into,) = await ends.moon.sad(), await ends.sun.sad()
        assert (out.replay.sent, into.replay.received) == (1 << 32, 1 << 32)

    run(gateways, body)


def test_an_sa_tells_of_its_soft_and_hard_end_in_seconds(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(ends: Ends) -> None:
        arrivals = Arrivals()
        await ends.moon.subscribe(arrivals.take)
        started = time.monotonic()
        await ends.moon.add_sa(
            replace(PROTECTED, lifetimes=Lifetimes(soft_seconds=2, hard_seconds=4))
        )
        soft = await arrivals.first(Expire)
        assert not soft.hard
        assert time.monotonic() - started > 1.0, "it counts in whole seconds"
        assert (soft.sa.spi, soft.sa.lifetimes.soft_seconds) == (0x1000, 2)
        arrivals.events.remove(soft)
        assert (await arrivals.first(Expire)).hard
        assert time.monotonic() - started > 3.0
        assert not await ends.moon.sad()
        # The hard EXPIRE is all that the kernel tells of the removal.
        assert not [event for event in arrivals.events if isinstance(event, SaDeleted)]

    run(gateways, body)


def test_an_sa_that_receives_ends_in_seconds_too(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(ends: Ends) -> None:
        arrivals = Arrivals()
        await ends.sun.subscribe(arrivals.take)
        await ends.moon.add_sa(PROTECTED)
        # Counted from the first use: without one it would live on.
        of_use = Lifetimes(soft_use_seconds=1, hard_use_seconds=2)
        await ends.sun.add_sa(replace(PROTECTED, lifetimes=of_use))
        await ends.send()
        soft = await arrivals.first(Expire)
        assert (soft.hard, soft.sa.lifetimes.soft_use_seconds) == (False, 1)
        assert soft.sa.current.used
        arrivals.events.remove(soft)
        assert (await arrivals.first(Expire)).hard
        assert not await ends.sun.sad()
        ends.sender.sendto(b"in vain", (str(SUN), PORT))
        _, sun = gateways
        async with asyncio.timeout(WITHIN):
            with sun.entered():
                while read_statistics(os.getpid())["XfrmInNoStates"] != 1:
                    time.sleep(0.01)

    run(gateways, body)


SENT = {
    "packets": Lifetimes(soft_packets=2, hard_packets=4),
    "bytes": Lifetimes(soft_bytes=2 * 13, hard_bytes=4 * 13),
}


@pytest.mark.parametrize("counted", SENT)
def test_an_sa_that_sends_tells_of_its_soft_and_hard_end_in(
    gateways: tuple[Namespace, Namespace], counted: str
) -> None:
    async def body(ends: Ends) -> None:
        arrivals = Arrivals()
        await ends.moon.subscribe(arrivals.take)
        await ends.moon.add_sa(replace(PROTECTED, lifetimes=SENT[counted]))
        await ends.sun.add_sa(PROTECTED)
        for _ in range(2):
            await ends.send()
        await ends.moon.spd()
        assert [type(event) for event in arrivals.events] == [SaAdded]
        await ends.send()
        soft = await arrivals.first(Expire)
        assert (soft.hard, soft.sa.current.packets) == (False, 2)
        await ends.send()
        arrivals.events.remove(soft)
        # The fifth is not sent any more: the SA is gone before, and the next one is asked for.
        with contextlib.suppress(OSError):
            ends.sender.sendto(b"hello", (str(SUN), PORT))
        assert (await arrivals.first(Expire)).hard
        assert not (await ends.moon.sad()).established
        assert (await ends.sun.sad()).find(spi=0x1000).current.packets == 4

    run(gateways, body)


def test_a_packet_takes_the_sa_of_its_mark(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(ends: Ends) -> None:
        await ends.moon.flush_policies()
        for value, spi in ((1, 0x1001), (2, 0x1002)):
            mark = Mark(value, 0xFF)
            await ends.moon.add_policy(Policy(FLOW, "out", templates=(TEMPLATE,), mark=mark))
            await ends.moon.add_sa(replace(PROTECTED, spi=spi, mark=mark))
            await ends.sun.add_sa(replace(PROTECTED, spi=spi))
        for value, count in ((2, 3), (1, 1), (0x102, 1)):
            ends.sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, value)
            for _ in range(count):
                await ends.send()
        used = {sa.spi: sa.current.packets for sa in await ends.moon.sad()}
        # Only the bits under the mask count.
        assert used == {0x1001: 1, 0x1002: 4}
        assert {sa.spi: sa.current.packets for sa in await ends.sun.sad()} == used
        # Without a mark there is no policy, and what is in clear is refused at the other end.
        ends.sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
        ends.sender.sendto(b"in clear", (str(SUN), PORT))
        _, sun = gateways
        async with asyncio.timeout(WITHIN):
            with sun.entered():
                while read_statistics(os.getpid())["XfrmInTmplMismatch"] != 1:
                    time.sleep(0.01)

    run(gateways, body)


def test_an_output_mark_is_set_on_what_an_sa_has_protected(
    gateways: tuple[Namespace, Namespace],
) -> None:
    moon, _ = gateways

    def nft(command: str) -> str:
        with moon.entered():
            done = subprocess.run(["nft", command], capture_output=True, text=True, check=True)
        return done.stdout

    async def body(ends: Ends) -> None:
        nft("add table ip seen; add chain ip seen out { type filter hook postrouting priority 0; }")
        nft("add rule ip seen out ip protocol esp meta mark and 0xf == 0x5 counter")
        await ends.sun.add_sa(PROTECTED)
        await ends.moon.add_sa(PROTECTED)
        await ends.send()
        assert "counter packets 0 " in nft("list table ip seen")
        await ends.moon.delete_sa(PROTECTED)
        marked = replace(PROTECTED, output_mark=Mark(0x5, 0xF), replay=Replay(32, oseq=1))
        await ends.moon.add_sa(marked)
        await ends.send()
        assert "counter packets 1 " in nft("list table ip seen")

    run(gateways, body)


def test_the_replay_state_of_an_esn_window_is_that_of_the_packets(
    gateways: tuple[Namespace, Namespace],
) -> None:
    async def body(ends: Ends) -> None:
        extended = replace(PROTECTED, esn=True, replay=Replay(128))
        await ends.moon.add_sa(extended)
        await ends.sun.add_sa(extended)
        for _ in range(3):
            await ends.send()
        (out,), (into,) = await ends.moon.sad(), await ends.sun.sad()
        assert (out.replay.sent, out.replay.received) == (3, 0)
        assert (into.replay.sent, into.replay.received) == (0, 3)
        assert (into.replay.window, into.replay.bitmap) == (128, 0b111)
        # A packet that is sent again is refused, in the other half of the numbers too.
        await ends.moon.delete_sa(extended)
        await ends.moon.add_sa(replace(extended, replay=Replay(128, oseq=1)))
        await ends.send_in_vain(lambda sa: sa.statistics.replayed == 1)
        await ends.moon.delete_sa(extended)
        await ends.moon.add_sa(replace(extended, replay=Replay(128, oseq=9, oseq_hi=1)))
        await ends.send_in_vain(lambda sa: sa.statistics.not_authentic == 1)

    run(gateways, body)


@pytest.mark.parametrize(
    "lifetimes",
    [
        Lifetimes(soft_packets=2, hard_packets=4),
        Lifetimes(soft_bytes=2 * 13, hard_bytes=4 * 13),
    ],
    ids=["packets", "bytes"],
)
def test_an_sa_that_receives_tells_of_its_soft_and_hard_end_in(
    gateways: tuple[Namespace, Namespace], lifetimes: Lifetimes
) -> None:
    async def body(ends: Ends) -> None:
        arrivals = Arrivals()
        await ends.sun.subscribe(arrivals.take)
        await ends.moon.add_sa(PROTECTED)
        await ends.sun.add_sa(replace(PROTECTED, lifetimes=lifetimes))
        # The kernel compares before it counts: the packet after the limit is the one that shows.
        for _ in range(2):
            await ends.send()
        await ends.sun.spd()
        assert [type(event) for event in arrivals.events] == [SaAdded]
        await ends.send()
        soft = await arrivals.first(Expire)
        assert (soft.hard, soft.sa.current.packets, soft.sa.current.bytes) == (False, 2, 26)
        await ends.send()
        arrivals.events.remove(soft)
        ends.sender.sendto(b"hello", (str(SUN), PORT))
        assert (await arrivals.first(Expire)).hard

    run(gateways, body)


def test_the_life_of_an_sa_is_told_with_its_keys(gateways: tuple[Namespace, Namespace]) -> None:
    async def body(ends: Ends) -> None:
        events: list[Event] = []
        await ends.moon.subscribe(events.append)
        larval = await ends.moon.allocate_spi(MOON, SUN, mode="transport", reqid=1)
        complete = replace(PROTECTED, spi=larval.spi)
        with pytest.raises(XfrmError) as refused:
            await ends.moon.add_sa(complete)
        assert refused.value.errno == errno.EEXIST
        await ends.moon.update_sa(complete)
        await ends.moon.add_sa(PROTECTED)
        held = await ends.moon.sad()
        await ends.moon.delete_sa(complete)
        await ends.moon.delete_sa(PROTECTED)
        first, second = held.find(spi=larval.spi), held.find(spi=0x1000)
        assert events == [SaUpdated(first), SaAdded(second), SaDeleted(first), SaDeleted(second)]
        assert first is not None
        assert first.integrity == SHA

    run(gateways, body)


def test_a_changed_nat_mapping_is_told_with_both_ports(
    gateways: tuple[Namespace, Namespace],
) -> None:
    _, sun = gateways

    async def body(ends: Ends) -> None:
        with sun.entered():
            encapsulated = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with encapsulated:
            encapsulated.bind((str(SUN), 4500))
            encapsulated.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
            arrivals = Arrivals()
            await ends.sun.subscribe(arrivals.take)
            over_udp = replace(PROTECTED, encapsulation=Encapsulation("espinudp", 4500, 4500))
            await ends.moon.add_sa(over_udp)
            await ends.sun.add_sa(over_udp)
            await ends.send()
            await ends.moon.delete_sa(over_udp)
            moved = Encapsulation("espinudp", 30001, 4500)
            await ends.moon.add_sa(
                replace(over_udp, encapsulation=moved, replay=Replay(32, oseq=1))
            )
            await ends.send()
            changed = await arrivals.first(MappingChanged)
            assert (changed.sa, changed.reqid) == (PROTECTED.id, 1)
            assert (changed.old_source, changed.old_port) == (MOON, 4500)
            assert (changed.new_source, changed.new_port) == (MOON, 30001)

    run(gateways, body)


def test_plaintext_where_a_policy_wants_esp_is_counted_as_a_mismatch(
    gateways: tuple[Namespace, Namespace],
) -> None:
    _, sun = gateways

    async def body(ends: Ends) -> None:
        await ends.moon.flush_policies()
        ends.sender.sendto(b"in clear", (str(SUN), PORT))
        async with asyncio.timeout(WITHIN):
            with sun.entered():
                while read_statistics(os.getpid())["XfrmInTmplMismatch"] != 1:
                    time.sleep(0.01)
        with pytest.raises(BlockingIOError):
            ends.receiver.recv(2000)

    run(gateways, body)


def test_a_lab_kernel_can_do_everything() -> None:
    assert {name: reason for name, reason in probe().reasons.items() if reason} == {}


def test_a_key_of_the_wrong_size_is_refused_in_words(namespace: Namespace) -> None:
    async def body() -> None:
        with namespace.entered():
            xfrm = XfrmSocket()
        async with xfrm:
            short = replace(ESP, aead=Algorithm("rfc4106(gcm(aes))", bytes(7), 128))
            with pytest.raises(XfrmError, match=r"adding esp SA 0x00001000 .* \(EINVAL\)") as e:
                await xfrm.add_sa(short)
            assert e.value.errno == errno.EINVAL
            assert not await xfrm.sad()

    asyncio.run(body())
