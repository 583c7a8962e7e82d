# SPDX-License-Identifier: GPL-2.0-or-later
"""What an Ethernet frame carries, down to the headers of ESP, AH and ISAKMP.

Nothing here raises, whatever the bytes: what cannot be read is left out.
"""

import socket
import struct
from typing import NamedTuple

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
ETHERTYPES_VLAN = (0x8100, 0x88A8)
ICMP, TCP, UDP, ESP, AH, ICMPV6 = 1, 6, 17, 50, 51, 58
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
PORT_IKE, PORT_NAT_T = 500, 4500
NON_ESP_MARKER = b"\0\0\0\0"
NAT_KEEPALIVE = b"\xff"

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_ISAKMP = struct.Struct("!8s8sBBBBII")
_TWO_PORTS = struct.Struct("!HH")
_TWO_WORDS = struct.Struct("!II")


class Fragment(NamedTuple):
    """Which part of an IP packet this is; `offset` in bytes."""

    identification: int
    offset: int
    more: bool


class Esp(NamedTuple):
    """An ESP packet (RFC 4303); `data` is all of it, `encapsulated` in UDP (RFC 3948) or not."""

    spi: int
    sequence: int
    data: bytes
    encapsulated: bool


class Ah(NamedTuple):
    """An authentication header (RFC 4302) and what follows it."""

    spi: int
    sequence: int
    next_header: int
    payload: bytes


class Isakmp(NamedTuple):
    """An IKE header (RFC 7296 section 3.1, RFC 2408 section 3.1) and the whole message.

    The two SPIs are IKEv1's cookies. `marked` says that the message came behind a non-ESP marker.
    """

    initiator_spi: bytes
    responder_spi: bytes
    next_payload: int
    major_version: int
    minor_version: int
    exchange_type: int
    flags: int
    message_id: int
    length: int
    data: bytes
    marked: bool


class NatKeepalive(NamedTuple):
    """A NAT-keepalive packet (RFC 3948 section 2.3)."""

    data: bytes


Carried = Esp | Ah | Isakmp | NatKeepalive


class Headers(NamedTuple):
    """What was found in a frame, from the outside in.

    `source` and `destination` are IP addresses as text, empty without IP; `protocol` is the last
    one after extension headers, -1 without IP. `ports` are there for TCP and UDP, not in a later
    fragment. `payload` is what follows the last header that was read, without Ethernet padding.
    """

    ethertype: int
    vlan: int | None
    source: str
    destination: str
    protocol: int
    fragment: Fragment | None
    ports: tuple[int, int] | None
    payload: bytes
    carried: Carried | None


def dissect(data: bytes) -> Headers:
    """Return the headers of an Ethernet frame."""
    if len(data) < 14:
        return Headers(-1, None, "", "", -1, None, None, b"", None)
    ethertype = data[12] << 8 | data[13]
    offset, vlan = 14, None
    while ethertype in ETHERTYPES_VLAN and len(data) >= offset + 4:
        tag, ethertype = _TWO_PORTS.unpack_from(data, offset)
        vlan = tag & 0x0FFF if vlan is None else vlan
        offset += 4
    packet = data[offset:]
    if ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        return dissect_ip(packet)._replace(ethertype=ethertype, vlan=vlan)
    return Headers(ethertype, vlan, "", "", -1, None, None, packet, None)


def dissect_ip(packet: bytes) -> Headers:
    """Return the headers of an IP packet, of the version that its first four bits say."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return _ipv4(packet)
    if version == 6 and len(packet) >= 40:
        return _ipv6(packet)
    return Headers(-1, None, "", "", -1, None, None, packet, None)


def _ipv4(packet: bytes) -> Headers:
    first, _, total, identification, word, _, protocol, _, source, destination = _IPV4.unpack_from(
        packet
    )
    start = (first & 0x0F) * 4
    # A length of 0 or beyond the frame is a sender's large segment or damage: take what is there.
    end = total if start <= total <= len(packet) else len(packet)
    fragment = None
    if word & 0x3FFF:
        fragment = Fragment(identification, (word & 0x1FFF) * 8, bool(word & 0x2000))
    addresses = (
        socket.inet_ntop(socket.AF_INET, source),
        socket.inet_ntop(socket.AF_INET, destination),
    )
    return _transport(ETHERTYPE_IPV4, addresses, protocol, fragment, packet[start:end])


def _ipv6(packet: bytes) -> Headers:
    _, size, protocol, _, source, destination = _IPV6.unpack_from(packet)
    end = 40 + size if size and 40 + size <= len(packet) else len(packet)
    offset, fragment = 40, None
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT) and offset + 8 <= end:
        following = packet[offset]
        if protocol == FRAGMENT:
            _, _, word, identification = struct.unpack_from("!BBHI", packet, offset)
            fragment = Fragment(identification, word & 0xFFF8, bool(word & 1))
            offset += 8
        else:
            offset += (packet[offset + 1] + 1) * 8
        protocol = following
        if fragment is not None and fragment.offset:
            break
    addresses = (
        socket.inet_ntop(socket.AF_INET6, source),
        socket.inet_ntop(socket.AF_INET6, destination),
    )
    return _transport(ETHERTYPE_IPV6, addresses, protocol, fragment, packet[offset:end])


def _transport(
    ethertype: int,
    addresses: tuple[str, str],
    protocol: int,
    fragment: Fragment | None,
    payload: bytes,
) -> Headers:
    ports: tuple[int, int] | None = None
    carried: Carried | None = None
    if fragment is None or fragment.offset == 0:
        if protocol == UDP and len(payload) >= 8:
            ports = _TWO_PORTS.unpack_from(payload)
            size = payload[4] << 8 | payload[5]
            payload = payload[8:size] if 8 <= size <= len(payload) else payload[8:]
            carried = _udp(ports, payload)
        elif protocol == TCP and len(payload) >= 20:
            ports = _TWO_PORTS.unpack_from(payload)
            payload = payload[(payload[12] >> 4) * 4 :]
        elif protocol == ESP and len(payload) >= 8:
            spi, sequence = _TWO_WORDS.unpack_from(payload)
            carried = Esp(spi, sequence, payload, False)
        elif protocol == AH and len(payload) >= 12:
            spi, sequence = _TWO_WORDS.unpack_from(payload, 4)
            carried = Ah(spi, sequence, payload[0], payload[(payload[1] + 2) * 4 :])
    source, destination = addresses
    return Headers(
        ethertype, None, source, destination, protocol, fragment, ports, payload, carried
    )


def _udp(ports: tuple[int, int], payload: bytes) -> Carried | None:
    """Return what a datagram on IKE's ports carries; either port may be translated, not both."""
    if PORT_IKE in ports:
        return _isakmp(payload, False)
    if PORT_NAT_T not in ports:
        return None
    if payload == NAT_KEEPALIVE:
        return NatKeepalive(payload)
    if payload[:4] == NON_ESP_MARKER:
        return _isakmp(payload[4:], True)
    if len(payload) >= 8:
        spi, sequence = _TWO_WORDS.unpack_from(payload)
        return Esp(spi, sequence, payload, True)
    return None


def _isakmp(message: bytes, marked: bool) -> Isakmp | None:
    if len(message) < 28:
        return None
    initiator, responder, payload, version, exchange, flags, number, length = _ISAKMP.unpack_from(
        message
    )
    return Isakmp(
        initiator,
        responder,
        payload,
        version >> 4,
        version & 0x0F,
        exchange,
        flags,
        number,
        length,
        message,
        marked,
    )
