# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals, and the walk over the transforms in them, which both versions nest in the same way.

Each proposal and transform starts like a payload: what follows (2 or 3: another one; 0: it is the
last), a reserved octet, its length. The length of what encloses them decides where the list ends;
the first octet is only compared with what it should be and kept where it differs, so that no
octet is lost and a receiver can still refuse it (RFC 2408 3.5 and 3.6, RFC 7296 3.3.1 and 3.3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Generic, TypeVar

from harness.ike.malformed import Malformed

MORE_TRANSFORMS = 3
_MORE_PROPOSALS = 2
_LENGTH = Struct(">H")
_HEAD = Struct(">BBHBBBB")
_RFC_PROPOSAL = "2408 3.5, 7296 3.3.1"
_RFC_TRANSFORM = "2408 3.6, 7296 3.3.2"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proposal(Generic[T]):
    """One numbered choice of a protocol, with its SPI and transforms.

    In IKEv1 proposals of equal number belong together (ESP with IPComp); in IKEv2 a number is one
    alternative. `following` (2 or 0), `length`, `spi_size` and `transform_count` are computed
    where None; a number forges them, and a decoder sets those that differ from what it counted.
    """

    number: int
    protocol: int
    spi: bytes = b""
    transforms: tuple[T, ...] = ()
    following: int | None = None
    reserved: int = 0
    length: int | None = None
    spi_size: int | None = None
    transform_count: int | None = None


def encode_proposals(
    proposals: tuple[Proposal[T], ...], encode_transform: Callable[[T, bool], bytes]
) -> bytes:
    """The octets of the proposals, one after the other.

    `encode_transform` writes one transform; its second argument says whether another follows.
    """
    out = bytearray()
    for position, proposal in enumerate(proposals, 1):
        last = len(proposal.transforms)
        transforms = b"".join(
            encode_transform(transform, place < last)
            for place, transform in enumerate(proposal.transforms, 1)
        )
        out += _HEAD.pack(
            chosen(proposal.following, _MORE_PROPOSALS if position < len(proposals) else 0),
            proposal.reserved,
            chosen(proposal.length, 8 + len(proposal.spi) + len(transforms)),
            proposal.number,
            proposal.protocol,
            chosen(proposal.spi_size, len(proposal.spi)),
            chosen(proposal.transform_count, last),
        )
        out += proposal.spi
        out += transforms
    return bytes(out)


def decode_proposals(
    data: bytes, start: int, end: int, decode_transform: Callable[[bytes, bool], T]
) -> tuple[Proposal[T], ...]:
    """The proposals in `data[start:end]`, which they must fill; raises `Malformed`.

    `decode_transform` reads one transform of exactly the octets that it is given.
    """
    found = []
    for at, stop in _walk(data, start, end, "proposal", _RFC_PROPOSAL):
        following, reserved, _, number, protocol, spi_size, count = _HEAD.unpack_from(data, at)
        inner = at + 8 + spi_size
        if inner > stop:
            raise Malformed(
                f"SPI size {spi_size}", at + 6, f"at most {stop - at - 8}", _RFC_PROPOSAL
            )
        transforms = []
        for low, high in _walk(data, inner, stop, "transform", _RFC_TRANSFORM):
            try:
                transforms.append(decode_transform(data[low:high], high < stop))
            except Malformed as malformed:
                raise malformed.moved(low) from None
        found.append(
            Proposal(
                number,
                protocol,
                data[at + 8 : inner],
                tuple(transforms),
                unusual(following, _MORE_PROPOSALS if stop < end else 0),
                reserved,
                None,
                None,
                unusual(count, len(transforms)),
            )
        )
    return tuple(found)


def unusual(value: int, usual: int) -> int | None:
    """None where the value on the wire is the one that an encoder computes, else the value."""
    return None if value == usual else value


def chosen(value: int | None, usual: int) -> int:
    """The value to write: the one that was asked for, else the computed one."""
    return usual if value is None else value


def _walk(data: bytes, start: int, end: int, what: str, rfc: str) -> Iterator[tuple[int, int]]:
    """Start and end of each substructure in `data[start:end]`; each has at least eight octets."""
    at = start
    while at < end:
        room = end - at
        if room < 8:
            raise Malformed(f"a {what} of {room} octets", at, "at least eight octets", rfc)
        length: int = _LENGTH.unpack_from(data, at + 2)[0]
        if not 8 <= length <= room:
            raise Malformed(f"a {what} with length {length}", at, f"8 to {room} octets", rfc)
        yield at, at + length
        at += length
