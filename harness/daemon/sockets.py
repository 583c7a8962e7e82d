# SPDX-License-Identifier: GPL-2.0-or-later
"""The UDP sockets of IKE: ports 500 and 4500, IPv4 and IPv6, each datagram with its own address."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from harness.daemon.exemption import exempt
from harness.ike.address import IKE_PORT, NAT_PORT, Address, Datagram

Arrived = Callable[[bytes, Address, Address, int], None]
"""Takes a UDP payload, where it came from and where it arrived, and the traffic class it had."""

_LARGEST = 65_535
_AT_ONCE = 64
"""Datagrams that are read before anything else of the loop has its turn."""
_UDP_ENCAP, _ESP_IN_UDP = 100, 2
_IP_PKTINFO = 8
_SO_RCVBUFFORCE, _RECEIVE_BUFFER = 33, 4 << 20
_CONTROL = socket.CMSG_SPACE(20) + socket.CMSG_SPACE(4)
_IP_TOS, _IP_RECVTOS = 1, 13
_TRAFFIC_CLASS = ((socket.IPPROTO_IP, _IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS))
_NOT_THERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_LIBC = ctypes.CDLL(None, use_errno=True)


class SocketError(Exception):
    """The sockets of IKE cannot be had; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class _Bound:
    sock: socket.socket
    host: str
    port: int
    everywhere: bool


class Sockets:
    """Every UDP socket of a daemon; made without waiting, used by one loop."""

    def __init__(self, bound: Sequence[_Bound], probes: Sequence[socket.socket]) -> None:
        self._bound = tuple(bound)
        self._probes = tuple(probes)
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, arrived: Arrived) -> None:
        """Give every datagram from now on to `arrived`, on the running loop."""
        self._loop = asyncio.get_running_loop()
        for bound in self._bound:
            self._loop.add_reader(bound.sock, self._read, bound, arrived)

    def send(self, datagram: Datagram, traffic_class: int = 0) -> None:
        """Send from the address and port that the datagram names; raises `OSError`.

        `traffic_class` is DSCP and ECN of the IP header.
        """
        source, destination = datagram.source, datagram.destination
        family = socket.AF_INET6 if ":" in destination.host else socket.AF_INET
        for bound in self._bound:
            if bound.port != source.port or bound.sock.family != family:
                continue
            if bound.everywhere or bound.host == source.host:
                control = _from(source.host, traffic_class)
                bound.sock.sendmsg([datagram.data], control, 0, destination)
                return
        raise OSError(errno.EADDRNOTAVAIL, f"no socket is for {source.host} port {source.port}")

    def own_address(self, remote: Address) -> Address:
        """The own address from which packets go to a remote one; raises `OSError`."""
        version = ip_address(remote.host).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        for probe in self._probes:
            if probe.family == family:
                # Without this it would keep the source of the first address it was for.
                _disconnect(probe)
                probe.connect(remote)
                return Address(probe.getsockname()[0], IKE_PORT)
        raise OSError(errno.EAFNOSUPPORT, f"there is no IPv{version} here")

    def close(self) -> None:
        """Close them all; nothing is read any more."""
        for bound in self._bound:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(bound.sock)
            bound.sock.close()
        for probe in self._probes:
            probe.close()

    def _read(self, bound: _Bound, arrived: Arrived) -> None:
        for _ in range(_AT_ONCE):
            try:
                octets, control, _, source = bound.sock.recvmsg(_LARGEST, _CONTROL)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about something that was sent: the engine repeats, or gives up.
                continue
            host, traffic_class = _told(tuple(control))
            here = Address(host or bound.host, bound.port)
            arrived(octets, Address(source[0], source[1]), here, traffic_class)


def open_sockets(listen: Sequence[str] = (), *, kernel_esp: bool) -> Sockets:
    """Sockets in the network namespace that the calling thread is in; raises `SocketError`.

    `listen` are addresses to bind to, none for all. With `kernel_esp` the kernel takes ESP out of
    UDP on port 4500 by itself.
    """
    with contextlib.ExitStack() as undo:
        bound = []
        for host in listen or ("0.0.0.0", "::"):
            for port in (IKE_PORT, NAT_PORT):
                sock = _open(host, port, kernel_esp, may_lack=not listen)
                if sock is not None:
                    undo.callback(sock.close)
                    bound.append(_Bound(sock, host, port, ip_address(host).is_unspecified))
        if not bound:
            raise SocketError("there is neither IPv4 nor IPv6 here: IKE needs one of them")
        probes = [undo.enter_context(probe) for probe in _probes()]
        undo.pop_all()
        return Sockets(bound, probes)


def _open(host: str, port: int, kernel_esp: bool, *, may_lack: bool) -> socket.socket | None:
    family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        if may_lack and error.errno in _NOT_THERE:
            return None
        raise SocketError(f"a socket for {host} cannot be made: {error.strerror}") from error
    try:
        sock.setblocking(False)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        exempt(sock)
        if kernel_esp and port == NAT_PORT:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
        elif port == NAT_PORT:
            # All the ESP of a NAT's other side comes through here.
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if may_lack and error.errno in _NOT_THERE:
            return None
        raise SocketError(_sentence(host, port, error)) from error
    return sock


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"UDP port {port} of {host} is in use: end the other IKE daemon first"
    if error.errno == errno.EPERM:
        return f"UDP port {port} of {host} needs the administrator of the network: run as root"
    return f"UDP port {port} of {host} cannot be used: {error.strerror}"


def _probes() -> Iterable[socket.socket]:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            yield socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _disconnect(probe: socket.socket) -> None:
    """Let a socket forget which address it is connected to, and from which."""
    nowhere = struct.pack("=H14x", socket.AF_UNSPEC)
    if _LIBC.connect(probe.fileno(), nowhere, len(nowhere)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@lru_cache(maxsize=1024)
def _from(host: str, traffic_class: int) -> list[tuple[int, int, bytes]]:
    """The control messages that make a datagram leave from an address, with a traffic class."""
    packed = ip_address(host).packed
    if len(packed) == 4:
        told = [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4x", 0, packed))]
        kind = (socket.IPPROTO_IP, _IP_TOS)
    else:
        told = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16sI", packed, 0))]
        kind = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
    return [*told, (*kind, struct.pack("=i", traffic_class))] if traffic_class else told


@lru_cache(maxsize=1024)
def _told(control: tuple[tuple[int, int, bytes], ...]) -> tuple[str | None, int]:
    """Where a datagram arrived, and the traffic class that it had."""
    host, traffic_class = None, 0
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            host = socket.inet_ntop(socket.AF_INET, data[8:12])
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            host = socket.inet_ntop(socket.AF_INET6, data[:16])
        elif (level, kind) in _TRAFFIC_CLASS:
            # One octet of IPv4, an int of IPv6.
            traffic_class = int.from_bytes(data, sys.byteorder)
    return host, traffic_class
