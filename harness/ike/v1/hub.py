# SPDX-License-Identifier: GPL-2.0-or-later
"""All SAs of an endpoint, and what one of them does to the others: the `Host` of every session."""

from __future__ import annotations

from collections.abc import Iterable

from harness.ike.address import NAT_PORT, Address, Datagram, Path
from harness.ike.chance import Draw, Purpose
from harness.ike.udp_encapsulation import KEEPALIVE, wrap
from harness.ike.v1 import informational
from harness.ike.v1.aggressive_mode import AggressiveMode
from harness.ike.v1.configuration import Connection, Limits, Phase1Mode
from harness.ike.v1.conversation import Sent
from harness.ike.v1.events import (
    Event,
    IpsecSaInstalled,
    IpsecSaRemoved,
    OutboundSwitched,
    Refused,
)
from harness.ike.v1.identity import Identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.ipsec_sas import IpsecSas, Record
from harness.ike.v1.main_mode import MainMode
from harness.ike.v1.phase1 import Handshake, Negotiation
from harness.ike.v1.phase2_proposals import FIRST_FREE_SPI, SPI_SIZE
from harness.ike.v1.reasons import Reason
from harness.ike.v1.seam import Seam
from harness.ike.v1.session import Session
from harness.ike.v1.timers import Timers

_RETRY = 0.01
SWITCH_AFTER = 0.5
"""Seconds for which the initiator of a Quick Mode still sends with what that replaces."""
COMMITTED_AFTER = 10.0
"""Seconds after which the CONNECTED that a peer asked to wait for is taken for lost."""
_NO_COOKIE = bytes(8)
_OURS_TO_RETRY = frozenset({Reason.TIMEOUT, Reason.EXPIRED, Reason.SUPERSEDED})


