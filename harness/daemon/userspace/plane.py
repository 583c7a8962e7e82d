# SPDX-License-Identifier: GPL-2.0-or-later
"""The `DataPlane` that opens and seals ESP in this process, on a TUN device."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import summarize_address_range

from harness.daemon.data_plane import DataPlaneError, Expired, PlaneListener, Route
from harness.daemon.sa_pair import SaPair
from harness.daemon.userspace.guard import Guard, Pairing
from harness.daemon.userspace.raw_esp import RawEsp
from harness.daemon.userspace.sa_state import SaState
from harness.daemon.userspace.spd import Between, Entry, between
from harness.daemon.userspace.traffic import SendEncapsulated, Traffic
from harness.daemon.userspace.tun import Tun
from harness.ike.address import Address, Path
from harness.ike.ip_modes import IPV4, IPV6
from harness.ike.traffic_selectors import TrafficSelector
from harness.kernel.addresses import Network

FIRST_MTU = 1400
"""As long as no SA says what it leaves of the path's MTU."""
USUAL_MTU = 1500


class UserspacePlane:
    """A `DataPlane` in the network namespace that the thread is in when it is made.

    `send_encapsulated` sends ESP in UDP; its socket, and every one that IKE goes over, must be
    `exempt`. Make it in the loop that it is to run in, and `start` it. It belongs to that loop.
    """

    def __init__(
        self,
        listener: PlaneListener,
        send_encapsulated: SendEncapsulated,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Open the device and the sockets; raises DataPlaneError."""
        self._listener = listener
        self._randomness = randomness
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._timers: dict[int, list[asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._raw: dict[int, RawEsp] = {}
        self._tun = Tun()
        self._guard = Guard(self._tun.name)
        try:
            self._raw[IPV4] = RawEsp(socket.AF_INET)
            self._raw[IPV6] = RawEsp(socket.AF_INET6)
        except OSError as error:
            # A kernel may be without IPv6, and then nobody will ask for it.
            if IPV4 not in self._raw:
                self._guard.abandon()
                self._tun.abandon()
                raise DataPlaneError(
                    f"No raw socket can be opened: {error.strerror}; run as the network's "
                    "administrator"
                ) from error
        self._traffic = Traffic(
            self._tun,
            self._raw,
            send_encapsulated,
            listener,
            self._end,
            self._loop.time,
            self._look_again,
        )

    @property
    def device(self) -> str:
        """The name of the TUN device."""
        return self._tun.name

    @property
    def fates(self) -> Counter[str]:
        """How many packets met which fate, in the words of Fate, EspFailureReason and Refusal."""
        return self._traffic.fates

    async def start(self) -> None:
        """Take packets from now on; raises DataPlaneError."""
        await self._tun.start(FIRST_MTU)
        await self._guard.start()
        self._loop.add_reader(self._tun.fileno(), self._traffic.drain_host)
        for raw in self._raw.values():
            self._loop.add_reader(raw.fileno(), self._traffic.drain_network, raw)

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        """See DataPlane."""
        async with self._turn:
            spi = pair.inbound.spi
            if spi in self._traffic.states:
                raise DataPlaneError(f"{pair.name}: the SPI 0x{spi:08x} is in use; choose another")
            state = self._state(pair)
            self._check_reach(pair)
            entry = await self._entry(between(pair))
            self._traffic.states[spi] = state
            (entry.senders if outbound else entry.held).append(state)
            self._traffic.spd.may_ask_again(pair.reqid)
            await self._resize()
            self._set_timers(pair)
            self._traffic.forget_choices()

    async def switch(self, inbound_spi: int) -> None:
        """See DataPlane."""
        async with self._turn:
            state = self._traffic.states.get(inbound_spi)
            if state is None:
                return
            entry = self._traffic.spd.of(state)
            if state in entry.held:
                entry.held.remove(state)
                entry.senders.append(state)
                self._traffic.forget_choices()

    async def retire(self, inbound_spi: int) -> None:
        """See DataPlane."""
        async with self._turn:
            state = self._traffic.states.get(inbound_spi)
            if state is None:
                return
            entry = self._traffic.spd.of(state)
            if state in entry.senders:
                entry.senders.remove(state)
                entry.held.append(state)
                self._traffic.forget_choices()

    async def remove(self, inbound_spi: int) -> None:
        """See DataPlane."""
        async with self._turn:
            await self._remove(inbound_spi)

    async def move(self, inbound_spi: int, path: Path, *, encapsulated: bool) -> None:
        """See DataPlane."""
        async with self._turn:
            state = self._traffic.states.get(inbound_spi)
            if state is not None:
                self._check(path, state.pair.name)
                state.move(path, encapsulated)
                await self._resize()

    async def protect(self, route: Route) -> None:
        """See DataPlane."""
        async with self._turn:
            self._check_reach(route)
            await self._unprotect(route.reqid, but=between(route))
            entry = await self._entry(between(route))
            entry.route = route
            self._traffic.forget_choices()

    async def unprotect(self, reqid: int) -> None:
        """See DataPlane."""
        async with self._turn:
            await self._unprotect(reqid)

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        """See DataPlane."""
        state = self._traffic.states.get(inbound_spi)
        return (state.received, state.sent) if state else (0, 0)

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        """See DataPlane."""
        self._traffic.receive_encapsulated(octets, source, destination, traffic_class)

    async def close(self) -> None:
        """See DataPlane; closing twice is fine."""
        async with self._turn:
            for task in self._tasks:
                task.cancel()
            for spi in tuple(self._timers):
                self._stop_timers(spi)
            if self._tun.fileno() >= 0:
                self._loop.remove_reader(self._tun.fileno())
                for raw in self._raw.values():
                    self._loop.remove_reader(raw.fileno())
            try:
                await self._guard.close()
            finally:
                for raw in self._raw.values():
                    raw.close()
                await self._tun.close()

    def _state(self, pair: SaPair) -> SaState:
        self._check(pair.path, pair.name)
        cipher = pair.outbound.encryption
        size = cipher.iv_size
        # CBC must not have IVs that anybody can foresee (RFC 3602 section 3).
        random_ivs = cipher.block_size > 1 and not cipher.combined
        try:
            return SaState(pair, (lambda _: self._randomness(size)) if random_ivs else None)
        except ValueError as error:
            raise DataPlaneError(f"{pair.name}: {error}") from error

    def _check(self, path: Path, name: str) -> None:
        try:
            sizes = {len(path.local.packed), len(path.remote.packed)}
        except ValueError as error:
            raise DataPlaneError(f"{name}: {error}") from error
        versions = {IPV4 if size == 4 else IPV6 for size in sizes}
        if len(versions) != 1 or not versions <= self._raw.keys():
            raise DataPlaneError(
                f"{name}: there is no path from {path.local.host} to {path.remote.host}; give "
                "addresses of one IP version that this host has"
            )

    def _check_reach(self, item: SaPair | Route) -> None:
        """Refuse where a host's own filter would drop all that comes from the peer, IKE too."""
        peer = item.path.remote.packed
        if len(peer) != 4 or not any(one.start <= peer <= one.end for one in item.remote):
            return
        strict = self._guard.strict_interfaces()
        if strict:
            raise DataPlaneError(
                f"{item.name}: {strict[0]} drops what comes from {item.path.remote.host} as soon "
                "as traffic to there is protected; set net.ipv4.conf.all.rp_filter to 2"
            )

    async def _entry(self, wanted: Between) -> Entry:
        """The entry of those selectors, with routes and policies, which a new one gets here."""
        spd = self._traffic.spd
        if any(entry.between == wanted for entry in spd):
            return spd.entry(wanted)
        blocked = _inward(wanted)
        await self._guard.block(blocked)
        try:
            await self._tun.attract(_networks(wanted.remote), _networks(wanted.local))
        except DataPlaneError:
            await self._guard.release(blocked)
            raise
        return spd.entry(wanted)

    async def _drop_unused(self, entry: Entry) -> None:
        if self._traffic.spd.forget_unused(entry):
            await self._tun.release(_networks(entry.between.remote))
            await self._guard.release(_inward(entry.between))

    async def _remove(self, spi: int) -> None:
        self._stop_timers(spi)
        state = self._traffic.states.pop(spi, None)
        if state is None:
            return
        entry = self._traffic.spd.of(state)
        for group in (entry.senders, entry.held):
            if state in group:
                group.remove(state)
        self._traffic.forget_choices()
        await self._drop_unused(entry)
        await self._resize()

    async def _unprotect(self, reqid: int, but: Between | None = None) -> None:
        entry = self._traffic.spd.routed(reqid)
        if entry is None or entry.between == but:
            return
        entry.route = None
        self._traffic.forget_choices()
        await self._drop_unused(entry)

    async def _resize(self) -> None:
        """Give the device what every path leaves for a packet that is to be protected."""
        rooms = []
        mtus: dict[str, int] = {}
        for state in self._traffic.states.values():
            host = state.path.remote.host
            if host not in mtus:
                mtus[host] = self._raw[state.version].path_mtu(host) or USUAL_MTU
            rooms.append(state.room(mtus[host]))
        await self._tun.resize(min(rooms, default=FIRST_MTU))

    def _look_again(self) -> None:
        self._keep(self._loop.create_task(self._resize_open()))

    async def _resize_open(self) -> None:
        async with self._turn:
            if self._tun.fileno() >= 0:
                # What cannot be set now is looked at with the next large packet.
                with contextlib.suppress(DataPlaneError):
                    await self._resize()

    def _set_timers(self, pair: SaPair) -> None:
        timers = self._timers.setdefault(pair.inbound.spi, [])
        if pair.rekey_after:
            soft = Expired(pair.inbound.spi, hard=False)
            timers.append(self._loop.call_later(pair.rekey_after, self._listener, soft))
        if pair.life:
            timers.append(self._loop.call_later(pair.life, self._end, pair.inbound.spi))

    def _stop_timers(self, spi: int) -> None:
        for timer in self._timers.pop(spi, ()):
            timer.cancel()

    def _end(self, spi: int) -> None:
        """The pair has reached a hard limit, of time or of octets."""
        self._keep(self._loop.create_task(self.remove(spi)))
        self._listener(Expired(spi, hard=True))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Nobody else knows a task that runs by itself."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _inward(wanted: Between) -> tuple[Pairing, ...]:
    return tuple((remote, local) for remote in wanted.remote for local in wanted.local)


def _networks(selectors: Iterable[TrafficSelector]) -> tuple[Network, ...]:
    found = (
        network
        for one in selectors
        if one.start <= one.end
        for network in summarize_address_range(one.start_address, one.end_address)
    )
    return tuple(dict.fromkeys(found))
