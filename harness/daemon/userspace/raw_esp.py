# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP as a protocol of its own next to UDP, and IP packets that pass in clear: raw sockets.

The kernel writes the outer header. So it is the kernel that knows the path's MTU, learns of a
smaller one from ICMP, and cuts a packet that is larger.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from functools import lru_cache
from typing import NamedTuple

from harness.daemon.exemption import exempt
from harness.ike.ip_modes import IPV4, IPV4_HEADER_SIZE, PROTOCOL_ESP

LARGEST = 65535
DISCARD = 9
RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33
_IP_PKTINFO, _IP_MTU_DISCOVER, _IP_MTU, _IPV6_MTU = 8, 10, 14, 24
_DONT, _WANT = 0, 1
_INTEGER = struct.Struct("i")
_IPV4_INFO, _IPV6_INFO = struct.Struct("i4s4s"), struct.Struct("16si")
_IP, _IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6

Ancillary = list[tuple[int, int, bytes]]


class Arrival(NamedTuple):
    """An ESP packet, from SPI to ICV, and what was in the IP header before it.

    Addresses are empty where ESP came in UDP, whose socket keeps the IP header to itself.
    """

    octets: bytes
    source: bytes = b""
    destination: bytes = b""
    traffic_class: int = 0
    hop_limit: int = 64


class RawEsp:
    """The raw sockets of one IP version in the network namespace where it was made.

    All sends drop what the kernel refuses, as a network does; they return whether it took it.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        """Open the sockets; raises `OSError`."""
        self._version = 4 if family == socket.AF_INET else 6
        self._cutting = _WANT
        with contextlib.ExitStack() as undo:
            self._esp = undo.enter_context(_exempt(family, socket.SOCK_RAW, PROTOCOL_ESP))
            # IPPROTO_RAW: whoever sends writes the IP header.
            self._whole = undo.enter_context(_exempt(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
            # It is connected to learn of paths and never sends.
            self._probe = undo.enter_context(_exempt(family, socket.SOCK_DGRAM, 0))
            self._esp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                for option in (
                    socket.IPV6_RECVPKTINFO,
                    socket.IPV6_RECVTCLASS,
                    socket.IPV6_RECVHOPLIMIT,
                ):
                    self._esp.setsockopt(_IPV6, option, 1)
            undo.pop_all()

    def fileno(self) -> int:
        """The descriptor that is readable when ESP has come."""
        return self._esp.fileno()

    def receive(self) -> Arrival | None:
        """The next ESP packet; raises BlockingIOError when there is none."""
        if self._version == IPV4:
            packet = self._esp.recv(LARGEST)
            size = (packet[0] & 15) * 4 if len(packet) >= IPV4_HEADER_SIZE else LARGEST
            if len(packet) < size:
                return None
            return Arrival(packet[size:], packet[12:16], packet[16:20], packet[1], packet[8])
        octets, ancillary, _, sender = self._esp.recvmsg(LARGEST, 256)
        told = {kind: data for level, kind, data in ancillary if level == _IPV6}
        try:
            destination = _IPV6_INFO.unpack(told[socket.IPV6_PKTINFO])[0]
            (traffic_class,) = _INTEGER.unpack(told[socket.IPV6_TCLASS])
            (hop_limit,) = _INTEGER.unpack(told[socket.IPV6_HOPLIMIT])
        except (KeyError, struct.error):
            return None
        source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
        return Arrival(octets, source, destination, traffic_class, hop_limit)

    def send(
        self,
        octets: bytes,
        source: bytes,
        destination: str,
        traffic_class: int,
        hop_limit: int | None = None,
        *,
        may_fragment: bool = False,
    ) -> bool:
        """Send an ESP packet; `may_fragment` lets routers cut it, too (IPv4 without DF).

        Without `hop_limit` it is the host's usual one.
        """
        ancillary = _ancillary(self._version, source, traffic_class, hop_limit)
        cutting = _DONT if may_fragment else _WANT
        if cutting != self._cutting and self._version == IPV4:
            self._esp.setsockopt(_IP, _IP_MTU_DISCOVER, cutting)
            self._cutting = cutting
        try:
            self._esp.sendmsg([octets], ancillary, 0, (destination, 0))
        except OSError:
            return False
        return True

    def send_whole(self, packet: bytes) -> bool:
        """Send an IP packet as it is, in clear."""
        at, size = (16, 4) if self._version == IPV4 else (24, 16)
        family = self._whole.family
        destination = socket.inet_ntop(family, packet[at : at + size])
        try:
            self._whole.sendto(packet, (destination, 0))
        except OSError:
            return False
        return True

    def path_mtu(self, destination: str) -> int | None:
        """The MTU of the path to an address as far as the kernel knows, None without a route."""
        option = (_IP, _IP_MTU) if self._version == IPV4 else (_IPV6, _IPV6_MTU)
        try:
            self._probe.connect((destination, DISCARD))
            return self._probe.getsockopt(*option)
        except OSError:
            return None

    def close(self) -> None:
        """Close the sockets; closing twice is fine."""
        for sock in (self._esp, self._whole, self._probe):
            sock.close()


def _exempt(family: socket.AddressFamily, kind: int, protocol: int) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        exempt(sock)
    except OSError:
        sock.close()
        raise
    return sock


@lru_cache(maxsize=1024)
def _ancillary(version: int, source: bytes, traffic_class: int, hop_limit: int | None) -> Ancillary:
    """What tells the kernel of the outer header; the same for nearly every packet of an SA."""
    told: Ancillary
    if version == IPV4:
        told = [(_IP, _IP_PKTINFO, _IPV4_INFO.pack(0, source, bytes(4)))]
        told.append((_IP, socket.IP_TOS, _INTEGER.pack(traffic_class)))
        if hop_limit is not None:
            told.append((_IP, socket.IP_TTL, _INTEGER.pack(hop_limit)))
    else:
        told = [(_IPV6, socket.IPV6_PKTINFO, _IPV6_INFO.pack(source, 0))]
        told.append((_IPV6, socket.IPV6_TCLASS, _INTEGER.pack(traffic_class)))
        if hop_limit is not None:
            told.append((_IPV6, socket.IPV6_HOPLIMIT, _INTEGER.pack(hop_limit)))
    return told
