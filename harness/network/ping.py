# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMP echo from a node (RFC 792, RFC 4443), without a program."""

import asyncio
import os
import socket
import struct
import time
from dataclasses import dataclass

from harness.network.node import Node

ECHO, ECHO_REPLY = 8, 0
ECHO_V6, ECHO_REPLY_V6 = 128, 129
_HEADER = struct.Struct("!BBHHH")


@dataclass(frozen=True)
class Pings:
    """What became of echo requests; `rtts` in seconds, one for each reply, in order."""

    sent: int
    received: int
    rtts: tuple[float, ...]
    refused: tuple[str, ...]


async def ping(
    node: Node,
    address: str,
    *,
    count: int = 1,
    deadline: float = 1.0,
    size: int = 56,
    source: str | None = None,
    identifier: int = 1,
) -> Pings:
    """Send echo requests to `address`, one after the other, and return what was answered.

    Each has `deadline` seconds, and the next one goes when the last one is answered or given up.
    `size` is that of the data in bytes. Pings of one node at one time need different identifiers.
    A request that the node's own kernel refuses is in `refused`, with the reason.
    """
    version = 6 if ":" in address else 4
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP)
        if version == 4
        else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    rtts: list[float] = []
    refused: list[str] = []
    with node.socket(family, socket.SOCK_RAW, protocol) as sock:
        if source is not None:
            sock.bind((source, 0))
        for sequence in range(1, count + 1):
            started = time.monotonic()
            try:
                sock.sendto(_request(version, identifier, sequence, size), (address, 0))
            except OSError as error:
                refused.append(os.strerror(error.errno or 0))
                continue
            if await _answered(sock, version, identifier, sequence, deadline):
                rtts.append(time.monotonic() - started)
    return Pings(count, len(rtts), tuple(rtts), tuple(refused))


async def _answered(
    sock: socket.socket, version: int, identifier: int, sequence: int, deadline: float
) -> bool:
    loop = asyncio.get_running_loop()
    expected = (ECHO_REPLY if version == 4 else ECHO_REPLY_V6, 0, identifier, sequence)
    try:
        async with asyncio.timeout(deadline):
            while True:
                data = await loop.sock_recv(sock, 65536)
                # A raw IPv4 socket gives the IP header too.
                offset = (data[0] & 0x0F) * 4 if version == 4 else 0
                if len(data) >= offset + _HEADER.size:
                    kind, code, _, its_identifier, its_sequence = _HEADER.unpack_from(data, offset)
                    if (kind, code, its_identifier, its_sequence) == expected:
                        return True
    except TimeoutError:
        return False


def _request(version: int, identifier: int, sequence: int, size: int) -> bytes:
    data = bytes(number & 0xFF for number in range(size))
    kind = ECHO if version == 4 else ECHO_V6
    # The kernel fills in the checksum of ICMPv6, which covers addresses, and not of ICMP.
    unsummed = _HEADER.pack(kind, 0, 0, identifier, sequence) + data
    checksum = internet_checksum(unsummed) if version == 4 else 0
    return _HEADER.pack(kind, 0, checksum, identifier, sequence) + data


def internet_checksum(data: bytes) -> int:
    """Return the Internet checksum of `data` (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
