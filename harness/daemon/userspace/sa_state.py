# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair of SAs in use: IP packets become ESP and ESP becomes IP packets."""

from __future__ import annotations

from enum import StrEnum

from harness.daemon.sa_pair import SaPair
from harness.daemon.userspace.flow import covers, flow_of, key_of
from harness.daemon.userspace.headers import CongestionLost, with_checksum, with_congestion
from harness.daemon.userspace.raw_esp import Arrival
from harness.ike.address import Path
from harness.ike.esp import IvSource, Opener, Sealer
from harness.ike.ip_modes import (
    IPV4,
    IPV4_HEADER_SIZE,
    IPV6,
    IPV6_HEADER_SIZE,
    MalformedPacket,
    inner_packet,
    outer_packet,
    split_transport,
    tunnel_next_header,
)

UDP_HEADER_SIZE = 8
MOST_REMEMBERED = 1024
"""Flows whose admission is remembered; they are forgotten all at once for one more."""
SOFT_SEQUENCE = (1 << 32) - (1 << 28)
"""Without ESN a pair is due for its replacement after that many packets in one direction."""


class Refusal(StrEnum):
    """Why a packet that came in ESP was not passed on, beside what `EspFailureReason` says."""

    SELECTORS = "outside the traffic selectors"
    MALFORMED = "not an IP packet"
    CONGESTION = "congestion that the packet cannot tell of"
    DUMMY = "dummy"


class Refused(Exception):
    """A packet is not to be passed on."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class SaState:
    """Sequence numbers, replay window, counters and place on the network of a pair.

    `received` and `sent` are octets of IP packets in tunnel mode and of what is above IP in
    transport mode. `newest` is the highest sequence number received.
    """

    def __init__(self, pair: SaPair, iv: IvSource | None) -> None:
        """Ready to seal and open; raises what Sealer and Opener raise."""
        self.pair = pair
        self.received = 0
        self.sent = 0
        self.due = self.over = False
        self.move(pair.path, pair.encapsulated)
        self._protection = pair.outbound.protection()
        self._sealer = Sealer(pair.outbound, iv)
        self._opener = Opener(pair.inbound, pair.replay_window)
        self._admitted: set[bytes] = set()

    @property
    def newest(self) -> int:
        """The highest sequence number that was authentic."""
        return self._opener.window.highest

    def move(self, path: Path, encapsulated: bool) -> None:
        """Use other addresses or ports, with the same keys and sequence numbers."""
        self.path = path
        self.encapsulated = encapsulated
        self.reported = path.remote
        self.source = path.local.packed
        self.version = IPV4 if len(self.source) == 4 else IPV6

    def worn(self) -> bool:
        """Whether the pair has, for the first time, carried what it is to be replaced after."""
        pair = self.pair
        most = max(self.received, self.sent)
        spent = not pair.outbound.esn and self._sealer.sequence >= SOFT_SEQUENCE
        if self.due or not (spent or (pair.rekey_octets and most >= pair.rekey_octets)):
            return False
        self.due = True
        return True

    def worn_out(self) -> bool:
        """Whether the pair has, for the first time, carried all that it may."""
        most = max(self.received, self.sent)
        if self.over or not self.pair.octets or most < self.pair.octets:
            return False
        self.over = True
        return True

    def room(self, mtu: int) -> int:
        """The largest IP packet that, protected, is not larger than `mtu`."""
        cost = 8 + self._protection.iv_size + self._protection.icv_size
        header = IPV4_HEADER_SIZE if self.version == IPV4 else IPV6_HEADER_SIZE
        if self.encapsulated:
            cost += UDP_HEADER_SIZE
        alignment = max(4, self._protection.alignment)
        covered = (mtu - header - cost) // alignment * alignment - 2
        return covered + header if self.pair.transport else covered

    def seal(self, packet: bytes) -> bytes:
        """The ESP packet for an IP packet; raises SequenceExhausted, MalformedPacket."""
        if self.pair.transport:
            split = split_transport(packet)
            payload, next_header = split.payload, split.protocol
        else:
            payload, next_header = packet, tunnel_next_header(packet)
        sealed = self._sealer.seal(payload, next_header)
        self.sent += len(payload)
        return sealed

    def open(self, arrival: Arrival) -> bytes:
        """The IP packet in an ESP packet; raises EspFailure and Refused."""
        opened = self._opener.open(arrival.octets)
        if opened.dummy:
            raise Refused(Refusal.DUMMY)
        try:
            if self.pair.transport:
                packet = self._delivered(arrival, opened.payload, opened.next_header)
            else:
                packet = with_congestion(
                    inner_packet(opened.payload, opened.next_header), arrival.traffic_class
                )
            self._admit(packet)
        except (MalformedPacket, ValueError):
            raise Refused(Refusal.MALFORMED) from None
        except CongestionLost:
            raise Refused(Refusal.CONGESTION) from None
        self.received += len(opened.payload)
        return packet

    def _delivered(self, arrival: Arrival, payload: bytes, protocol: int) -> bytes:
        source, destination = arrival.source, arrival.destination
        if not source:
            source, destination = self.path.remote.packed, self.path.local.packed
            payload = with_checksum(payload, protocol, source, destination)
        return outer_packet(
            source,
            destination,
            payload,
            protocol,
            traffic_class=arrival.traffic_class,
            hop_limit=arrival.hop_limit,
        )

    def _admit(self, packet: bytes) -> None:
        """Refuse what the other end was not to send on this SA (RFC 4301 section 5.2)."""
        key = key_of(packet)
        if key is not None and key in self._admitted:
            return
        flow = flow_of(packet)
        pair = self.pair
        if not (
            covers(pair.remote, flow.source, flow.protocol, flow.source_port)
            and covers(pair.local, flow.destination, flow.protocol, flow.destination_port)
        ):
            raise Refused(Refusal.SELECTORS)
        if key is not None:
            if len(self._admitted) >= MOST_REMEMBERED:
                self._admitted.clear()
            self._admitted.add(key)
