# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import socket
from dataclasses import replace
from typing import Any

from harness.kernel.events import (
    Acquire,
    Event,
    EventsLost,
    PolicyAdded,
    PolicyDeleted,
    PolicyExpired,
    PolicyFlushed,
    PolicyUpdated,
    SaAdded,
    SaDeleted,
    SaFlushed,
)
from harness.kernel.lifetimes import Lifetimes
from harness.kernel.sa import Mark
from harness.kernel.socket import XfrmSocket
from harness.kernel.watch import Watch
from tests.kernel.namespaces import Namespace
from tests.kernel.test_socket import run
from tests.kernel.values import MOON, OUT, SUN

WITHIN = 20.0
"""Seconds that an event may take on a busy machine."""


class Arrivals:
    """Events as they come, to wait for one of a kind."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def first(self, kind: type[Any]) -> Any:
        async with asyncio.timeout(WITHIN):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._changed.clear()
                await self._changed.wait()


def test_what_a_request_changes_has_been_told_when_it_returns(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        events: list[Event] = []
        await xfrm.subscribe(events.append)
        told: list[list[type]] = []
        larval = await xfrm.allocate_spi(MOON, SUN)
        for request in (
            xfrm.add_policy(OUT),
            xfrm.update_policy(replace(OUT, action="block")),
            xfrm.delete_policy(OUT.selector, "out"),
            xfrm.delete_sa(larval),
            xfrm.flush_policies(),
            xfrm.flush_sas(),
        ):
            await request
            told.append([type(event) for event in events])
            events.clear()
        assert told == [[PolicyAdded], [PolicyUpdated], [PolicyDeleted], [SaDeleted], [], []]

    run(namespace, body)


def test_a_flush_of_what_is_there_is_told(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.allocate_spi(MOON, SUN)
        await xfrm.add_policy(OUT)
        events: list[Event] = []
        await xfrm.subscribe(events.append)
        await xfrm.flush()
        assert events == [SaFlushed(None), PolicyFlushed("main")]

    run(namespace, body)


def test_what_others_change_is_told_with_all_of_the_policy(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        arrivals = Arrivals()
        await xfrm.subscribe(arrivals.take)
        namespace.ip(
            "xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority 5"
            " tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel"
        )
        added = (await arrivals.first(PolicyAdded)).policy
        (held,) = await xfrm.spd()
        assert added == held
        namespace.ip("xfrm policy delete src 10.1.0.0/16 dst 10.2.0.0/16 dir out")
        assert (await arrivals.first(PolicyDeleted)).policy == held

    run(namespace, body)


def test_traffic_without_an_sa_is_an_acquire(gateways: tuple[Namespace, Namespace]) -> None:
    moon, _ = gateways

    async def body(xfrm: XfrmSocket) -> None:
        moon.ip("route add 10.2.0.0/16 dev eth0")
        moon.ip("address add 10.1.0.1/16 dev eth0")
        arrivals = Arrivals()
        await xfrm.subscribe(arrivals.take)
        await xfrm.add_policy(OUT)
        with moon.entered():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with udp:
            udp.bind(("10.1.0.1", 1024))
            udp.setblocking(False)
            udp.sendto(b"hello", ("10.2.0.1", 9))
        acquire = await arrivals.first(Acquire)
        assert (acquire.source, acquire.destination, acquire.protocol) == (MOON, SUN, "esp")
        assert str(acquire.selector.destination) == "10.2.0.1/32"
        assert acquire.templates == OUT.templates
        assert (acquire.policy.selector, acquire.policy.priority) == (OUT.selector, 5)
        (larval,) = await xfrm.sad()
        assert (larval.spi, larval.larval) == (0, True)
        assert larval.acquire_sequence == acquire.sequence

    run(moon, body)


def test_a_policy_tells_of_its_soft_and_of_its_hard_end(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        arrivals = Arrivals()
        await xfrm.subscribe(arrivals.take)
        # Two of them: on a busy host one timer may be so late that it finds the hard end first.
        await xfrm.add_policy(replace(OUT, lifetimes=Lifetimes(soft_seconds=1)))
        await xfrm.add_policy(replace(OUT, mark=Mark(7), lifetimes=Lifetimes(hard_seconds=1)))
        for _ in range(2):
            expired = await arrivals.first(PolicyExpired)
            arrivals.events.remove(expired)
            assert expired.hard == (expired.policy.mark == Mark(7))
        (left,) = await xfrm.spd()
        assert left.mark is None

    run(namespace, body)


def test_a_listener_hears_nothing_from_before_it_came_or_after_it_left(
    namespace: Namespace,
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        await xfrm.add_policy(OUT)
        events: list[Event] = []
        leave = await xfrm.subscribe(events.append)
        assert not events
        await xfrm.delete_policy(OUT.selector, "out")
        leave()
        leave()
        await xfrm.add_policy(OUT)
        again: list[Event] = []
        await xfrm.subscribe(again.append)
        await xfrm.delete_policy(OUT.selector, "out")
        assert [type(event) for event in events] == [PolicyDeleted]
        assert [type(event) for event in again] == [PolicyDeleted]

    run(namespace, body)


def test_a_listener_that_fails_is_reported_and_keeps_nothing_from_the_others(
    namespace: Namespace,
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, it: reports.append(it))
        events: list[Event] = []

        def fail(event: Event) -> None:
            raise RuntimeError("broken")

        await xfrm.subscribe(fail)
        await xfrm.subscribe(events.append)
        await xfrm.add_policy(OUT)
        await xfrm.flush_policies()
        assert len(events) == 2
        assert [str(report["exception"]) for report in reports] == ["broken", "broken"]
        assert reports[0]["message"].startswith("a listener failed at policy out 10.1.0.0/16")

    run(namespace, body)


def test_events_can_be_iterated_over_until_the_socket_closes(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        stream = aiter(xfrm)
        await xfrm.add_policy(OUT)
        await xfrm.delete_policy(OUT.selector, "out")
        assert isinstance(await anext(stream), PolicyAdded)
        waiting = asyncio.create_task(_rest(stream))
        await asyncio.sleep(0)
        namespace.ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in")
        await xfrm.spd()
        xfrm.close()
        assert [type(event) for event in await waiting] == [PolicyDeleted, PolicyAdded]

    run(namespace, body)


async def _rest(stream: Any) -> list[Event]:
    return [event async for event in stream]


def test_a_stream_that_is_left_hears_nothing_more(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        async with aiter(xfrm) as stream:
            await xfrm.add_policy(OUT)
        await xfrm.flush_policies()
        assert [type(event) for event in await _rest(stream)] == [PolicyAdded]

    run(namespace, body)


def test_lost_events_are_an_event(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with namespace.entered():
            small = Watch(room=4096)
        events: list[Event] = []
        small.add(events.append)
        # The loop is not given back, so that nobody reads meanwhile.
        for value in range(200):
            await xfrm.add_policy(replace(OUT, mark=Mark(value)))
        small.deliver()
        lost = [event for event in events if isinstance(event, EventsLost)]
        assert [str(event) for event in lost] == [
            "events are missing: they came faster than they were read"
        ]
        assert len(events) < 200
        # The watch goes on after the loss.
        events.clear()
        await xfrm.flush_policies()
        small.deliver()
        assert events == [PolicyFlushed("main")]
        small.close()

    run(namespace, body)


def test_a_watch_closes_when_events_were_lost_that_nobody_has_read(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with namespace.entered():
            small = Watch(room=4096)
        ended: list[bool] = []
        small.add(lambda _: None, lambda: ended.append(True))
        for value in range(200):
            await xfrm.add_policy(replace(OUT, mark=Mark(value)))
        small.close()
        assert ended == [True]

    run(namespace, body)


def test_a_listener_can_leave_when_events_were_lost_that_nobody_has_read(
    namespace: Namespace,
) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with namespace.entered():
            small = Watch(room=4096)
        leave = small.add(lambda _: None)
        for value in range(200):
            await xfrm.add_policy(replace(OUT, mark=Mark(value)))
        leave()
        # What the first one missed is not told to the next.
        events: list[Event] = []
        small.add(events.append)
        await xfrm.flush_policies()
        small.deliver()
        assert events == [PolicyFlushed("main")]
        small.close()

    run(namespace, body)


def test_a_burst_of_two_thousand_events_is_not_lost(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        with namespace.entered():
            watch = Watch()
        events: list[Event] = []
        watch.add(events.append)
        for value in range(2000):
            await xfrm.add_policy(replace(OUT, mark=Mark(value)))
        watch.deliver()
        assert len(events) == 2000
        assert {type(event) for event in events} == {PolicyAdded}
        watch.close()

    run(namespace, body)


def test_a_larval_sa_is_told_of_when_it_is_removed(namespace: Namespace) -> None:
    async def body(xfrm: XfrmSocket) -> None:
        arrivals = Arrivals()
        await xfrm.subscribe(arrivals.take)
        larval = await xfrm.allocate_spi(MOON, SUN, reqid=7)
        namespace.ip(f"xfrm state delete src {MOON} dst {SUN} proto esp spi {larval.spi}")
        assert (await arrivals.first(SaDeleted)).sa == larval
        assert not [event for event in arrivals.events if isinstance(event, SaAdded)]

    run(namespace, body)
