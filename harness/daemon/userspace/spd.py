# SPDX-License-Identifier: GPL-2.0-or-later
"""Which SA an outbound packet goes through, by traffic selectors (RFC 4301 section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.daemon.data_plane import Route
from harness.daemon.sa_pair import SaPair
from harness.daemon.userspace.flow import Flow, covers
from harness.daemon.userspace.sa_state import SaState
from harness.ike.traffic_selectors import TrafficSelector

MOST_WAITING = 32
"""Packets that wait for an SA of one entry; those after them are dropped."""


class Between(NamedTuple):
    """The traffic selectors of both ends, and the mode."""

    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool

    def covers(self, flow: Flow) -> bool:
        """Whether an outbound flow is within the selectors."""
        return covers(self.local, flow.source, flow.protocol, flow.source_port) and covers(
            self.remote, flow.destination, flow.protocol, flow.destination_port
        )

    def may_cover(self, flow: Flow) -> bool:
        """Whether it is, as far as addresses and protocol say."""
        return _on(self.local, flow.source, flow.protocol) and _on(
            self.remote, flow.destination, flow.protocol
        )

    @property
    def any_port(self) -> bool:
        """Whether ports make no difference."""
        ends = {(one.start_port, one.end_port) for one in self.local + self.remote}
        return ends == {(0, 65535)}

    @property
    def width(self) -> int:
        """How much traffic is between them: what is narrower goes first."""
        return _width(self.local) * _width(self.remote)


@dataclass(slots=True)
class Entry:
    """All that protects the traffic between one pair of selectors.

    The last of `senders` sends; `held` are pairs that only receive, so far or by now. Packets wait
    in `waiting` when nobody sends.
    """

    between: Between
    route: Route | None = None
    senders: list[SaState] = field(default_factory=list)
    held: list[SaState] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    asked_at: float | None = None

    @property
    def unused(self) -> bool:
        """Whether nothing protects this traffic any more."""
        return not (self.route or self.senders or self.held)

    def wait(self, packet: bytes) -> bool:
        """Keep a packet until an SA is there; was there room?"""
        if len(self.waiting) >= MOST_WAITING:
            return False
        self.waiting.append(packet)
        return True


class Spd:
    """The entries, the narrowest first and among equals the oldest."""

    def __init__(self) -> None:
        self._entries: dict[Between, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry(self, between: Between) -> Entry:
        """The entry of those selectors, a new one where there is none."""
        found = self._entries.get(between)
        if found is None:
            self._entries[between] = found = Entry(between)
            ordered = sorted(self._entries.items(), key=lambda item: item[0].width)
            self._entries = dict(ordered)
        return found

    def of(self, state: SaState) -> Entry:
        """The entry that a pair is in; raises KeyError when it is in none."""
        return self._entries[between(state.pair)]

    def routed(self, reqid: int) -> Entry | None:
        """The entry with the route of that reqid."""
        for entry in self:
            if entry.route is not None and entry.route.reqid == reqid:
                return entry
        return None

    def may_ask_again(self, reqid: int) -> None:
        """Once an SA was there, its loss is news."""
        entry = self.routed(reqid)
        if entry is not None:
            entry.asked_at = None

    def forget_unused(self, entry: Entry) -> bool:
        """Remove an entry that nothing is in any more; was it?"""
        if not entry.unused:
            return False
        return self._entries.pop(entry.between, None) is not None

    def wants_whole(self, flow: Flow) -> bool:
        """Whether a fragment says too little, or may not be protected as one.

        That is where ports matter, of which later pieces have none (RFC 4301 section 7), and in
        transport mode (RFC 4303 section 3.3.4).
        """
        return any(
            entry.between.may_cover(flow)
            and (entry.between.transport or not entry.between.any_port)
            for entry in self
        )

    def choose(self, flow: Flow) -> Entry | None:
        """The entry for an outbound flow: the first that has an SA or a route, else the first.

        None when the flow is not to be protected.
        """
        matching = [entry for entry in self if entry.between.covers(flow)]
        for entry in matching:
            if entry.senders or entry.route:
                return entry
        return matching[0] if matching else None


def _on(selectors: Iterable[TrafficSelector], address: bytes, protocol: int) -> bool:
    return any(
        one.protocol in (0, protocol)
        and len(one.start) == len(address)
        and one.start <= address <= one.end
        for one in selectors
    )


def between(item: SaPair | Route) -> Between:
    """The selectors and the mode of a pair or a route."""
    return Between(item.local, item.remote, item.transport)


def _width(selectors: Iterable[TrafficSelector]) -> int:
    total = 0
    for one in selectors:
        # An IPv4 address is as narrow as an IPv6 one.
        free = (16 - len(one.start)) * 8
        addresses = int.from_bytes(one.end, "big") - int.from_bytes(one.start, "big") + 1
        ports = max(one.end_port - one.start_port + 1, 1)
        total += max(addresses, 1) * ports * (1 if one.protocol else 256) << free
    return total
