# SPDX-License-Identifier: GPL-2.0-or-later
"""What an IKE SA needs of the endpoint that it lives in, and what an exchange is to an IKE SA."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.ike.address import Path
from harness.ike.chance import Draw
from harness.ike.payload import Payload
from harness.ike.v2.connection import Connection, Settings
from harness.ike.v2.events import Event, Reason
from harness.ike.v2.message import Arrival, Plain, Sent
from harness.ike.v2.seam import Seam

if TYPE_CHECKING:
    from harness.ike.v2.ike_sa import IkeSa


class Host(Protocol):
    """The endpoint as its IKE SAs see it."""

    settings: Settings
    draw: Draw
    seam: Seam

    @property
    def connections(self) -> tuple[Connection, ...]:
        """What this endpoint may agree to."""
        ...

    def emit(self, event: Event) -> None:
        """Report something."""
        ...

    def transmit(self, plain: Plain, messages: Iterable[bytes], path: Path) -> None:
        """Send messages without marker along a path."""
        ...

    def keep_alive(self, path: Path) -> None:
        """Send a NAT-keepalive along a path."""
        ...

    def answer(self, sa: IkeSa, arrival: Arrival, now: float) -> Answer | None:
        """What the exchange of a request says to it; None ignores it."""
        ...

    def new_ike_spi(self) -> bytes:
        """An SPI that names no IKE SA of this endpoint."""
        ...

    def new_child_spi(self) -> bytes:
        """An SPI that no CHILD_SA of this endpoint receives on."""
        ...

    def take_child_spi(self, spi: bytes) -> None:
        """Note that a CHILD_SA receives on it."""
        ...

    def drop_child_spi(self, spi: bytes) -> None:
        """Note that none does any more."""
        ...

    def expect(self, spi: bytes) -> None:
        """Keep requests for an IKE SA that a rekey offered, until its response makes the SA."""
        ...

    def adopt(self, sa: IkeSa) -> None:
        """Route messages to an IKE SA from now on."""
        ...

    def touch(self, sa: IkeSa) -> None:
        """Note that the deadline of an IKE SA may have changed."""
        ...

    def ike_sa(self, spi: bytes) -> IkeSa | None:
        """The IKE SA with that SPI at this end."""
        ...

    def all_sas(self) -> tuple[IkeSa, ...]:
        """Every IKE SA."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer a request with, and what to do once that is sealed."""

    payloads: tuple[Payload, ...] = ()
    then: Callable[[Sent], None] | None = None


class Task(Protocol):
    """An exchange that this end begins."""

    @property
    def exchange(self) -> int:
        """Its exchange type."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether its response still matters once the IKE SA is closed, as a rekey's does."""
        ...

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """The payloads of the request, or None where there is nothing to do any more."""
        ...

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Take the response."""
        ...

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """Learn that there will be no response, because the IKE SA ended."""
        ...
