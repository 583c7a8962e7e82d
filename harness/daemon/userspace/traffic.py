# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of each packet: from the host through an SA to the network, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

from harness.capture.ip_fragments import Reassembler
from harness.daemon.data_plane import Acquired, Expired, PeerMoved, PlaneListener
from harness.daemon.userspace.flow import flow_of, key_of
from harness.daemon.userspace.headers import hop_limit, may_be_fragmented, traffic_class
from harness.daemon.userspace.raw_esp import Arrival, RawEsp
from harness.daemon.userspace.sa_state import Refused, SaState
from harness.daemon.userspace.spd import Entry, Spd
from harness.daemon.userspace.tun import SMALLEST_MTU, Tun
from harness.ike.address import Address, Path
from harness.ike.esp import EspFailure, EspFailureReason, SequenceExhausted
from harness.ike.ip_modes import (
    IPV4,
    IPV4_HEADER_SIZE,
    IPV6_HEADER_SIZE,
    MalformedPacket,
    join_transport,
    split_transport,
)

BATCH = 64
"""Packets that one descriptor is read for before everything else has its turn."""
MOST_REMEMBERED = 4096
"""Flows whose entry is remembered; they are forgotten all at once for one more."""
ASK_AGAIN = 10.0
"""Seconds after which traffic that still has no SA is reported once more."""
LOOK_AGAIN = 1.0
"""Seconds after which large packets make it worth while to look at the paths' MTUs once more."""
SPI_SIZE = 4

SendEncapsulated = Callable[[bytes, Path, int], None]
"""Takes ESP from SPI to ICV and sends it in UDP from the path's local end to the remote one.

The last is the traffic class of the IP header.
"""


class Fate(StrEnum):
    """What became of a packet, beside what `EspFailureReason` and `Refusal` say."""

    SENT = "sent"
    RECEIVED = "received"
    PASSED = "passed in clear"
    WAITING = "waiting for an SA"
    NO_ROOM = "no room to wait"
    MALFORMED = "malformed"
    PIECE = "piece of a packet"
    LOST = "not taken by the network"
    UNDELIVERED = "not taken by the host"


