# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd itself: engines, their sockets, a data plane, one inbox and one timer.

Every piece of work goes the same way: into an engine, its steps to the data plane, and only then
its datagrams to the wire. So an inbound SA is in force before the message that promises it is sent,
and keys are written down before anything is sealed with them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.daemon.configuration import DaemonConfiguration, Startup, dated
from harness.daemon.data_plane import (
    Acquired,
    DataPlane,
    DataPlaneError,
    Expired,
    PeerMoved,
    PlaneEvent,
    PlaneListener,
    Route,
)
from harness.daemon.enforcement import Enforcement, KeyLog, Listener, NoKeyLog
from harness.daemon.engine import Engine, Refusal
from harness.daemon.inbox import Inbox
from harness.daemon.own_addresses import OwnAddresses
from harness.daemon.reports import Child, Ike, Reconfigured, Report, Trouble
from harness.daemon.reqids import Reqids
from harness.daemon.sockets import Sockets
from harness.ike.address import NAT_PORT, Address
from harness.ike.udp_encapsulation import Carried, unwrap

T = TypeVar("T")

MakePlane = Callable[[PlaneListener], Awaitable[DataPlane]]

LEAST_MESSAGE = 28
VERSION_AT = 17
"""Where an ISAKMP header has its version (RFC 2408 3.1, RFC 7296 3.1)."""

FAREWELL = 2.0
"""Seconds for which a daemon that stops waits for the answers to its deletes."""


