# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragmented IP packets, put together again (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass, field

LARGEST_PACKET = 65535
MOST_PENDING = 1024
"""Packets that may wait for their pieces; the oldest is given up for one more."""

_FRAGMENT_HEADER = 44
_SKIPPED = (0, 43, 60)

Key = tuple[str, bytes]


@dataclass(slots=True)
class _Pending:
    pieces: dict[int, bytes] = field(default_factory=dict)
    headers: bytes = b""
    size: int = -1
    frames: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Whole:
    """A packet that is complete, without a trace of fragmentation, and the frames it came in."""

    packet: bytes
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    key: bytes
    headers: bytes
    offset: int
    more: bool
    data: bytes


class Reassembler:
    """Takes the pieces of IP packets, on each wire by itself, in any order."""

    def __init__(self) -> None:
        self._pending: dict[Key, _Pending] = {}

    def take(self, wire: str, frame: int, packet: bytes) -> Whole | None:
        """The whole packet, when this piece is the last that was missing."""
        piece = _ipv4_piece(packet) if packet[:1] < b"\x50" else _ipv6_piece(packet)
        if piece is None or piece.offset + len(piece.data) > LARGEST_PACKET:
            return None
        key = (wire, piece.key)
        pending = self._pending.get(key)
        if pending is None:
            if len(self._pending) >= MOST_PENDING:
                del self._pending[next(iter(self._pending))]
            pending = self._pending[key] = _Pending()
        pending.pieces.setdefault(piece.offset, piece.data)
        pending.frames.append(frame)
        if piece.offset == 0:
            pending.headers = piece.headers
        if not piece.more:
            pending.size = piece.offset + len(piece.data)
        data = _joined(pending)
        if data is None:
            return None
        del self._pending[key]
        return Whole(_with_length(pending.headers, data), tuple(pending.frames))


def _joined(pending: _Pending) -> bytes | None:
    """All data where no piece is missing and none overlaps (RFC 5722)."""
    if pending.size < 0 or not pending.headers:
        return None
    if sum(map(len, pending.pieces.values())) != pending.size:
        return None
    at, parts = 0, []
    for offset, data in sorted(pending.pieces.items()):
        if offset != at:
            return None
        parts.append(data)
        at += len(data)
    return b"".join(parts)


def _ipv4_piece(packet: bytes) -> _Piece | None:
    if len(packet) < 20:
        return None
    size, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    if not 20 <= size <= total <= len(packet):
        return None
    word = int.from_bytes(packet[6:8], "big")
    key = packet[4:6] + packet[9:10] + packet[12:20]
    headers = packet[:6] + b"\0\0" + packet[8:size]
    return _Piece(key, headers, (word & 0x1FFF) * 8, bool(word & 0x2000), packet[size:total])


def _ipv6_piece(packet: bytes) -> _Piece | None:
    end = 40 + int.from_bytes(packet[4:6], "big")
    pointer, at = 6, 40
    while at + 8 <= min(end, len(packet)):
        kind = packet[pointer]
        if kind == _FRAGMENT_HEADER:
            word = int.from_bytes(packet[at + 2 : at + 4], "big")
            headers = bytearray(packet[:at])
            headers[pointer] = packet[at]
            key = packet[at + 4 : at + 8] + packet[8:40]
            data = packet[at + 8 : end]
            return _Piece(key, bytes(headers), word & 0xFFF8, bool(word & 1), data)
        if kind not in _SKIPPED:
            return None
        pointer, at = at, at + (packet[at + 1] + 1) * 8
    return None


def _with_length(headers: bytes, data: bytes) -> bytes:
    """The packet with the length that it has now; longer than IP can say, it says 0."""
    if headers[0] >> 4 == 4:
        total = len(headers) + len(data)
        length = (total if total <= LARGEST_PACKET else 0).to_bytes(2, "big")
        return headers[:2] + length + headers[4:] + data
    size = len(headers) - 40 + len(data)
    length = (size if size <= LARGEST_PACKET else 0).to_bytes(2, "big")
    return headers[:4] + length + headers[6:] + data