class Traffic:
    """All packets of a plane. `fates` counts what became of them.

    `states` are the pairs by inbound SPI, `raw` the sockets by IP version; the owner changes both,
    and calls `forget_choices` when it has changed the SPD. `end` is told the inbound SPI of a pair
    that has carried all that it may. `look_again` is called now and then when packets are sent that
    a path may have become too narrow for, or could be larger by now.
    """

    def __init__(
        self,
        tun: Tun,
        raw: Mapping[int, RawEsp],
        send_encapsulated: SendEncapsulated,
        listener: PlaneListener,
        end: Callable[[int], None],
        clock: Callable[[], float],
        look_again: Callable[[], None] = lambda: None,
    ) -> None:
        self.spd = Spd()
        self.states: dict[int, SaState] = {}
        self.fates: Counter[str] = Counter()
        self._tun = tun
        self._raw = raw
        self._send_encapsulated = send_encapsulated
        self._listener = listener
        self._end = end
        self._clock = clock
        self._look_again = look_again
        self._looked_at = clock()
        self._chosen: dict[bytes, SaState] = {}
        self._pieces = Reassembler()

    def forget_choices(self) -> None:
        """Look entries up anew, and send what was waiting where that can be sent now."""
        self._chosen.clear()
        for entry in tuple(self.spd):
            if entry.waiting:
                waiting, entry.waiting = entry.waiting, []
                for packet in waiting:
                    self.outbound(packet)

    def drain_host(self) -> None:
        """Protect what the host wants to send, up to a batch."""
        tun, outbound = self._tun, self.outbound
        try:
            for _ in range(BATCH):
                outbound(tun.read())
        except BlockingIOError:
            pass

    def drain_network(self, raw: RawEsp) -> None:
        """Open what has come in ESP of its own, up to a batch."""
        try:
            for _ in range(BATCH):
                arrival = raw.receive()
                if arrival is not None:
                    self.inbound(arrival)
        except BlockingIOError:
            pass
        except OSError:
            # An ICMP error about an earlier packet, told on the next occasion.
            self.fates[Fate.LOST] += 1

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        """Open what has come in UDP; see DataPlane."""
        state = self.inbound(Arrival(octets, traffic_class=traffic_class))
        if state is not None and state.encapsulated and source != state.reported:
            state.reported = source
            self._listener(PeerMoved(state.pair.inbound.spi, source))

    def inbound(self, arrival: Arrival) -> SaState | None:
        """Open an ESP packet and hand it to the host.

        Returns its pair if it was the newest packet of that, as RFC 7296 section 2.23 wants one
        to be whose source address is to count.
        """
        state = self.states.get(int.from_bytes(arrival.octets[:SPI_SIZE], "big"))
        if state is None:
            self.fates[EspFailureReason.UNKNOWN_SPI] += 1
            return None
        before = state.newest
        try:
            packet = state.open(arrival)
        except (EspFailure, Refused) as failure:
            self.fates[failure.reason] += 1
            return None
        self.fates[Fate.RECEIVED if self._tun.write(packet) else Fate.UNDELIVERED] += 1
        self._look_at(state)
        return state if state.newest > before else None

    def outbound(self, packet: bytes) -> None:
        """Protect a packet of the host, let it wait, or let it pass in clear."""
        key = key_of(packet)
        state = self._chosen.get(key) if key is not None else None
        if state is not None:
            self._send(state, packet)
            return
        try:
            flow = flow_of(packet)
        except MalformedPacket:
            self.fates[Fate.MALFORMED] += 1
            return
        if flow.fragment and self.spd.wants_whole(flow):
            self._collect(packet)
            return
        entry = self.spd.choose(flow)
        if entry is None:
            self._pass(packet)
        elif not entry.senders:
            self._wait(entry, packet)
        else:
            state = entry.senders[-1]
            if key is not None:
                if len(self._chosen) >= MOST_REMEMBERED:
                    self._chosen.clear()
                self._chosen[key] = state
            self._send(state, packet)

    def _send(self, state: SaState, packet: bytes) -> None:
        try:
            octets = state.seal(packet)
        except MalformedPacket:
            self.fates[Fate.MALFORMED] += 1
            return
        except SequenceExhausted:
            self._exhausted(state, packet)
            return
        path = state.path
        if state.encapsulated:
            self._send_encapsulated(octets, path, traffic_class(packet))
            sent = True
        elif state.pair.transport:
            sent = self._send_transport(path, packet, octets)
        else:
            sent = self._raw[state.version].send(
                octets,
                state.source,
                path.remote.host,
                traffic_class(packet),
                may_fragment=may_be_fragmented(packet),
            )
        self.fates[Fate.SENT if sent else Fate.LOST] += 1
        self._look_at(state)
        if len(packet) >= SMALLEST_MTU:
            self._doubt_paths()

    def _doubt_paths(self) -> None:
        """The kernel learns from ICMP that a path is narrower, and forgets it; it tells nobody."""
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            self._look_again()

    def _send_transport(self, path: Path, packet: bytes, octets: bytes) -> bool:
        """The packet's own header goes before ESP (RFC 4303 section 3.1.1)."""
        version = packet[0] >> 4
        raw = self._raw[version]
        split = split_transport(packet)
        bare = IPV4_HEADER_SIZE if version == IPV4 else IPV6_HEADER_SIZE
        if len(split.headers) > bare:
            # Options and extension headers, which are not the kernel's to write.
            return raw.send_whole(join_transport(split, octets, 50))
        return raw.send(
            octets,
            packet[12:16] if version == IPV4 else packet[8:24],
            path.remote.host,
            traffic_class(packet),
            hop_limit(packet),
            may_fragment=may_be_fragmented(packet),
        )

    def _pass(self, packet: bytes) -> None:
        raw = self._raw.get(packet[0] >> 4)
        passed = raw is not None and raw.send_whole(packet)
        self.fates[Fate.PASSED if passed else Fate.LOST] += 1

    def _wait(self, entry: Entry, packet: bytes) -> None:
        self.fates[Fate.WAITING if entry.wait(packet) else Fate.NO_ROOM] += 1
        if entry.route is None or entry.held:
            return
        now = self._clock()
        if entry.asked_at is None or now - entry.asked_at >= ASK_AGAIN:
            entry.asked_at = now
            self._listener(Acquired(entry.route.reqid))

    def _collect(self, piece: bytes) -> None:
        """Transport mode and ports are for whole packets (RFC 4303 section 3.3.4, 4301 7)."""
        whole = self._pieces.take("", 0, piece)
        if whole is None:
            self.fates[Fate.PIECE] += 1
            return
        try:
            split = split_transport(whole.packet)
            self.outbound(join_transport(split, split.payload, split.protocol))
        except MalformedPacket:
            self.fates[Fate.MALFORMED] += 1

    def _look_at(self, state: SaState) -> None:
        if state.worn_out():
            self._stop_sending(state)
            self._end(state.pair.inbound.spi)
        elif state.worn():
            self._listener(Expired(state.pair.inbound.spi, hard=False))

    def _exhausted(self, state: SaState, packet: bytes) -> None:
        """Send with it no more (RFC 4303 section 3.3.3); the packet waits for another."""
        if self._stop_sending(state):
            self._listener(Expired(state.pair.inbound.spi, hard=True))
        self.outbound(packet)

    def _stop_sending(self, state: SaState) -> bool:
        """Only receive with it from now on; did it send until now?"""
        entry = self.spd.of(state)
        if state not in entry.senders:
            return False
        entry.senders.remove(state)
        entry.held.append(state)
        self._chosen.clear()
        return True
