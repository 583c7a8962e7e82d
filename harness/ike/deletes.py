# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of SPIs in a Delete payload, which both versions count in the same way."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from harness.ike.malformed import Malformed
from harness.ike.proposals import chosen, unusual

_HEAD = Struct(">BBH")


class SpiList(NamedTuple):
    """Protocol, SPIs, and what a sender counted where that is not what is there."""

    protocol: int
    spis: tuple[bytes, ...]
    spi_size: int | None
    counted: int | None
    extra: bytes


def encode_spis(spis: SpiList) -> bytes:
    """Protocol, SPI size, number of SPIs, the SPIs, and whatever comes after them."""
    usual = len(spis.spis[0]) if spis.spis else 0
    head = _HEAD.pack(
        spis.protocol, chosen(spis.spi_size, usual), chosen(spis.counted, len(spis.spis))
    )
    return head + b"".join(spis.spis) + spis.extra


def decode_spis(data: bytes, start: int, end: int, rfc: str) -> SpiList:
    """The list in `data[start:end]`; raises `Malformed`.

    SPIs of no octets are not listed, however many are said to be there: IKEv2 has none for the
    IKE SA, and 65535 of them in four octets must cost nothing.
    """
    if end - start < 4:
        raise Malformed(f"{end - start} octets", start, "protocol, SPI size and count, four", rfc)
    protocol, size, count = _HEAD.unpack_from(data, start)
    at = start + 4
    stop = at + size * count
    if stop > end:
        raise Malformed(f"{count} SPIs of {size} octets", start, f"{end - at} octets in all", rfc)
    spis = tuple(data[low : low + size] for low in range(at, stop, size)) if size else ()
    return SpiList(
        protocol,
        spis,
        unusual(size, size if spis else 0),
        unusual(count, len(spis)),
        data[stop:end],
    )
