# SPDX-License-Identifier: GPL-2.0-or-later
"""SPIs that are not in use yet."""

from __future__ import annotations

from collections.abc import Container

from harness.ike.chance import Draw, Purpose
from harness.ike.v2.child_sa import FIRST_FREE_SPI, SPI_SIZE

_TRIES = 8


class SpiBook:
    """Draws SPIs and knows which of them CHILD_SAs receive on."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._children: set[bytes] = set()

    def new_ike_spi(self, used: Container[bytes]) -> bytes:
        """Eight octets that are not zero and not in `used`."""
        return self._free(Purpose.IKE_SPI, 8, 1, used)

    def new_child_spi(self) -> bytes:
        """Four octets from 256 on that no CHILD_SA receives on (RFC 4303 2.1)."""
        return self._free(Purpose.CHILD_SPI, SPI_SIZE, FIRST_FREE_SPI, self._children)

    def take(self, spi: bytes) -> None:
        """A CHILD_SA receives on it."""
        self._children.add(spi)

    def drop(self, spi: bytes) -> None:
        """No CHILD_SA receives on it any more."""
        self._children.discard(spi)

    def _free(self, purpose: Purpose, size: int, least: int, used: Container[bytes]) -> bytes:
        for _ in range(_TRIES):
            spi = self._draw(purpose, size)
            if int.from_bytes(spi, "big") >= least and spi not in used:
                return spi
        # A source that repeats itself on purpose must not keep the engine here: count on from it.
        number = max(int.from_bytes(self._draw(purpose, size), "big"), least)
        while number.to_bytes(size, "big") in used:
            number = number + 1 if number + 1 < 256**size else least
        return number.to_bytes(size, "big")
