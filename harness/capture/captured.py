# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames as a decryptor takes them, whether from a running lab or from anybody's capture file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.capture import pcap, pcapng
from harness.capture.collecting import no_garbage
from harness.capture.link_layers import ETHERNET, is_known
from harness.capture.pcapng import Direction
from harness.capture.recording import Frame

_SECTION = pcapng.SECTION_HEADER.to_bytes(4, "big")
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"\x28\xb5\x2f\xfd": "unzstd",
    b"\xfd7zX": "unxz",
    b"\x04\x22\x4d\x18": "unlz4",
}
_ENDS = re.compile(r"outbound (\S+) to (\S+), inbound back")

_LATE = re.compile(r"frame ([0-9]{1,9}), (?:delayed|held)")


class CapturedFrame(NamedTuple):
    """A frame; a tuple, because there is one for each frame of a capture.

    `number` counts from 1, as Wireshark does. `wire` is the interface's name. `sender` and
    `receiver` are nodes, empty where the capture does not say. `time_ns` is from the epoch.
    `comment` is what the wire did to the frame. `late_of` is the number of the frame that the wire
    kept back and delivers now, 0 for all others. `missing` is how many octets of it the capture
    lacks.
    """

    number: int
    wire: str
    sender: str
    receiver: str
    time_ns: int
    data: bytes
    link_type: int = ETHERNET
    comment: str = ""
    late_of: int = 0
    missing: int = 0


class Captured(NamedTuple):
    """The frames of a capture; `problems` has a sentence for each part that could not be read."""

    frames: tuple[CapturedFrame, ...]
    problems: tuple[str, ...]


def of_recording(frames: Iterable[Frame]) -> tuple[CapturedFrame, ...]:
    """The frames of a lab's recording; numbers are kept."""
    return tuple(
        CapturedFrame(
            one.number,
            one.wire,
            one.sender,
            one.receiver,
            one.time_ns,
            one.data,
            ETHERNET,
            one.fault,
            _late_of(one.fault),
        )
        for one in frames
    )


def _late_of(comment: str) -> int:
    """The frame whose late delivery this is, as the lab's wires note it."""
    late = _LATE.match(comment)
    return int(late.group(1)) if late else 0


def load(path: Path) -> Captured:
    """The frames in a pcapng or pcap file, as far as it can be read; raises OSError."""
    return parse(path.read_bytes())


def parse(data: bytes) -> Captured:
    """The frames in the octets of a pcapng or pcap file; never raises."""
    with no_garbage():
        return _parse(data)


def _foreign(data: bytes) -> str:
    """What is wrong with a file that begins as neither format does; empty for one that does."""
    begins = data[:4]
    for magic, unpacks in _COMPRESSED.items():
        if begins.startswith(magic):
            return f"the capture is compressed; unpack it with {unpacks} first"
    if pcap.is_pcap(data) or _SECTION.startswith(begins):
        return ""
    return (
        f"the file is no capture: it begins with {begins.hex(' ')}, as neither pcap nor pcapng does"
    )


def _parse(data: bytes) -> Captured:
    if not data:
        return Captured((), ("the capture is empty",))
    foreign = _foreign(data)
    if foreign:
        return Captured((), (foreign,))
    reader = pcap.parse if pcap.is_pcap(data) else pcapng.parse
    capture = reader(data)
    problems = [] if capture.problem is None else [capture.problem]
    unknown = sorted({one.link_type for one in capture.interfaces if not is_known(one.link_type)})
    if unknown:
        numbers = ", ".join(str(one) for one in unknown)
        problems.append(f"link type {numbers} is unknown: its frames are listed, but not read")
    names = []
    for index, interface in enumerate(capture.interfaces):
        ends = _ENDS.fullmatch(interface.description)
        name = interface.name or f"interface {index}"
        names.append((name, ends.groups() if ends else ("", ""), interface.link_type))
    frames = []
    for number, packet in enumerate(capture.packets, 1):
        name, (first, second), link_type = names[packet.interface]
        if packet.direction is Direction.INBOUND:
            first, second = second, first
        elif packet.direction is Direction.UNKNOWN:
            first = second = ""
        frames.append(
            CapturedFrame(
                number,
                name,
                first,
                second,
                packet.time_ns,
                packet.data,
                link_type,
                packet.comment,
                _late_of(packet.comment),
                packet.missing,
            )
        )
    cut = [one for one in frames if one.missing]
    if cut:
        size = len(cut[0].data)
        problems.append(
            f"of {len(cut)} packets only the first octets were recorded, {size} of the "
            f"{size + cut[0].missing} of packet {cut[0].number}: record with tcpdump -s 0"
        )
    return Captured(tuple(frames), tuple(problems))
