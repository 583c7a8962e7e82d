# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 as ikelabd's shell uses it: an `Engine` around an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.data_plane import Route
from harness.daemon.engine import REFUSALS_PER_SECOND, Refusal
from harness.daemon.ikev1_pairs import pair_of, selector_of
from harness.daemon.reports import (
    Child,
    ChildDown,
    ChildFailed,
    ChildRekeyed,
    ChildUp,
    Ike,
    IkeDown,
    IkeFailed,
    IkeRekeyed,
    IkeUp,
    Trouble,
)
from harness.daemon.reqids import Reqids
from harness.daemon.steps import Install, LogIsakmpKey, Move, Remove, Step, Switch, Tell
from harness.ike.address import Address, Datagram, Path
from harness.ike.constants_v1 import ExchangeType, NotifyType
from harness.ike.names import hyphened
from harness.ike.v1 import events
from harness.ike.v1.configuration import Connection
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.identity import Identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.reasons import Reason
from harness.ike.v2.schedule import RateLimit

_CLOSED = "closed"

_Whose = tuple[str, Identity | None]
"""A connection and the identity of the peer, as far as it is known."""


@dataclass(slots=True)
class _Isakmp:
    unique: int
    connection: str
    cookie_i: bytes
    cookie_r: bytes
    peer: Identity
    replaced: bool = False

    @property
    def whose(self) -> _Whose:
        """With whom it is: a connection without an address may have many peers."""
        return self.connection, self.peer


@dataclass(slots=True)
class _Ipsec:
    sa: IpsecSa
    view: Child
    held: bool
    whose: _Whose


