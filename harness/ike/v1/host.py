# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ISAKMP SA needs of the endpoint that it lives in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from harness.ike.address import Path
from harness.ike.chance import Draw
from harness.ike.v1.configuration import Limits
from harness.ike.v1.conversation import Sent
from harness.ike.v1.events import Event
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.reasons import Reason
from harness.ike.v1.seam import Seam
from harness.ike.v1.timers import Timers

if TYPE_CHECKING:
    from harness.ike.v1.session import Session


class Host(Protocol):
    """The endpoint as its ISAKMP SAs see it."""

    @property
    def draw(self) -> Draw:
        """The source of all randomness."""
        ...

    @property
    def seam(self) -> Seam:
        """Where a test may stand."""
        ...

    @property
    def limits(self) -> Limits:
        """What strangers may make it hold."""
        ...

    @property
    def timers(self) -> Timers:
        """What is to be done later."""
        ...

    def emit(self, event: Event) -> None:
        """Report something."""
        ...

    def transmit(self, sent: Sent, path: Path) -> None:
        """Send a message along a path."""
        ...

    def keep_alive(self, path: Path) -> None:
        """Send a NAT-keepalive along a path (RFC 3948 4)."""
        ...

    def new_spi(self) -> bytes:
        """An SPI on which nothing of this endpoint receives; it is taken until `free_spi`."""
        ...

    def free_spi(self, spi: bytes) -> None:
        """Note that nothing will receive on it."""
        ...

    def established(self, session: Session) -> None:
        """Learn that a phase 1 is complete."""
        ...

    def ended(self, session: Session, now: float, *, failed: bool) -> None:
        """Forget an ISAKMP SA."""
        ...

    def is_first_contact(self, session: Session) -> bool:
        """Whether there is no other ISAKMP SA with that peer."""
        ...

    def drop_others(self, session: Session, now: float) -> None:
        """Forget all older SAs with the peer, who says that it has none (RFC 2407 4.6.3.3).

        What was made while this ISAKMP SA was being negotiated is as new as it: both ends may
        have begun at once.
        """
        ...

    def rekey_isakmp(self, session: Session, now: float) -> None:
        """Start the phase 1 that is to follow this one."""
        ...

    def install(
        self,
        session: Session,
        sa: IpsecSa,
        started: float,
        now: float,
        *,
        hold: bool,
        committed: bool,
    ) -> None:
        """Take in an IPsec SA; `started` is when its Quick Mode began.

        With `hold` it sends nothing before `switch`; `committed` is whether the peer has asked to
        wait until it says CONNECTED.
        """
        ...

    def connected(self, session: Session, spi: bytes) -> None:
        """Learn that the peer is ready for what comes with an IPsec SA, by one of its SPIs."""
        ...

    def switch(self, session: Session, sa: IpsecSa, now: float) -> None:
        """Note that the initiator of an IPsec SA can receive."""
        ...

    def remove(self, inbound_spi: bytes, reason: Reason, now: float) -> None:
        """Forget an IPsec SA."""
        ...

    def quick_mode_failed(self, session: Session, child: str, reason: Reason, now: float) -> None:
        """Learn that a Quick Mode which this end began made nothing."""
        ...

    def peer_deleted(self, session: Session, spis: Iterable[bytes], now: float) -> None:
        """Forget the IPsec SAs with these SPIs of the peer."""
        ...

    def peer_deleted_isakmp(self, session: Session, spis: Iterable[bytes], now: float) -> None:
        """Forget other ISAKMP SAs with the same peer, by their cookies."""
        ...

    def peer_died(self, session: Session, now: float) -> None:
        """Forget all IPsec SAs with a peer that does not answer."""
        ...
