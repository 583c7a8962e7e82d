# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnel and transport mode: IP packets to ESP payloads and back (RFC 4303 section 3.1).

Everything here is octets in network order; addresses are packed. MalformedPacket is raised for
what is no whole IP packet.
"""

from dataclasses import dataclass
from struct import Struct

IPV4 = 4
IPV6 = 6
NEXT_HEADER_IPV4 = 4
NEXT_HEADER_IPV6 = 41
PROTOCOL_ESP = 50
IPV4_HEADER = Struct("!BBHHHBBH4s4s")
IPV6_HEADER = Struct("!IHBB16s16s")
IPV4_HEADER_SIZE = 20
IPV6_HEADER_SIZE = 40
LONGEST_PACKET = 65535

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
DESTINATION_OPTIONS = 60


class MalformedPacket(ValueError):
    """Octets are not a whole IPv4 or IPv6 packet; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class SplitPacket:
    """An IP packet cut where ESP goes: the headers before it, what it covers, and its protocol.

    `pointer` is the offset in `headers` of the byte that names the protocol after them.
    """

    headers: bytes
    pointer: int
    payload: bytes
    protocol: int


def internet_checksum(data: bytes) -> int:
    """The one's complement sum of 16-bit words, complemented (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet_length(packet: bytes) -> int:
    """The length that the IP header claims; raises MalformedPacket when there is less."""
    if not packet:
        raise MalformedPacket("The packet is empty.")
    version = packet[0] >> 4
    if version == IPV4 and len(packet) >= IPV4_HEADER_SIZE:
        length = int.from_bytes(packet[2:4], "big")
        if length < (packet[0] & 15) * 4 or packet[0] & 15 < IPV4_HEADER_SIZE // 4:
            raise MalformedPacket("The IPv4 header is longer than the packet or too short.")
    elif version == IPV6 and len(packet) >= IPV6_HEADER_SIZE:
        length = IPV6_HEADER_SIZE + int.from_bytes(packet[4:6], "big")
    else:
        raise MalformedPacket(f"The packet of {len(packet)} bytes has no whole IP header.")
    if length > len(packet):
        raise MalformedPacket(f"The packet claims {length} bytes and has {len(packet)}.")
    return length


def tunnel_next_header(packet: bytes) -> int:
    """4 for an IPv4 packet, 41 for an IPv6 one; the whole packet is the ESP payload."""
    packet_length(packet)
    return NEXT_HEADER_IPV4 if packet[0] >> 4 == IPV4 else NEXT_HEADER_IPV6


def inner_packet(payload: bytes, next_header: int) -> bytes:
    """The IP packet of a tunnel mode payload, without TFC padding (RFC 4303 section 2.7).

    Raises MalformedPacket, also when the packet is not of the version that `next_header` says.
    """
    versions = {NEXT_HEADER_IPV4: IPV4, NEXT_HEADER_IPV6: IPV6}
    length = packet_length(payload)
    if versions.get(next_header) != payload[0] >> 4:
        raise MalformedPacket(f"Next header {next_header} announces no such packet.")
    return payload[:length]


def split_transport(packet: bytes) -> SplitPacket:
    """The packet cut where transport mode puts ESP.

    In IPv6 that is after hop-by-hop, routing and fragment headers and after destination options
    that a routing header follows (RFC 4303 section 3.1.1). Raises MalformedPacket.
    """
    length = packet_length(packet)
    if packet[0] >> 4 == IPV4:
        size = (packet[0] & 15) * 4
        return SplitPacket(packet[:size], 9, packet[size:length], packet[9])
    pointer = 6
    end = IPV6_HEADER_SIZE
    kept_pointer, kept_end = pointer, end
    following = packet[pointer]
    while following in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS):
        if end + 8 > length:
            raise MalformedPacket("An IPv6 extension header goes beyond the packet.")
        size = 8 if following == FRAGMENT else 8 + packet[end + 1] * 8
        if end + size > length:
            raise MalformedPacket("An IPv6 extension header goes beyond the packet.")
        covered = following == DESTINATION_OPTIONS
        pointer, end, following = end, end + size, packet[end]
        if not covered:
            kept_pointer, kept_end = pointer, end
    return SplitPacket(
        packet[:kept_end], kept_pointer, packet[kept_end:length], packet[kept_pointer]
    )


def join_transport(split: SplitPacket, payload: bytes, protocol: int) -> bytes:
    """The IP packet with `payload` of `protocol` after the kept headers: lengths, checksum set.

    Raises MalformedPacket when that is longer than 65,535 bytes.
    """
    headers = bytearray(split.headers)
    headers[split.pointer] = protocol
    length = len(headers) + len(payload)
    if length > LONGEST_PACKET:
        raise MalformedPacket(f"A packet of {length} bytes is longer than IP can say.")
    if headers[0] >> 4 == IPV4:
        headers[2:4] = length.to_bytes(2, "big")
        headers[10:12] = b"\0\0"
        headers[10:12] = internet_checksum(bytes(headers)).to_bytes(2, "big")
    else:
        headers[4:6] = (length - IPV6_HEADER_SIZE).to_bytes(2, "big")
    return bytes(headers) + payload


def outer_packet(
    source: bytes,
    destination: bytes,
    payload: bytes,
    protocol: int = PROTOCOL_ESP,
    *,
    traffic_class: int = 0,
    hop_limit: int = 64,
    identification: int = 0,
    may_fragment: bool = False,
) -> bytes:
    """The IP packet that carries `payload` between two packed addresses of the same family.

    `identification` and `may_fragment` matter to IPv4 only. Raises ValueError for addresses that
    are not both of 4 or both of 16 bytes, MalformedPacket for too long a payload.
    """
    if len(payload) > LONGEST_PACKET - IPV6_HEADER_SIZE:
        raise MalformedPacket(f"A payload of {len(payload)} bytes is too long for an IP packet.")
    match len(source), len(destination):
        case 4, 4:
            flags = 0 if may_fragment else 0x4000
            fields = (0x45, traffic_class, IPV4_HEADER_SIZE + len(payload), identification, flags)
            bare = IPV4_HEADER.pack(*fields, hop_limit, protocol, 0, source, destination)
            checksum = internet_checksum(bare).to_bytes(2, "big")
            return bare[:10] + checksum + bare[12:] + payload
        case 16, 16:
            first = IPV6 << 28 | traffic_class << 20
            return (
                IPV6_HEADER.pack(first, len(payload), protocol, hop_limit, source, destination)
                + payload
            )
        case _:
            raise ValueError("The outer addresses are not of one family.")
