# SPDX-License-Identifier: GPL-2.0-or-later
"""CHILD_SAs: the value that a data plane installs, and what an IKE SA remembers about each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from harness.ike.keys import DirectionKeys
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.v2.collisions import Collision
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.suites import Suite

SPI_SIZE = 4
MOST_EARLY_DELETES = 16
FIRST_FREE_SPI = 256
"""SPIs below are reserved (RFC 4303 2.1)."""


@dataclass(frozen=True, slots=True)
class ChildSa:
    """A pair of ESP SAs. SPIs have 4 octets; `initiator` tells which end began its exchange.

    `encapsulated` says that a NAT makes ESP travel in UDP (RFC 3948).
    """

    name: str
    inbound_spi: bytes
    outbound_spi: bytes
    suite: Suite
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool
    inbound: DirectionKeys
    outbound: DirectionKeys
    initiator: bool
    encapsulated: bool = False


class ChildState(Enum):
    """What is being done with a CHILD_SA (RFC 7296 2.25.1)."""

    INSTALLED = "installed"
    REKEYING = "rekeying"
    REKEYED = "rekeyed"
    CLOSING = "closing"


@dataclass(slots=True)
class ChildRecord:
    """A CHILD_SA of an IKE SA, its state, and the SA that took its place where one did.

    `rekey_at` and `expires_at` are instants, `held` says that outbound traffic does not use it
    yet.
    """

    sa: ChildSa
    config: ChildConfig
    state: ChildState = ChildState.INSTALLED
    replacement: bytes | None = None
    rekey_at: float | None = None
    expires_at: float | None = None
    held: bool = False
    collision: Collision | None = None


class ChildTable:
    """The CHILD_SAs of one IKE SA by either SPI."""

    def __init__(self) -> None:
        self._by_inbound: dict[bytes, ChildRecord] = {}
        self._by_outbound: dict[bytes, ChildRecord] = {}
        self._deleted_early: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._by_inbound)

    def __iter__(self) -> Iterator[ChildRecord]:
        return iter(tuple(self._by_inbound.values()))

    def add(self, record: ChildRecord) -> None:
        """Take a CHILD_SA in."""
        self._by_inbound[record.sa.inbound_spi] = record
        self._by_outbound[record.sa.outbound_spi] = record

    def remove(self, record: ChildRecord) -> None:
        """Forget a CHILD_SA; nothing happens where it is not there."""
        self._by_inbound.pop(record.sa.inbound_spi, None)
        if self._by_outbound.get(record.sa.outbound_spi) is record:
            del self._by_outbound[record.sa.outbound_spi]

    def inbound(self, spi: bytes) -> ChildRecord | None:
        """The one that we receive on with that SPI."""
        return self._by_inbound.get(spi)

    def outbound(self, spi: bytes) -> ChildRecord | None:
        """The one that the peer receives on with that SPI, which is how it names it."""
        return self._by_outbound.get(spi)

    def note_early_delete(self, outbound_spi: bytes) -> None:
        """Remember that the peer closed an SA before its answer said that it made it.

        The window lets one of our requests run, so that a few SPIs are all there can be.
        """
        if len(self._deleted_early) < MOST_EARLY_DELETES:
            self._deleted_early.add(outbound_spi)

    def deleted_early(self, outbound_spi: bytes) -> bool:
        """Whether the peer closed it while our request ran; what was remembered is forgotten."""
        found = outbound_spi in self._deleted_early
        self._deleted_early.clear()
        return found

    @property
    def spis(self) -> frozenset[bytes]:
        """Every inbound SPI."""
        return frozenset(self._by_inbound)