class Hub:
    """The tables of sessions and IPsec SAs, and the queues of datagrams and events."""

    def __init__(self, draw: Draw, seam: Seam, limits: Limits) -> None:
        self.draw = draw
        self.seam = seam
        self.limits = limits
        self.timers = Timers()
        self.sessions: dict[bytes, Session] = {}
        self.firsts: dict[tuple[bytes, Address], Session] = {}
        self.strangers: dict[bytes, Session] = {}
        self.ipsec = IpsecSas(self.timers, self._rekey_child, self._expire_child, self._discard)
        self.outbox: list[Datagram] = []
        self.reported: list[Event] = []
        self._spis: set[bytes] = set()
        self._by_peer: dict[tuple[str, Identity], list[Session]] = {}

    def emit(self, event: Event) -> None:
        """See Host; what strangers can cause without end is dropped when nobody reads it."""
        if len(self.reported) < self.limits.events or not isinstance(event, Refused):
            self.reported.append(event)

    def transmit(self, sent: Sent, path: Path) -> None:
        """See Host."""
        octets = wrap(sent.octets) if path.local.port == NAT_PORT else sent.octets
        datagram = Datagram(octets, path.local, path.remote)
        self.outbox += self.seam.transmitting(sent.plain, (datagram,))

    def keep_alive(self, path: Path) -> None:
        """See Host."""
        self.outbox.append(Datagram(KEEPALIVE, path.local, path.remote))

    def new_cookie(self) -> bytes:
        """A cookie that names nothing here."""
        while True:
            cookie = self.draw(Purpose.COOKIE, 8)
            if cookie != _NO_COOKIE and cookie not in self.sessions:
                return cookie

    def new_spi(self) -> bytes:
        """See Host."""
        while True:
            spi = self.draw(Purpose.CHILD_SPI, SPI_SIZE)
            if int.from_bytes(spi, "big") >= FIRST_FREE_SPI and spi not in self._spis:
                self._spis.add(spi)
                return spi

    def free_spi(self, spi: bytes) -> None:
        """See Host."""
        if self.ipsec.get(spi) is None:
            self._spis.discard(spi)

    def begin(
        self,
        connection: Connection,
        path: Path,
        children: tuple[str, ...],
        now: float,
        replaces: bytes | None = None,
    ) -> Session:
        """Start a phase 1 as initiator."""
        negotiation = Negotiation(
            connection, True, self.new_cookie(), _NO_COOKIE, path, self.draw, now
        )
        aggressive = connection.phase1.mode is Phase1Mode.AGGRESSIVE
        handshake: Handshake = AggressiveMode(negotiation) if aggressive else MainMode(negotiation)
        session = Session(self, handshake, replaces)
        self.sessions[session.cookie] = session
        session.start(now, children)
        return session

    def newest(self, connection: str, peer: Identity) -> Session | None:
        """The established ISAKMP SA that counts: the one that was made last."""
        found = self._by_peer.get((connection, peer))
        return found[-1] if found else None

    def of_connection(self, connection: str, *, established: bool) -> Session | None:
        """The newest ISAKMP SA of a connection, or the newest phase 1 that this end began."""
        for session in reversed(tuple(self.sessions.values())):
            usable = session.established if established else session.negotiation.initiator
            if session.connection.name == connection and usable:
                return session
        return None

    def established(self, session: Session) -> None:
        """See Host."""
        self.strangers.pop(session.cookie, None)
        self._by_peer.setdefault(_peer_of(session), []).append(session)

    def ended(self, session: Session, now: float, *, failed: bool) -> None:
        """See Host."""
        self.sessions.pop(session.cookie, None)
        self.strangers.pop(session.cookie, None)
        if session.first is not None:
            self.firsts.pop(session.first, None)
        if failed:
            self._retry_rekey(session, now)
            return
        siblings = self._by_peer.get(_peer_of(session), [])
        if session in siblings:
            siblings.remove(session)
        if not siblings:
            self._by_peer.pop(_peer_of(session), None)

    def _retry_rekey(self, session: Session, now: float) -> None:
        """Try again to follow an ISAKMP SA that is still there."""
        old = self.sessions.get(session.replaces) if session.replaces else None
        if old is not None and old.established:
            wait = max(1.0, old.negotiation.agreed.lifetime.seconds * _RETRY)
            self.timers.set(
                (old.cookie, "rekey"), now + wait, lambda then: self.rekey_isakmp(old, then)
            )

    def is_first_contact(self, session: Session) -> bool:
        """See Host."""
        name, peer = _peer_of(session)
        return self.newest(name, peer) is None and not self.ipsec.with_peer(name, peer)

    def drop_others(self, session: Session, now: float) -> None:
        """See Host."""
        name, peer = _peer_of(session)
        for record in self.ipsec.with_peer(name, peer):
            if record.isakmp != session.cookie and record.established < session.started_at:
                self.remove(record.sa.inbound_spi, Reason.INITIAL_CONTACT, now)
        for other in tuple(self._by_peer.get((name, peer), ())):
            if other is not session and other.established_at < session.started_at:
                other.close(Reason.INITIAL_CONTACT, now)

    def rekey_isakmp(self, session: Session, now: float) -> None:
        """See Host; a newer one with the same peer makes it needless."""
        newest = self.newest(*_peer_of(session))
        if newest is session and not self._is_being_replaced(session):
            connection, path = session.connection, session.negotiation.path
            self.begin(connection, path, (), now, replaces=session.cookie)

    def _is_being_replaced(self, session: Session) -> bool:
        return any(one.replaces == session.cookie for one in self.sessions.values())

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
        """See Host."""
        name, peer = _peer_of(session)
        # The peer can receive with these only once it has the third message of Quick Mode.
        replaces = self.ipsec.survivor(name, peer, sa.name) is not None
        waits = not hold and (replaces or committed)
        self.emit(IpsecSaInstalled(session.cookie, sa, hold or waits))
        if waits:
            at = now + (COMMITTED_AFTER if committed else SWITCH_AFTER)
            self.timers.set(_switching(sa), at, lambda then: self._switched(session.cookie, sa))
        record = Record(sa, session.cookie, session.connection, peer, started, now, hold)
        self.ipsec.add(record, now)

    def switch(self, session: Session, sa: IpsecSa, now: float) -> None:
        """See Host."""
        record = self.ipsec.get(sa.inbound_spi)
        if record is not None:
            self.emit(OutboundSwitched(session.cookie, sa.inbound_spi))
            self.ipsec.complete(record, now)

    def connected(self, session: Session, spi: bytes) -> None:
        """See Host."""
        for record in self.ipsec.with_peer(*_peer_of(session)):
            named = spi in (record.sa.inbound_spi, record.sa.outbound_spi)
            if named and _switching(record.sa) in self.timers:
                self._switched(record.isakmp, record.sa)

    def _switched(self, cookie: bytes, sa: IpsecSa) -> None:
        self.timers.cancel(_switching(sa))
        self.emit(OutboundSwitched(cookie, sa.inbound_spi))

    def remove(self, inbound_spi: bytes, reason: Reason, now: float) -> None:
        """See Host."""
        record = self.ipsec.get(inbound_spi)
        if record is not None:
            self.timers.cancel(_switching(record.sa))
            for other in self.ipsec.with_peer(record.sa.connection, record.peer):
                if other.sa.name == record.sa.name and _switching(other.sa) in self.timers:
                    self._switched(other.isakmp, other.sa)
            self.emit(IpsecSaRemoved(record.sa, reason))
            self.ipsec.remove(record, now)
            self._spis.discard(inbound_spi)

    def delete_child(self, record: Record, reason: Reason, now: float) -> None:
        """Forget an IPsec SA and tell the peer, if there is an ISAKMP SA to tell it under."""
        session = self.newest(record.sa.connection, record.peer)
        if session is not None:
            informational.send(session, (informational.delete_esp((record.sa.inbound_spi,)),), now)
        self.remove(record.sa.inbound_spi, reason, now)

    def quick_mode_failed(self, session: Session, child: str, reason: Reason, now: float) -> None:
        """See Host."""
        key = _peer_of(session)
        newest = self.newest(*key)
        if newest is not None and newest is not session:
            if reason in _OURS_TO_RETRY and not newest.quick_modes.is_making(child):
                newest.add_child(child, now)
            return
        record = self.ipsec.survivor(*key, child)
        if record is not None:
            wait = max(1.0, record.sa.lifetime.seconds * _RETRY)
            self.ipsec.rekey_later(record, now + wait)

    def peer_deleted(self, session: Session, spis: Iterable[bytes], now: float) -> None:
        """See Host."""
        for record in self.ipsec.with_outbound(*_peer_of(session), spis):
            self.remove(record.sa.inbound_spi, Reason.DELETED_BY_PEER, now)

    def peer_deleted_isakmp(self, session: Session, spis: Iterable[bytes], now: float) -> None:
        """See Host."""
        wanted = frozenset(spis)
        for other in tuple(self._by_peer.get(_peer_of(session), ())):
            if other.negotiation.cookies in wanted:
                other.close(Reason.DELETED_BY_PEER, now)

    def peer_died(self, session: Session, now: float) -> None:
        """See Host; while there is a newer ISAKMP SA only this one is dead."""
        key = _peer_of(session)
        if self.newest(*key) is not session:
            return
        for record in self.ipsec.with_peer(*key):
            self.delete_child(record, Reason.DEAD_PEER, now)

    def make_child(
        self, connection: Connection, peer: Identity, path: Path, child: str, now: float
    ) -> None:
        """Make a pair of IPsec SAs with a peer, with a new phase 1 where there is none."""
        session = self.newest(connection.name, peer)
        if session is None:
            for other in self.sessions.values():
                negotiating = not other.established and other.negotiation.initiator
                if negotiating and other.connection.name == connection.name:
                    other.add_child(child, now)
                    return
            self.begin(connection, path, (child,), now)
        elif not session.quick_modes.is_making(child):
            session.add_child(child, now)

    def _rekey_child(self, record: Record, now: float) -> None:
        self.make_child(record.connection, record.peer, record.sa.path, record.sa.name, now)

    def _expire_child(self, record: Record, now: float) -> None:
        self.delete_child(record, Reason.EXPIRED, now)

    def _discard(self, record: Record, now: float) -> None:
        self.delete_child(record, Reason.SUPERSEDED, now)


def _switching(sa: IpsecSa) -> tuple[bytes, str]:
    """The key of the timer that runs until the outbound half of an IPsec SA is used."""
    return sa.inbound_spi, "switch"


def _peer_of(session: Session) -> tuple[str, Identity]:
    peer = session.negotiation.peer
    return session.connection.name, peer if peer is not None else Identity(0, b"")