class Service:
    """A running IKE daemon within an asyncio loop.

    Made without waiting; `start` begins. Reports go to listeners as they happen; a listener must
    not block. Without `addresses` SAs stay where they are, whatever address the host has. `clock`
    is in seconds and never goes back, by default the loop's.
    """

    def __init__(
        self,
        configuration: DaemonConfiguration,
        engines: Sequence[Engine],
        reqids: Reqids,
        sockets: Sockets,
        make_plane: MakePlane,
        *,
        key_log: KeyLog | None = None,
        addresses: OwnAddresses | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.configuration = configuration
        self.engines = tuple(engines)
        self._reqids = reqids
        self._sockets = sockets
        self._make_plane = make_plane
        self._key_log = key_log or NoKeyLog()
        self._addresses = addresses
        self._clock = clock or asyncio.get_running_loop().time
        self._inbox = Inbox(self._clock, self._settle)
        self._listeners: list[Listener] = []
        self._routes: dict[str, Route] = {}
        self._enforcement: Enforcement | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._working: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()

    async def start(self) -> None:
        """Begin: data plane, sockets, then what is configured to start by itself.

        Raises `DataPlaneError`.
        """
        plane = await self._make_plane(self._take_plane_event)
        keep = self.configuration.keep_rekeyed
        self._enforcement = Enforcement(plane, self._key_log, self.tell, keep)
        self._working = asyncio.create_task(self._inbox.work())
        self._sockets.listen(self._take_datagram)
        await self._watch_addresses()
        await self._begin(self.configuration.startup)

    async def stop(self) -> None:
        """Delete every SA, tell the peers, wait a little for their answers, and close."""

        def farewell(now: float) -> None:
            for engine in self.engines:
                engine.shut_down(now)

        if self._enforcement is not None:
            await self.do(farewell)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self.until(lambda: not self._living())
        await self.abort()

    async def abort(self) -> None:
        """Close without a word to any peer, and take everything out of the data plane."""
        await self.halt()
        if self._enforcement is not None:
            await self._enforcement.plane.close()
            self._enforcement = None

    async def halt(self) -> None:
        """Do nothing any more, and leave everything as it is, as a crash would."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        self._inbox.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._addresses is not None:
            self._addresses.close()
        self._sockets.close()

    async def do(self, work: Callable[[float], T]) -> T:
        """Do something with the engines in its turn, and return once all it led to is done."""
        return await self._inbox.do(work)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition holds; it is looked at after each piece of work."""
        while not condition():
            await self._turn.wait()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener of every report from now on; returns what ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def tell(self, report: Report) -> None:
        """Tell every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(report)
            except Exception as error:
                # One listener's mistake must not keep an SA from being installed.
                context = {"message": f"a listener failed at {report}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def engine_of_child(self, child: str) -> Engine:
        """The engine that has a child in its configuration; raises `Refusal`."""
        known = [name for engine in self.engines for name in engine.children()]
        for engine in self.engines:
            if child in engine.children():
                return engine
        raise Refusal(f"there is no child {child!r}; there is {', '.join(known) or 'none'}")

    def engine_of_connection(self, connection: str) -> Engine:
        """The engine that has a connection in its configuration; raises `Refusal`."""
        known = [name for engine in self.engines for name in engine.connections()]
        for engine in self.engines:
            if connection in engine.connections():
                return engine
        raise Refusal(
            f"there is no connection {connection!r}; there is {', '.join(known) or 'none'}"
        )

    def sas(self) -> list[Ike]:
        """All IKE SAs with their children, those that only receive any more too."""
        listed = self._living()
        retired = self._enforcement.retired if self._enforcement else ()
        for child in retired:
            for place, ike in enumerate(listed):
                if ike.name == child.connection:
                    listed[place] = replace(ike, children=(*ike.children, child))
                    break
        return listed

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        """Octets that a pair has received and sent so far, 0 where there is no such pair."""
        if self._enforcement is None:
            return 0, 0
        return await self._enforcement.plane.carried(inbound_spi)

    def child(self, name: str) -> Child | None:
        """The CHILD_SA of that name that counts, if there is one."""
        children = (child for ike in self._living() for child in ike.children)
        return next((child for child in children if child.name == name), None)

    async def reconfigure(self, configuration: DaemonConfiguration) -> None:
        """Use another configuration; SAs whose connection is the same stay."""
        wanted = dated(configuration, self.configuration.settings.epoch)

        def change(now: float) -> set[str]:
            each = (engine.reconfigure(wanted, now) for engine in self.engines)
            return {name for names in each for name in names}

        changed = await self.do(change)
        self.configuration = wanted
        if self._enforcement is None:
            return
        await self._watch_addresses()
        self._enforcement.keep = wanted.keep_rekeyed
        for child in [one for one in self._routes if wanted.startup.get(one) != "route"]:
            reqid = self._routes.pop(child).reqid
            await self._enforcement.plane.unprotect(reqid)
            self._reqids.released(reqid)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self.until(lambda: not any(ike.name in changed for ike in self._living()))
        wait = {
            child: how
            for child, how in wanted.startup.items()
            if (child not in self._routes if how == "route" else self.child(child) is None)
        }
        await self._begin(wait)
        self.tell(Reconfigured())

    def _living(self) -> list[Ike]:
        return [ike for engine in self.engines for ike in engine.sas()]

    # What comes in.

    def _take_datagram(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        message = octets
        if destination.port == NAT_PORT:
            carried, message = unwrap(octets)
            if carried is Carried.ESP and self._enforcement is not None:
                plane = self._enforcement.plane
                plane.receive_encapsulated(octets, source, destination, traffic_class)
            if carried is not Carried.IKE:
                return
        if len(message) < LEAST_MESSAGE:
            return
        version = message[VERSION_AT] >> 4
        # A version that nobody has is answered by the newest.
        newest = max(self.engines, key=lambda engine: engine.version)
        engine = next((one for one in self.engines if one.version == version), newest)
        self._inbox.put_datagram(lambda now: engine.receive(octets, source, destination, now))

    def _take_plane_event(self, event: PlaneEvent) -> None:
        self._inbox.put(lambda now: self._plane_event(event, now))

    def _plane_event(self, event: PlaneEvent, now: float) -> None:
        match event:
            case Acquired(reqid):
                found = self._reqids.child_of(reqid)
                if found is not None and self.child(found[1]) is None:
                    self._attempt(found[1], now)
            case Expired(spi, hard):
                for engine in self.engines:
                    engine.expired(spi, hard, now)
            case PeerMoved(spi, remote):
                for engine in self.engines:
                    engine.peer_moved(spi, remote, now)

    async def _watch_addresses(self) -> None:
        """Learn of the host's own addresses, where a connection may go along with them."""
        if self._addresses is not None and any(one.mobike for one in self.configuration.v2):
            await self._addresses.watch(self._take_addresses)

    def _take_addresses(self, own: frozenset[str]) -> None:
        def change(now: float) -> None:
            for engine in self.engines:
                engine.addresses_changed(own, now)

        self._inbox.put(change)

    def _attempt(self, child: str, now: float) -> None:
        try:
            self.engine_of_child(child).initiate(child, now)
        except (Refusal, OSError) as refusal:
            self.tell(Trouble(f"{child} is not initiated: {refusal}"))

    async def _begin(self, startup: Mapping[str, Startup]) -> None:
        for child, how in startup.items():
            if how == "start":
                await self.do(lambda now, child=child: self._attempt(child, now))  # type: ignore[misc]
            elif how == "route":
                await self._protect(child)

    async def _protect(self, child: str) -> None:
        assert self._enforcement is not None, "a service that runs has a data plane"
        try:
            route = self.engine_of_child(child).route(child)
            await self._enforcement.plane.protect(route)
        except (Refusal, OSError, DataPlaneError) as refusal:
            self.tell(Trouble(f"the traffic of {child} is not protected: {refusal}"))
        else:
            self._routes[child] = route
            self._reqids.taken(route.reqid)

    # What goes out.

    async def _settle(self, now: float) -> None:
        """Do all steps, then send, then set the timer."""
        if self._enforcement is None:
            return
        for engine in self.engines:
            for step in engine.steps(now):
                await self._enforcement.do(engine, step, now)
        await self._enforcement.pass_time(now)
        for engine in self.engines:
            for datagram in engine.datagrams():
                try:
                    self._sockets.send(datagram)
                except OSError as error:
                    where = f"{datagram.destination.host} port {datagram.destination.port}"
                    self.tell(Trouble(f"a message to {where} was not sent: {error.strerror}"))
        self._set_timer(now)
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        instants = [engine.deadline() for engine in self.engines]
        if self._enforcement is not None:
            instants.append(self._enforcement.retired.deadline())
        due = min((at for at in instants if at is not None), default=None)
        if due is not None:
            wait = max(0.0, due - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._pass_time)

    def _pass_time(self) -> None:
        def pass_time(now: float) -> None:
            for engine in self.engines:
                engine.timeout(now)

        self._inbox.put(pass_time)
