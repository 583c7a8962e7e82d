# SPDX-License-Identifier: GPL-2.0-or-later
"""What the traffic selectors of an SA compare in an IP packet (RFC 4301 section 4.4.1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.ike.ip_modes import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    IPV4,
    IPV6_HEADER_SIZE,
    ROUTING,
    MalformedPacket,
    packet_length,
)
from harness.ike.traffic_selectors import TrafficSelector

TCP, UDP, DCCP, SCTP, UDP_LITE = 6, 17, 33, 132, 136
WITH_PORTS = frozenset({TCP, UDP, DCCP, SCTP, UDP_LITE})
ICMP, ICMPV6 = 1, 58
OPAQUE = (65535, 0)


@dataclass(frozen=True, slots=True)
class Flow:
    """Addresses in network order, protocol and ports of a packet.

    Of ICMP both ports are type * 256 + code, as in a selector. Ports are None where the packet
    has none: in another protocol, and in a fragment that is not the first. `fragment` is true of
    every piece of a packet that was fragmented.
    """

    source: bytes
    destination: bytes
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    fragment: bool = False


def flow_of(packet: bytes) -> Flow:
    """What selectors compare; raises MalformedPacket."""
    length = packet_length(packet)
    if packet[0] >> 4 == IPV4:
        source, destination = packet[12:16], packet[16:20]
        protocol, at = packet[9], (packet[0] & 15) * 4
        word = int.from_bytes(packet[6:8], "big")
        later, fragment = bool(word & 0x1FFF), bool(word & 0x3FFF)
    else:
        source, destination = packet[8:24], packet[24:40]
        protocol, at, later, fragment = _ipv6_upper_layer(packet, length)
    ports = (None, None) if later else _ports(protocol, packet[at:length])
    return Flow(source, destination, protocol, *ports, fragment)


def key_of(packet: bytes) -> bytes | None:
    """Octets that are equal only in packets of one flow, or None where that takes a closer look.

    This is for a memory of what was decided for a flow: IPv4 without options and IPv6 without
    extension headers, no fragments.
    """
    if len(packet) < 44:
        if len(packet) < 24 or packet[0] != 0x45:
            return None
    elif packet[0] >> 4 == 6:
        protocol = packet[6]
        if protocol in WITH_PORTS:
            return packet[6:7] + packet[8:44]
        return packet[6:7] + packet[8:42] if protocol == ICMPV6 else None
    if packet[0] != 0x45 or packet[6] & 0x3F or packet[7]:
        return None
    protocol = packet[9]
    if protocol in WITH_PORTS:
        return packet[9:10] + packet[12:24]
    return packet[9:10] + packet[12 : 22 if protocol == ICMP else 20]


def covers(
    selectors: Iterable[TrafficSelector], address: bytes, protocol: int, port: int | None
) -> bool:
    """Whether one of the selectors has that address, protocol and port in it.

    A port that is not there is in a selector of any port, or of OPAQUE ones (RFC 4301 4.4.1.1).
    """
    for one in selectors:
        if one.protocol not in (0, protocol) or len(one.start) != len(address):
            continue
        if not one.start <= address <= one.end:
            continue
        if (one.start_port, one.end_port) == OPAQUE:
            if port is None:
                return True
        elif port is None:
            if one.start_port == 0 and one.end_port == 65535:
                return True
        elif one.start_port <= port <= one.end_port:
            return True
    return False


def _ports(protocol: int, payload: bytes) -> tuple[int | None, int | None]:
    if protocol in WITH_PORTS and len(payload) >= 4:
        return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    if protocol in (ICMP, ICMPV6) and len(payload) >= 2:
        both = int.from_bytes(payload[:2], "big")
        return both, both
    return None, None


def _ipv6_upper_layer(packet: bytes, length: int) -> tuple[int, int, bool, bool]:
    """Protocol and offset of it, whether this is a later piece, and whether it is a piece."""
    following, at = packet[6], IPV6_HEADER_SIZE
    later = fragment = False
    while following in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS) and not later:
        if at + 8 > length:
            raise MalformedPacket("An IPv6 extension header goes beyond the packet.")
        size = 8
        if following == FRAGMENT:
            word = int.from_bytes(packet[at + 2 : at + 4], "big")
            later, fragment = bool(word & 0xFFF8), bool(word & 0xFFF9)
        else:
            size += packet[at + 1] * 8
        following, at = packet[at], at + size
    return following, at, later, fragment
