# SPDX-License-Identifier: GPL-2.0-or-later
"""The pcapng file format (draft-ietf-opsawg-pcapng), as far as a capture of the lab needs it.

Written files are little-endian, of one section, with time stamps in nanoseconds, and hold nothing
but what the caller gave: no host, system, application or date.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
OBSOLETE_PACKET = 2
SIMPLE_PACKET = 3
ENHANCED_PACKET = 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D

OPT_END, OPT_COMMENT = 0, 1
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET = 2, 3, 9, 14
EPB_FLAGS = 2
LINKTYPE_ETHERNET = 1

# Larger than any block of a sane capture; what claims more is damaged.
LARGEST_BLOCK = 1 << 24

_LITTLE_ENDIAN = struct.pack("<I", BYTE_ORDER_MAGIC)
_EPB = struct.Struct("<7I")
_U32 = struct.Struct("<I")
_PAD = (b"", b"\0\0\0", b"\0\0", b"\0")


class Direction(IntEnum):
    """Which way a frame passed its interface, as the epb_flags option has it."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True)
class Interface:
    """What a capture says of an interface; `resolution` is in time stamp units a second."""

    name: str
    description: str
    link_type: int
    resolution: int = 10**6
    offset: int = 0


class Packet(NamedTuple):
    """A packet of a capture; `interface` is an index, `time_ns` counts from the epoch.

    `missing` is how many octets of it were not recorded. A tuple, because a capture may have a
    million of them.
    """

    interface: int
    time_ns: int
    data: bytes
    direction: Direction
    comment: str
    missing: int = 0


@dataclass(frozen=True)
class Capture:
    """What could be read of a file; `problem` is one sentence when that is not all of it."""

    interfaces: tuple[Interface, ...]
    packets: tuple[Packet, ...]
    problem: str | None


# -- writing ----------------------------------------------------------------------------------


def option(code: int, value: bytes) -> bytes:
    """Return one option, padded to 32 bits."""
    return struct.pack("<HH", code, len(value)) + value + _PAD[len(value) % 4]


def packet_options(direction: Direction, comment: str = "") -> bytes:
    """Return the options of a packet; they are the same for many, so make them once."""
    options = option(OPT_COMMENT, comment.encode()[:65535]) if comment else b""
    if direction:
        options += option(EPB_FLAGS, _U32.pack(direction))
    return options + option(OPT_END, b"") if options else b""


def section_header() -> bytes:
    """Return the block that a file begins with."""
    return _block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1))


def interface_description(name: str, description: str) -> bytes:
    """Return the block that says what the next interface index is: Ethernet, in nanoseconds."""
    options = option(IF_NAME, name.encode())
    if description:
        options += option(IF_DESCRIPTION, description.encode())
    options += option(IF_TSRESOL, b"\x09") + option(OPT_END, b"")
    return _block(INTERFACE_DESCRIPTION, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, 0) + options)


def enhanced_packet(interface: int, time_ns: int, data: bytes, options: bytes) -> bytes:
    """Return the block for one packet; `options` are from `packet_options`."""
    size = len(data)
    pad = _PAD[size % 4]
    total = 32 + size + len(pad) + len(options)
    header = _EPB.pack(
        ENHANCED_PACKET, total, interface, time_ns >> 32, time_ns & 0xFFFFFFFF, size, size
    )
    return b"".join((header, data, pad, options, _U32.pack(total)))