class Ikev1:
    """Every IKEv1 SA of a daemon; `endpoint` is the engine itself, for scripts.

    An `observe` sees every event of the endpoint first.
    """

    version = 1

    def __init__(self, endpoint: Endpoint, uniques: Iterator[int], reqids: Reqids) -> None:
        self.endpoint = endpoint
        self.observe: Callable[[Any], None] = lambda event: None
        self._refusals = RateLimit(REFUSALS_PER_SECOND)
        self._uniques = uniques
        self._reqids = reqids
        self._isakmp: dict[bytes, _Isakmp] = {}
        self._ipsec: dict[int, _Ipsec] = {}

    # What it knows.

    def children(self) -> Sequence[str]:
        """See Engine."""
        return [child.name for one in self.endpoint.connections for child in one.children]

    def connection_of(self, child: str) -> str:
        """See Engine."""
        return self._of_child(child).name

    def connections(self) -> Sequence[str]:
        """See Engine."""
        return [connection.name for connection in self.endpoint.connections]

    def sas(self) -> Sequence[Ike]:
        """See Engine.

        IPsec SAs outlive the ISAKMP SA that made them. They are listed under the newest one with
        their peer, or under one that is `closed` where there is none.
        """
        newest = {isakmp.whose: spi for spi, isakmp in self._current()}
        children: dict[_Whose, list[Child]] = {}
        for record in self._ipsec.values():
            children.setdefault(record.whose, []).append(record.view)
        found = []
        for spi, isakmp in self._current():
            own = newest[isakmp.whose] == spi
            found.append(self._view(spi, children.pop(isakmp.whose, ()) if own else ()))
        for (connection, _), orphans in children.items():
            found.append(Ike(connection, 1, 0, 0, 0, _CLOSED, tuple(orphans)))
        return found

    def reqid(self, connection: str, child: str, peer: str) -> int:
        """The reqid of a child with the peer at an address, the same for all its SAs."""
        return self._reqids.of(connection, child, peer)

    def route(self, child: str) -> Route:
        """See Engine."""
        connection = self._of_child(child)
        config = connection.child(child)
        if connection.remote is None:
            raise Refusal(f"{child} cannot wait for traffic: its connection has no remote address")
        return Route(
            child,
            self._reqids.of(connection.name, child, connection.remote.host),
            Path(connection.local, connection.remote),
            (selector_of(config.local),),
            (selector_of(config.remote),),
            config.transport,
        )

    # Messages and time.

    def receive(self, octets: bytes, source: Address, destination: Address, now: float) -> None:
        """See Engine."""
        self.endpoint.receive(octets, source, now, destination)

    def timeout(self, now: float) -> None:
        """See Engine."""
        self.endpoint.timeout(now)

    def deadline(self) -> float | None:
        """See Engine."""
        return self.endpoint.deadline()

    def datagrams(self) -> Sequence[Datagram]:
        """See Engine."""
        return self.endpoint.datagrams()

    def steps(self, now: float) -> Iterator[Step]:
        """See Engine."""
        while happened := self.endpoint.events():
            for event in happened:
                self.observe(event)
                yield from self._steps_of(event, now)

    # Commands.

    def initiate(self, child: str, now: float) -> None:
        """See Engine."""
        connection = self._of_child(child)
        try:
            self.endpoint.initiate(connection.name, child, now)
        except ValueError as error:
            raise Refusal(str(error)) from None

    def rekey_child(self, child: str, now: float) -> None:
        """See Engine."""
        self._of_child(child)
        for spi, _ in self._named(child):
            self.endpoint.rekey_child(_octets(spi), now)

    def rekey_ike(self, connection: str, now: float) -> None:
        """See Engine."""
        for cookie, isakmp in tuple(self._current()):
            if isakmp.connection == connection:
                self.endpoint.rekey_isakmp(cookie, now)

    def terminate_child(self, child: str, now: float) -> None:
        """See Engine."""
        self._of_child(child)
        for spi, _ in self._named(child):
            self.endpoint.delete_child(_octets(spi), now)

    def terminate_ike(self, connection: str, now: float) -> None:
        """See Engine."""
        self.endpoint.terminate(connection, now)

    def expired(self, spi: int, hard: bool, now: float) -> None:
        """See Engine."""
        for inbound, record in tuple(self._ipsec.items()):
            if spi not in (inbound, record.view.outbound):
                continue
            if hard:
                self.endpoint.delete_child(_octets(inbound), now)
            elif record.sa.initiator:
                self.endpoint.rekey_child(_octets(inbound), now)

    def peer_moved(self, inbound_spi: int, remote: Address, now: float) -> None:
        """See Engine."""
        record = self._ipsec.get(inbound_spi)
        if record is not None:
            self.endpoint.follow(_octets(inbound_spi), remote)

    def addresses_changed(self, own: frozenset[str], now: float) -> None:
        """See Engine; IKEv1 has no MOBIKE: its SAs end where they are."""

    def not_installed(self, inbound_spi: int, now: float) -> None:
        """See Engine."""
        if inbound_spi in self._ipsec:
            self.endpoint.delete_child(_octets(inbound_spi), now)

    def shut_down(self, now: float) -> None:
        """See Engine."""
        self.endpoint.shut_down(now)

    def reconfigure(self, configuration: DaemonConfiguration, now: float) -> Collection[str]:
        """See Engine."""
        before = self.endpoint.connections
        changed = [one.name for one in before if one not in configuration.v1]
        for name in changed:
            self.endpoint.terminate(name, now)
        self.endpoint.connections = configuration.v1
        return changed

    # What events mean.

    def _steps_of(self, event: events.Event, now: float) -> Iterator[Step]:
        match event:
            case events.IsakmpKeysDerived(cookie_i=cookie_i, keys=keys, cipher_key=key):
                yield LogIsakmpKey(cookie_i, key, keys.skeyid, keys.a)
            case events.IsakmpSaEstablished():
                yield self._established(event)
            case events.IsakmpSaClosed(cookie, reason):
                yield from self._closed(cookie, str(reason))
            case events.Phase1Failed(_, connection, _, reason, notify, detail):
                yield Tell(IkeFailed(connection or "", _why(reason, notify, detail)))
            case events.IpsecSaInstalled(cookie, sa, hold):
                yield from self._installed(cookie, sa, hold)
            case events.OutboundSwitched(_, spi):
                yield from self._switched(int.from_bytes(spi, "big"))
            case events.IpsecSaRemoved(sa, reason):
                yield from self._removed(int.from_bytes(sa.inbound_spi, "big"), reason)
            case events.PathChanged(cookie, path):
                yield from self._moved(cookie, path)
            case _:
                yield from self._failures(event, now)

    def _failures(self, event: events.Event, now: float) -> Iterator[Step]:
        match event:
            case events.QuickModeFailed(cookie, child, _, _, reason, notify, detail):
                isakmp = self._isakmp.get(cookie)
                connection = "" if isakmp is None else isakmp.connection
                yield Tell(ChildFailed(connection, child or "", _why(reason, notify, detail)))
            case events.Retransmitted(cookie, exchange, message_id, repetition):
                kind = hyphened(ExchangeType, exchange)
                what = f"{kind} {message_id:08x} has no answer, repetition {repetition}"
                yield Tell(Trouble(f"ISAKMP SA {cookie.hex()}: {what}"))
            case events.NotifyReceived(cookie, notify, protected=protected):
                how = "says" if protected else "or anybody else says in clear"
                said = hyphened(NotifyType, notify)
                yield Tell(Trouble(f"ISAKMP SA {cookie.hex()}: the peer {how} {said}"))
            case events.Refused(source, why) if self._refusals.allows(now):
                yield Tell(Trouble(f"a message from {source.host} port {source.port}: {why}"))

    def _established(self, event: events.IsakmpSaEstablished) -> Step:
        self._isakmp[event.isakmp] = _Isakmp(
            next(self._uniques), event.connection, event.cookie_i, event.cookie_r, event.peer
        )
        view = self._view(event.isakmp, self._children_of((event.connection, event.peer)))
        old = self._isakmp.get(event.replaces) if event.replaces else None
        if old is None or event.replaces is None:
            return Tell(IkeUp(view))
        old.replaced = True
        return Tell(IkeRekeyed(self._view(event.replaces), view))

    def _closed(self, cookie: bytes, reason: str) -> Iterator[Step]:
        isakmp = self._isakmp.get(cookie)
        if isakmp is not None:
            view = self._view(cookie)
            del self._isakmp[cookie]
            if not isakmp.replaced:
                yield Tell(IkeDown(view, reason))

    def _installed(self, cookie: bytes, sa: IpsecSa, hold: bool) -> Iterator[Step]:
        isakmp = self._isakmp.get(cookie)
        reqid = self._reqids.of(sa.connection, sa.name, sa.path.remote.host)
        pair = pair_of(sa, reqid, self._rekey_at(sa))
        view = Child(
            sa.name,
            sa.connection,
            pair.inbound.spi,
            pair.outbound.spi,
            reqid,
            isakmp.unique if isakmp else 0,
        )
        yield Install(pair, hold)
        whose = isakmp.whose if isakmp else (sa.connection, None)
        self._ipsec[pair.inbound.spi] = _Ipsec(sa, view, hold, whose)
        self._reqids.taken(reqid)
        if not hold:
            yield from self._complete(view)

    def _switched(self, spi: int) -> Iterator[Step]:
        yield Switch(spi)
        record = self._ipsec.get(spi)
        if record is not None:
            record.held = False
            yield from self._complete(record.view)

    def _complete(self, view: Child) -> Iterator[Step]:
        """IKEv1 says nowhere what a Quick Mode replaces: it is the newest with the same reqid."""
        others = [
            one.view
            for one in self._ipsec.values()
            if one.view.reqid == view.reqid and not one.held and one.view != view
        ]
        yield Tell(ChildRekeyed(others[-1], view) if others else ChildUp(view))

    def _removed(self, spi: int, reason: Reason) -> Iterator[Step]:
        record = self._ipsec.pop(spi, None)
        if record is None:
            return
        self._reqids.released(record.view.reqid)
        yield Remove(record.view, replaced=False)
        replaced = any(one.view.reqid == record.view.reqid for one in self._ipsec.values())
        if not replaced:
            yield Tell(ChildDown(record.view, str(reason)))

    def _moved(self, cookie: bytes, path: Path) -> Iterator[Step]:
        isakmp = self._isakmp.get(cookie)
        for spi, record in self._ipsec.items():
            if isakmp is not None and record.whose == isakmp.whose:
                record.sa = replace(record.sa, path=path)
                yield Move(spi, path, record.sa.encapsulated)

    def _of_child(self, child: str) -> Connection:
        for connection in self.endpoint.connections:
            if any(one.name == child for one in connection.children):
                return connection
        raise Refusal(f"there is no child {child!r}")

    def _rekey_at(self, sa: IpsecSa) -> float:
        for connection in self.endpoint.connections:
            if connection.name == sa.connection:
                return connection.rekey_at if sa.initiator else 0.0
        return 0.0

    def _current(self) -> Iterator[tuple[bytes, _Isakmp]]:
        return ((spi, one) for spi, one in self._isakmp.items() if not one.replaced)

    def _named(self, child: str) -> list[tuple[int, _Ipsec]]:
        return [(spi, one) for spi, one in self._ipsec.items() if one.view.name == child]

    def _children_of(self, whose: _Whose) -> list[Child]:
        return [one.view for one in self._ipsec.values() if one.whose == whose]

    def _view(self, cookie: bytes, children: Iterable[Child] = ()) -> Ike:
        isakmp = self._isakmp[cookie]
        return Ike(
            isakmp.connection,
            self.version,
            int.from_bytes(isakmp.cookie_i, "big"),
            int.from_bytes(isakmp.cookie_r, "big"),
            isakmp.unique,
            children=tuple(replace(one, ike=isakmp.unique) for one in children),
        )


def _octets(spi: int) -> bytes:
    return spi.to_bytes(4, "big")


def _why(reason: Reason, notify: int | None, detail: str) -> str:
    said = "" if notify is None else f" ({hyphened(NotifyType, notify)})"
    return f"{reason}{said}" + (f"; {detail}" if detail else "")
