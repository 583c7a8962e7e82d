# SPDX-License-Identifier: GPL-2.0-or-later
"""What an established ISAKMP SA does of itself: it ends, is followed, asks for its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.ike.chance import Purpose
from harness.ike.constants_v1 import NotifyType
from harness.ike.v1 import informational
from harness.ike.v1.configuration import Rekeying
from harness.ike.v1.liveness import Liveness
from harness.ike.v1.reasons import Reason

if TYPE_CHECKING:
    from harness.ike.v1.session import Session


class Upkeep:
    """The timers of one established ISAKMP SA."""

    def __init__(self, session: Session) -> None:
        first = session.host.draw(Purpose.DPD_SEQUENCE, 4)
        self.liveness = Liveness(session.connection.dpd, int.from_bytes(first, "big"))
        self._session = session

    def begin(self, now: float) -> None:
        """Start all of them, once phase 1 is complete."""
        self._set_lifetime(now)
        self.watch_peer(now)
        self._keep_alive(now)

    def _set_lifetime(self, now: float) -> None:
        seconds = self._session.negotiation.agreed.lifetime.seconds
        if not seconds:
            return
        timers = self._session.host.timers
        timers.set((self._session.cookie, "expire"), now + seconds, self._expire)
        if self._rekeys:
            at = now + seconds * self._session.connection.rekey_at
            timers.set((self._session.cookie, "rekey"), at, self._rekey)

    @property
    def _rekeys(self) -> bool:
        match self._session.connection.rekeying:
            case Rekeying.INITIATOR:
                return self._session.negotiation.initiator
            case Rekeying.ANY:
                return not self._session.connection.responder_only
        return False

    @property
    def _rekey_at(self) -> float:
        return self._session.connection.rekey_at

    def _rekey(self, now: float) -> None:
        self._session.host.rekey_isakmp(self._session, now)

    def _expire(self, now: float) -> None:
        self._session.delete(Reason.EXPIRED, now)

    def check_amount(self, now: float) -> None:
        """Rekey or end an SA that has protected as many kilobytes as was agreed."""
        if not self._session.established:
            return
        limit = self._session.negotiation.agreed.lifetime.kilobytes * 1024
        if not limit:
            return
        if self._session.sealed_octets >= limit:
            self._session.host.timers.set((self._session.cookie, "expire"), now, self._expire)
        elif (
            self._rekeys
            and self._session.sealed_octets >= limit * self._session.connection.rekey_at
        ):
            self._session.host.timers.set((self._session.cookie, "rekey"), now, self._rekey)

    def watch_peer(self, now: float) -> None:
        """Ask whether the peer is there, after the interval of the configuration."""
        if (
            self._session.established
            and self._session.negotiation.peer_dpd
            and self._session.connection.dpd.interval
        ):
            at = now + self.liveness.wait()
            self._session.host.timers.set((self._session.cookie, "dpd"), at, self.ask_peer)

    def ask_peer(self, now: float) -> None:
        """Ask now; a peer that was asked too often is dead."""
        if self.liveness.is_dead:
            self._session.host.peer_died(self._session, now)
            self._session.delete(Reason.DEAD_PEER, now)
            return
        question = informational.liveness(
            NotifyType.R_U_THERE, self._session.negotiation.cookies, self.liveness.ask()
        )
        informational.send(self._session, (question,), now)
        at = now + self.liveness.wait()
        self._session.host.timers.set((self._session.cookie, "dpd"), at, self.ask_peer)

    def _keep_alive(self, now: float) -> None:
        interval = self._session.connection.nat.keepalive
        if not self._session.established or not self._session.negotiation.nat.local or not interval:
            return

        def due(then: float) -> None:
            self._session.host.keep_alive(self._session.negotiation.path)
            self._keep_alive(then)

        self._session.host.timers.set((self._session.cookie, "keepalive"), now + interval, due)