def _block(kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


# -- reading ----------------------------------------------------------------------------------


class _Damaged(Exception):
    """What cannot be read, as half a sentence."""


@dataclass
class _Section:
    """The byte order and the interfaces of the section that is being read."""

    order: str
    first: int
    interfaces: list[Interface] = field(default_factory=list)


def read(path: Path) -> Capture:
    """Return what the file at `path` holds, as far as it can be read; raises OSError."""
    return parse(path.read_bytes())


def parse(data: bytes) -> Capture:
    """Return what `data` holds. Damage never raises: what comes before it is returned."""
    interfaces: list[Interface] = []
    packets: list[Packet] = []
    section: _Section | None = None
    offset = 0
    try:
        while offset < len(data) or section is None:
            kind, body, order = _block_at(data, offset, section.order if section else "")
            if kind == SECTION_HEADER or section is None:
                section = _Section(order, len(interfaces))
            elif kind == INTERFACE_DESCRIPTION:
                section.interfaces.append(_interface(body, order))
                interfaces.append(section.interfaces[-1])
            elif kind == ENHANCED_PACKET:
                packets.append(_enhanced(body, section))
            elif kind == OBSOLETE_PACKET:
                packets.append(_obsolete(body, section))
            elif kind == SIMPLE_PACKET:
                packets.append(_simple(body, section))
            offset += len(body) + 12
    except _Damaged as damage:
        place = f"after packet {len(packets)} (byte {offset})"
        return Capture(
            tuple(interfaces), tuple(packets), f"the capture is damaged {place}: {damage}"
        )
    return Capture(tuple(interfaces), tuple(packets), None)


def _block_at(data: bytes, offset: int, order: str) -> tuple[int, bytes, str]:
    """Return type, body and byte order of the block at `offset`, which is a section's if first.

    `order` is that of the section so far, empty before the first one.
    """
    if len(data) - offset < 12:
        raise _Damaged("it ends within a block" if data else "it is empty")
    kind, total = struct.unpack_from(order + "II", data, offset)
    if kind != SECTION_HEADER and not order:
        raise _Damaged("it does not begin with a section header")
    if kind == SECTION_HEADER:
        magic = data[offset + 8 : offset + 12]
        if magic not in (_LITTLE_ENDIAN, _LITTLE_ENDIAN[::-1]):
            raise _Damaged("a section header has no byte order")
        order = "<" if magic == _LITTLE_ENDIAN else ">"
        total = struct.unpack_from(order + "I", data, offset + 4)[0]
    if total < 12 or total % 4 or total > LARGEST_BLOCK:
        raise _Damaged(f"a block claims {total} bytes")
    if offset + total > len(data):
        raise _Damaged("it ends within a block")
    if struct.unpack_from(order + "I", data, offset + total - 4)[0] != total:
        raise _Damaged("a block's two lengths differ")
    return kind, data[offset + 8 : offset + total - 4], order


def _options(body: bytes, offset: int, order: str) -> Iterator[tuple[int, bytes]]:
    while offset + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, offset)
        if code == OPT_END:
            return
        if offset + 4 + size > len(body):
            raise _Damaged("an option reaches past its block")
        yield code, body[offset + 4 : offset + 4 + size]
        offset += 4 + size + (-size % 4)


def _interface(body: bytes, order: str) -> Interface:
    if len(body) < 8:
        raise _Damaged("an interface description is too short")
    link_type = struct.unpack_from(order + "H", body)[0]
    name, description, resolution, offset = "", "", 10**6, 0
    for code, value in _options(body, 8, order):
        if code == IF_NAME:
            name = value.decode(errors="replace")
        elif code == IF_DESCRIPTION:
            description = value.decode(errors="replace")
        elif code == IF_TSRESOL and len(value) == 1:
            power = value[0] & 0x7F
            resolution = 2**power if value[0] & 0x80 else 10**power
        elif code == IF_TSOFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
    return Interface(name, description, link_type, resolution, offset)


def _enhanced(body: bytes, section: _Section) -> Packet:
    if len(body) < 20:
        raise _Damaged("a packet block is too short")
    index, high, low, size, original = struct.unpack_from(section.order + "5I", body)
    if index >= len(section.interfaces):
        raise _Damaged(f"a packet is of interface {index}, which is not described")
    if 20 + size > len(body):
        raise _Damaged(f"a packet claims {size} bytes, more than its block")
    interface = section.interfaces[index]
    direction, comment = Direction.UNKNOWN, ""
    for code, value in _options(body, 20 + size + (-size % 4), section.order):
        if code == EPB_FLAGS and len(value) == 4:
            bits = struct.unpack(section.order + "I", value)[0] & 3
            direction = Direction(bits) if bits < 3 else Direction.UNKNOWN
        elif code == OPT_COMMENT:
            comment = value.decode(errors="replace")
    stamp = (high << 32 | low) * 10**9 // interface.resolution + interface.offset * 10**9
    data, missing = body[20 : 20 + size], max(original - size, 0)
    return Packet(section.first + index, stamp, data, direction, comment, missing)


def _obsolete(body: bytes, section: _Section) -> Packet:
    """A Packet Block, as was written before 2009: an index of 16 bits, and 16 for losses."""
    if len(body) < 20:
        raise _Damaged("a packet block is too short")
    (index,) = struct.unpack_from(section.order + "H", body)
    return _enhanced(struct.pack(section.order + "I", index) + body[4:], section)


def _simple(body: bytes, section: _Section) -> Packet:
    if len(body) < 4 or not section.interfaces:
        raise _Damaged("a simple packet block has no length or no interface")
    original = struct.unpack_from(section.order + "I", body)[0]
    size = min(original, len(body) - 4)
    data = body[4 : 4 + size]
    return Packet(section.first, 0, data, Direction.UNKNOWN, "", original - size)
