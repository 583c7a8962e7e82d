# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 as ikelabd's shell uses it: an `Engine` around an endpoint."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.data_plane import Route
from harness.daemon.engine import REFUSALS_PER_SECOND, Refusal
from harness.daemon.ikev2_pairs import inbound_spi, pair_of
from harness.daemon.reports import (
    Child,
    ChildDown,
    ChildFailed,
    ChildRekeyed,
    ChildUp,
    Ike,
    IkeDown,
    IkeFailed,
    IkeMoved,
    IkeRekeyed,
    IkeUp,
    Trouble,
)
from harness.daemon.reqids import Reqids
from harness.daemon.steps import Install, LogIkeKeys, Move, Remove, Step, Switch, Tell
from harness.ike.address import Address, Datagram, Path
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.names import name_of
from harness.ike.v2 import events
from harness.ike.v2.connection import Connection
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.schedule import RateLimit
from harness.ike.v2.selectors import host_selector


@dataclass(slots=True)
class _Ike:
    unique: int
    connection: str
    spi_i: bytes
    spi_r: bytes
    path: Path
    rekeyed: bool = False


@dataclass(slots=True)
class _Child:
    ike: bytes
    view: Child


class Ikev2:
    """Every IKEv2 SA of a daemon; `endpoint` is the engine itself, for scripts.

    `own_address` says which own address the route to another takes. An `observe` sees every event
    of the endpoint first.
    """

    version = 2

    def __init__(
        self,
        endpoint: Endpoint,
        uniques: Iterator[int],
        reqids: Reqids,
        own_address: Callable[[Address], Address],
    ) -> None:
        self.endpoint = endpoint
        self.observe: Callable[[Any], None] = lambda event: None
        self._refusals = RateLimit(REFUSALS_PER_SECOND)
        self._uniques = uniques
        self._reqids = reqids
        self._own_address = own_address
        self._ikes: dict[bytes, _Ike] = {}
        self._children: dict[int, _Child] = {}
        self._connecting: dict[str, bytes] = {}
        self._wanted: dict[bytes, list[str]] = {}

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
        """See Engine."""
        return [self._view(spi) for spi, ike in self._ikes.items() if not ike.rekeyed]

    def route(self, child: str) -> Route:
        """See Engine."""
        connection = self._of_child(child)
        config = connection.child(child)
        if connection.remote is None:
            raise Refusal(f"{child} cannot wait for traffic: its connection has no remote address")
        path = Path(self._local(connection, connection.remote), connection.remote)
        return Route(
            child,
            self._reqids.of(connection.name, child, connection.remote.host),
            path,
            config.local or (host_selector(path.local.host),),
            config.remote or (host_selector(path.remote.host),),
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
        ike = self._established(connection.name)
        if ike is not None:
            self.endpoint.commands.create_child(ike, child, now)
            return
        connecting = self._connecting.get(connection.name)
        if connecting is not None:
            self._wanted[connecting].append(child)
            return
        if connection.remote is None:
            raise Refusal(f"connection {connection.name} has no remote address to send to")
        local = self._local(connection, connection.remote)
        spi = self.endpoint.commands.initiate(connection.name, now, local=local, child=child)
        self._connecting[connection.name] = spi
        self._wanted[spi] = [child] if connection.childless else []

    def rekey_child(self, child: str, now: float) -> None:
        """See Engine."""
        self._of_child(child)
        for spi, record in self._named(child):
            self.endpoint.commands.rekey_child(record.ike, _octets(spi), now)

    def rekey_ike(self, connection: str, now: float) -> None:
        """See Engine."""
        for spi in self._carrying(connection):
            self.endpoint.commands.rekey_ike(spi, now)

    def terminate_child(self, child: str, now: float) -> None:
        """See Engine."""
        self._of_child(child)
        for spi, record in self._named(child):
            self.endpoint.commands.delete_child(record.ike, _octets(spi), now)

    def terminate_ike(self, connection: str, now: float) -> None:
        """See Engine."""
        for spi in self._carrying(connection):
            self.endpoint.commands.delete_ike(spi, now)
        connecting = self._connecting.get(connection)
        if connecting is not None:
            self.endpoint.commands.abandon(connecting, now)

    def expired(self, spi: int, hard: bool, now: float) -> None:
        """See Engine."""
        for inbound, record in tuple(self._children.items()):
            if spi in (inbound, record.view.outbound):
                act = self.endpoint.commands.delete_child
                if not hard:
                    act = self.endpoint.commands.rekey_child
                act(record.ike, _octets(inbound), now)

    def peer_moved(self, inbound_spi: int, remote: Address, now: float) -> None:
        """See Engine."""
        record = self._children.get(inbound_spi)
        if record is not None:
            self.endpoint.commands.follow(record.ike, remote, now)

    def addresses_changed(self, own: frozenset[str], now: float) -> None:
        """See Engine."""
        for spi, ike in tuple(self._ikes.items()):
            sa = self.endpoint.ike_sa(spi)
            if sa is None or ike.rekeyed or sa.path.local.host in own:
                continue
            # Where no way leads to the peer now, the news of one will come here too; a peer that
            # does not do MOBIKE would not know what to make of it.
            with contextlib.suppress(OSError, LookupError):
                local = self._own_address(sa.path.remote).on_port(sa.path.local.port)
                self.endpoint.commands.change_address(spi, local, now)

    def not_installed(self, inbound_spi: int, now: float) -> None:
        """See Engine."""
        record = self._children.get(inbound_spi)
        if record is not None:
            self.endpoint.commands.delete_child(record.ike, _octets(inbound_spi), now)

    def shut_down(self, now: float) -> None:
        """See Engine."""
        for connection in tuple(self._connecting):
            self.terminate_ike(connection, now)
        for spi in tuple(self._ikes):
            self.endpoint.commands.delete_ike(spi, now)

    def reconfigure(self, configuration: DaemonConfiguration, now: float) -> Collection[str]:
        """See Engine."""
        before = self.endpoint.connections
        changed = [one.name for one in before if one not in configuration.v2]
        for name in changed:
            self.terminate_ike(name, now)
        self.endpoint.connections = configuration.v2
        self.endpoint.settings = configuration.settings
        return changed

    # What events mean.

    def _steps_of(self, event: events.Event, now: float) -> Iterator[Step]:
        match event:
            case events.IkeKeysDerived(_, spi_i, spi_r, suite, secrets):
                yield LogIkeKeys(spi_i, spi_r, suite, secrets)
            case events.IkeSaEstablished():
                yield self._established_now(event, now)
            case events.IkeSaClosed(spi, reason):
                yield from self._closed(spi, str(reason))
            case events.InitiationFailed(spi, connection, reason, notify, detail):
                self._forget_attempt(spi)
                yield Tell(IkeFailed(connection, _why(reason, notify, detail)))
            case events.ChildSaInstalled():
                yield from self._installed(event)
            case events.OutboundSwitched(_, spi):
                yield Switch(int.from_bytes(spi, "big"))
            case events.ChildSaRemoved(_, child, reason):
                yield from self._removed(inbound_spi(child), reason)
            case events.ChildSaMoved(spi, inbound, _):
                self._adopt(int.from_bytes(inbound, "big"), spi)
            case events.PathChanged(spi, path, encapsulated):
                yield from self._moved(spi, path, encapsulated)
            case _:
                yield from self._failures(event, now)

    def _failures(self, event: events.Event, now: float) -> Iterator[Step]:
        match event:
            case events.ChildSaFailed(spi, name, reason, notify):
                ike = self._ikes.get(spi)
                connection = "" if ike is None else ike.connection
                yield Tell(ChildFailed(connection, name, _why(reason, notify)))
            case events.IkeRekeyFailed(spi, reason, notify):
                yield Tell(Trouble(f"{self._title(spi)} was not rekeyed: {_why(reason, notify)}"))
            case events.Retransmitted(spi, exchange, message_id, repetition):
                kind = name_of(ExchangeType, exchange)
                what = f"{kind} request {message_id} has no answer, repetition {repetition}"
                yield Tell(Trouble(f"{self._title(spi)}: {what}"))
            case events.NotifyReceived(spi, notify):
                said = name_of(NotifyType, notify)
                yield Tell(Trouble(f"{self._title(spi)}: the peer says {said}"))
            case events.Refused(source, why) if self._refusals.allows(now):
                yield Tell(Trouble(f"a message from {source.host} port {source.port}: {why}"))

    def _established_now(self, event: events.IkeSaEstablished, now: float) -> Step:
        self._ikes[event.ike] = _Ike(
            next(self._uniques), event.connection, event.spi_i, event.spi_r, event.path
        )
        for child in self._forget_attempt(event.ike):
            self.endpoint.commands.create_child(event.ike, child, now)
        if event.rekeyed is not None and event.rekeyed in self._ikes:
            self._ikes[event.rekeyed].rekeyed = True
            return Tell(IkeRekeyed(self._view(event.rekeyed), self._view(event.ike)))
        return Tell(IkeUp(self._view(event.ike)))

    def _closed(self, spi: bytes, reason: str) -> Iterator[Step]:
        ike = self._ikes.get(spi)
        if ike is not None:
            view = self._view(spi)
            del self._ikes[spi]
            if not ike.rekeyed:
                yield Tell(IkeDown(view, reason))

    def _installed(self, event: events.ChildSaInstalled) -> Iterator[Step]:
        ike, child = self._ikes[event.ike], event.child
        reqid = self._reqids.of(ike.connection, child.name, ike.path.remote.host)
        pair = pair_of(event, ike.path, reqid)
        view = Child(
            child.name, ike.connection, pair.inbound.spi, pair.outbound.spi, reqid, ike.unique
        )
        self._children[pair.inbound.spi] = _Child(event.ike, view)
        self._reqids.taken(reqid)
        yield Install(pair, event.hold)
        old = int.from_bytes(event.rekeyed, "big") if event.rekeyed else 0
        if old in self._children:
            yield Tell(ChildRekeyed(self._children[old].view, view))
        else:
            yield Tell(ChildUp(view))

    def _removed(self, spi: int, reason: events.Reason) -> Iterator[Step]:
        record = self._children.pop(spi, None)
        if record is None:
            return
        self._reqids.released(record.view.reqid)
        replaced = reason is events.Reason.REKEYED
        yield Remove(record.view, replaced)
        if not replaced:
            yield Tell(ChildDown(record.view, str(reason)))

    def _adopt(self, spi: int, ike: bytes) -> None:
        record = self._children.get(spi)
        if record is not None:
            record.ike = ike
            record.view = replace(record.view, ike=self._ikes[ike].unique)

    def _moved(self, spi: bytes, path: Path, encapsulated: bool) -> Iterator[Step]:
        ike = self._ikes.get(spi)
        if ike is None:
            return
        ike.path = path
        yield Tell(IkeMoved(self._view(spi), path.local.host, path.remote.host, encapsulated))
        for inbound, record in self._children.items():
            if record.ike == spi:
                yield Move(inbound, path, encapsulated)

    # Names.

    def _forget_attempt(self, spi: bytes) -> Sequence[str]:
        """What was to be made once the IKE SA is there, which is no attempt any more."""
        for connection, connecting in tuple(self._connecting.items()):
            if connecting == spi:
                del self._connecting[connection]
        return self._wanted.pop(spi, [])

    def _of_child(self, child: str) -> Connection:
        for connection in self.endpoint.connections:
            if any(one.name == child for one in connection.children):
                return connection
        raise Refusal(f"there is no child {child!r}")

    def _local(self, connection: Connection, remote: Address) -> Address:
        return connection.local or self._own_address(remote)

    def _established(self, connection: str) -> bytes | None:
        return next(reversed(self._carrying(connection)), None)

    def _carrying(self, connection: str) -> list[bytes]:
        return [
            spi
            for spi, ike in self._ikes.items()
            if ike.connection == connection and not ike.rekeyed
        ]

    def _named(self, child: str) -> list[tuple[int, _Child]]:
        return [(spi, one) for spi, one in self._children.items() if one.view.name == child]

    def _title(self, spi: bytes) -> str:
        return f"IKE SA {self._view(spi)}" if spi in self._ikes else f"IKE SA {spi.hex()}"

    def _view(self, spi: bytes) -> Ike:
        ike = self._ikes[spi]
        return Ike(
            ike.connection,
            self.version,
            int.from_bytes(ike.spi_i, "big"),
            int.from_bytes(ike.spi_r, "big"),
            ike.unique,
            children=tuple(one.view for one in self._children.values() if one.ike == spi),
        )


def _octets(spi: int) -> bytes:
    return spi.to_bytes(4, "big")


def _why(reason: events.Reason, notify: int | None, detail: str = "") -> str:
    said = "" if notify is None else f" ({name_of(NotifyType, notify)})"
    return f"{reason}{said}" + (f"; {detail}" if detail else "")


def uniques() -> Iterator[int]:
    """The numbers by which a daemon tells its IKE SAs apart."""
    return itertools.count(1)
