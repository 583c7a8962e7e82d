# SPDX-License-Identifier: GPL-2.0-or-later
"""The seam between key exchange and ESP: what ikelabd asks of a data plane, and what that reports.

One plane is the kernel's (NETLINK_XFRM), the other opens and seals ESP in this process on a TUN
device. Both belong to the daemon's asyncio loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.daemon.sa_pair import SaPair
from harness.ike.address import Address, Path
from harness.ike.traffic_selectors import TrafficSelector


@dataclass(frozen=True, slots=True)
class Route:
    """Traffic that a child protects: until an SA is there, a packet of it is an `Acquired`."""

    name: str
    reqid: int
    path: Path
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    transport: bool = False


@dataclass(frozen=True, slots=True)
class Acquired:
    """A packet wanted an SA that is not there: the child of that reqid must be initiated."""

    reqid: int


@dataclass(frozen=True, slots=True)
class Expired:
    """An SA has reached a lifetime; SPI of either half, in host order."""

    spi: int
    hard: bool


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """Authentic ESP in UDP came from another address: a NAT mapped anew (RFC 7296 2.23)."""

    inbound_spi: int
    remote: Address


PlaneEvent = Acquired | Expired | PeerMoved
PlaneListener = Callable[[PlaneEvent], None]


class DataPlane(Protocol):
    """Who does ESP for a daemon.

    Each method returns when what it asks for is in force, so that a message which promises it can
    be sent. An `SaPair` is known by its inbound SPI.
    """

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        """Receive on the inbound half from now on and, with `outbound`, send with the other.

        Sending switches to the newest pair of the same selectors. Raises `DataPlaneError`.
        """
        ...

    async def switch(self, inbound_spi: int) -> None:
        """Send with the outbound half that `install` was told to hold back."""
        ...

    async def retire(self, inbound_spi: int) -> None:
        """Send with a pair no more; receive what is still on its way until `remove`.

        A pair of the same selectors sends from now on, and where there is none their traffic
        waits for one.
        """
        ...

    async def remove(self, inbound_spi: int) -> None:
        """Forget both halves; where it was the newest, an older pair of the selectors sends."""
        ...

    async def move(self, inbound_spi: int, path: Path, *, encapsulated: bool) -> None:
        """Use other addresses or ports, with the same keys and sequence numbers."""
        ...

    async def protect(self, route: Route) -> None:
        """Keep this traffic from leaving in clear, and report an `Acquired` when there is some."""
        ...

    async def unprotect(self, reqid: int) -> None:
        """Forget a route."""
        ...

    async def carried(self, inbound_spi: int) -> tuple[int, int]:
        """Octets that a pair has received and sent so far."""
        ...

    def receive_encapsulated(
        self, octets: bytes, source: Address, destination: Address, traffic_class: int = 0
    ) -> None:
        """Take an ESP packet that came in UDP, without the UDP header (RFC 3948 2.1).

        `traffic_class` is that of its IP header.
        """
        ...

    async def close(self) -> None:
        """Remove everything that this plane has put into the system."""
        ...


class DataPlaneError(Exception):
    """ESP could not be set up; the text is one sentence for the user."""
