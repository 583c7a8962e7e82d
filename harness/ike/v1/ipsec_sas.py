# SPDX-License-Identifier: GPL-2.0-or-later
"""The IPsec SAs of an endpoint: which one of several counts, when it is replaced, when it ends.

IKEv1 has no message that says what a Quick Mode replaces. So the rule is this: of all IPsec SAs
of one child with one peer the newest counts. Two that the two ends began at the same time do not
come in one order, and there the one with the lowest of the four nonces is redundant, as in RFC
7296 2.8.1. What no longer counts is deleted by the end that began it, after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.ike.v1.configuration import Connection, Rekeying
from harness.ike.v1.identity import Identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.timers import Timers

SIMULTANEOUS = 2.0
"""Seconds within which a Quick Mode may have begun before the other end knew of this one."""

Act = Callable[["Record", float], None]


@dataclass(slots=True, eq=False)
class Record:
    """An IPsec SA, under which ISAKMP SA it was made, with whom, and since when."""

    sa: IpsecSa
    isakmp: bytes
    connection: Connection
    peer: Identity
    started: float
    established: float
    held: bool

    @property
    def rekeys(self) -> bool:
        """Whether this end replaces it in time."""
        match self.connection.rekeying:
            case Rekeying.INITIATOR:
                return self.sa.initiator
            case Rekeying.ANY:
                return not self.connection.responder_only
        return False


class IpsecSas:
    """The table, by the SPI on which this end receives."""

    def __init__(self, timers: Timers, rekey: Act, expire: Act, discard: Act) -> None:
        self._timers = timers
        self._rekey = rekey
        self._expire = expire
        self._discard = discard
        self._records: dict[bytes, Record] = {}
        self._children: dict[tuple[str, Identity, str], dict[bytes, Record]] = {}

    def __iter__(self) -> Iterator[Record]:
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def get(self, inbound_spi: bytes) -> Record | None:
        """The IPsec SA on which this end receives with that SPI."""
        return self._records.get(inbound_spi)

    def with_peer(self, connection: str, peer: Identity) -> tuple[Record, ...]:
        """All IPsec SAs of a connection with one peer."""
        return tuple(
            record
            for key, records in self._children.items()
            if key[:2] == (connection, peer)
            for record in records.values()
        )

    def with_outbound(
        self, connection: str, peer: Identity, spis: Iterable[bytes]
    ) -> tuple[Record, ...]:
        """Those on which the peer receives with one of these SPIs."""
        wanted = frozenset(spis)
        return tuple(
            record
            for record in self.with_peer(connection, peer)
            if record.sa.outbound_spi in wanted
        )

    def survivor(self, connection: str, peer: Identity, child: str) -> Record | None:
        """The one that counts, or None where there is none that is complete."""
        best: Record | None = None
        complete = (
            record
            for record in self._children.get((connection, peer, child), {}).values()
            if not record.held
        )
        for record in sorted(complete, key=lambda one: one.established):
            if best is None or _outlives(record, best):
                best = record
        return best

    def counts(self, record: Record) -> bool:
        """Whether it is the one of its child that counts, which no other has replaced."""
        return record is self.survivor(*_child(record))

    def add(self, record: Record, now: float) -> None:
        """Take one in and watch over its lifetime."""
        sa = record.sa
        self._records[sa.inbound_spi] = record
        self._children.setdefault(_child(record), {})[sa.inbound_spi] = record
        if sa.lifetime.seconds:
            self._timers.set(
                (sa.inbound_spi, "expire"),
                now + sa.lifetime.seconds,
                lambda then: self._expire(record, then),
            )
        self.settle(record, now)

    def complete(self, record: Record, now: float) -> None:
        """Note that the initiator has shown that it can receive."""
        record.held = False
        record.established = now
        self.settle(record, now)

    def remove(self, record: Record, now: float) -> None:
        """Forget one."""
        spi = record.sa.inbound_spi
        del self._records[spi]
        siblings = self._children[_child(record)]
        del siblings[spi]
        if not siblings:
            del self._children[_child(record)]
        for name in ("expire", "rekey", "discard"):
            self._timers.cancel((spi, name))
        self.settle(record, now)

    def settle(self, about: Record, now: float) -> None:
        """Decide anew which of a child's IPsec SAs is replaced in time, and which are discarded."""
        key = _child(about)
        best = self.survivor(*key)
        for record in tuple(self._children.get(key, {}).values()):
            if record is best:
                self._timers.cancel((record.sa.inbound_spi, "discard"))
                self._plan_rekey(record, now)
            elif not record.held:
                self._timers.cancel((record.sa.inbound_spi, "rekey"))
                self._plan_discard(record, now)

    def rekey_later(self, record: Record, at: float) -> None:
        """Replace one at that instant, if this end is the one to do it."""
        if record.rekeys:
            self._timers.set(
                (record.sa.inbound_spi, "rekey"), at, lambda then: self._rekey(record, then)
            )

    def _plan_rekey(self, record: Record, now: float) -> None:
        seconds = record.sa.lifetime.seconds
        if seconds:
            at = record.established + seconds * record.connection.rekey_at
            self.rekey_later(record, max(now, at))

    def _plan_discard(self, record: Record, now: float) -> None:
        key = (record.sa.inbound_spi, "discard")
        # One that is superseded already is not kept longer because others follow.
        if record.sa.initiator and key not in self._timers:
            at = now + record.connection.delete_superseded_after
            self._timers.set(key, at, lambda then: self._discard(record, then))


def _child(record: Record) -> tuple[str, Identity, str]:
    return record.sa.connection, record.peer, record.sa.name


def _outlives(newer: Record, older: Record) -> bool:
    if newer.sa.initiator == older.sa.initiator:
        return True
    if newer.started - older.established >= SIMULTANEOUS:
        return True
    return min(newer.sa.nonce_i, newer.sa.nonce_r) > min(older.sa.nonce_i, older.sa.nonce_r)
