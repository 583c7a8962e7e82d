# SPDX-License-Identifier: GPL-2.0-or-later
"""The classic pcap file format: every magic number that has been written since 1998."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType

from harness.capture.pcapng import LARGEST_BLOCK, Capture, Direction, Interface, Packet

# Magic number: units in a second, octets that a packet's header has beyond 16.
_MAGICS: Mapping[int, tuple[int, int]] = MappingProxyType(
    {
        0xA1B2C3D4: (10**6, 0),
        0xA1B23C4D: (10**9, 0),
        0xA1B2CD34: (10**6, 8),  # Kuznetzov's, of old Linux
    }
)
_HEADER_SIZE = 24


def is_pcap(data: bytes) -> bool:
    """Whether the file begins as a classic capture does."""
    return _order(data) != ""


def _order(data: bytes) -> str:
    for order in "<>":
        if len(data) >= 4 and struct.unpack(order + "I", data[:4])[0] in _MAGICS:
            return order
    return ""


def parse(data: bytes) -> Capture:
    """Return what `data` holds. Damage never raises: what comes before it is returned."""
    order = _order(data)
    if not order:
        return Capture((), (), "the capture is damaged: it does not begin with pcap's magic number")
    if len(data) < _HEADER_SIZE:
        return Capture((), (), "the capture is damaged: it ends within its header")
    magic, _, _, _, _, _, link = struct.unpack_from(order + "IHHiIII", data)
    units, extra = _MAGICS[magic]
    # The upper half of the link type says how long a frame check sequence is.
    interfaces = (Interface("", "", link & 0xFFFF, units),)
    record = struct.Struct(f"{order}IIII{extra}x")
    packets: list[Packet] = []
    at, problem = _HEADER_SIZE, None
    while at < len(data):
        place = f"after packet {len(packets)} (byte {at})"
        if at + record.size > len(data):
            problem = f"the capture is damaged {place}: it ends within a packet's header"
            break
        seconds, fraction, size, original = record.unpack_from(data, at)
        if size > LARGEST_BLOCK:
            problem = f"the capture is damaged {place}: a packet claims {size} bytes"
            break
        start = at + record.size
        at = start + size
        if at > len(data):
            problem = f"the capture is damaged {place}: it ends within a packet"
            break
        time_ns = seconds * 10**9 + fraction * (10**9 // units)
        missing = max(original - size, 0)
        packets.append(Packet(0, time_ns, data[start:at], Direction.UNKNOWN, "", missing))
    return Capture(interfaces, tuple(packets), problem)
