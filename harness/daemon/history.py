# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of the IKEv1 SAs of a daemon, told as a router's console tells it.

A `History` sees the events of an engine as they happen; `status` is how things are. The log has the
words of racoon, which SEIL routers use too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy, Status
from harness.ike.address import Path
from harness.ike.constants_v1 import NotifyType
from harness.ike.names import hyphened
from harness.ike.v1 import events
from harness.ike.v1.configuration import Child, Connection, Phase1Mode
from harness.ike.v1.identity import OWN_ADDRESS, Identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.reasons import Reason

KEPT = 1000
"""Lines of the log that are remembered."""
FIRST_STATUS_TYPE = 16384
"""Notify types from here on are no errors (RFC 2408 3.14.1)."""

ReqidOf = Callable[[str, str, str], int]
"""The reqid of a child, by connection, child and the peer's address."""


class History:
    """The SAs that there are, and the last lines of the log.

    `clock` gives seconds since the epoch.
    """

    def __init__(
        self, configuration: DaemonConfiguration, clock: Callable[[], float], reqid_of: ReqidOf
    ) -> None:
        self.configuration = configuration
        self._clock = clock
        self._reqid_of = reqid_of
        self._isakmp: dict[bytes, tuple[str, Isakmp]] = {}
        self._ipsec: dict[bytes, tuple[IpsecSa, int]] = {}
        self._log: deque[LogLine] = deque(maxlen=KEPT)
        self._lines = 0

    def take(self, event: events.Event) -> None:
        """Note an event."""
        match event:
            case events.IsakmpSaEstablished():
                self._isakmp[event.isakmp] = (event.connection, self._isakmp_of(event))
            case events.IpsecSaInstalled(sa=sa):
                self._ipsec[sa.inbound_spi] = (sa, int(self._clock()))
            case events.PathChanged(isakmp, path):
                self._move(isakmp, path)
        for level, text in self._told(event):
            self._lines += 1
            self._log.append(LogLine(self._lines, int(self._clock()), level, text))
        match event:
            case events.IsakmpSaClosed(isakmp):
                self._isakmp.pop(isakmp, None)
            case events.IpsecSaRemoved(sa):
                self._ipsec.pop(sa.inbound_spi, None)

    def inbound_spis(self) -> tuple[int, ...]:
        """The SPIs on which this end receives."""
        return tuple(int.from_bytes(spi, "big") for spi in self._ipsec)

    def status(self, carried: Mapping[int, tuple[int, int]] | None = None) -> Status:
        """How everything is now; `carried` are octets in and out by inbound SPI."""
        now, octets = int(self._clock()), carried or {}
        return Status(
            tuple(self._isakmp_sas()),
            tuple(
                one
                for sa, created in self._ipsec.values()
                for one in self._halves(sa, created, now, octets)
            ),
            tuple(self._policies()),
            tuple(self._interfaces()),
            tuple(self._log),
            now,
        )

    def _isakmp_of(self, event: events.IsakmpSaEstablished) -> Isakmp:
        local, remote = event.path.local, event.path.remote
        mode = self._connection(event.connection)
        return Isakmp(
            local.host,
            local.port,
            remote.host,
            remote.port,
            int.from_bytes(event.cookie_i, "big"),
            int.from_bytes(event.cookie_r, "big"),
            event.initiator,
            aggressive=mode is not None and mode.phase1.mode is Phase1Mode.AGGRESSIVE,
            created=int(self._clock()),
        )

    def _move(self, isakmp: bytes, path: Path) -> None:
        if isakmp in self._isakmp:
            connection, sa = self._isakmp[isakmp]
            moved = replace(sa, remote=path.remote.host, remote_port=path.remote.port)
            self._isakmp[isakmp] = (connection, moved)

    def _isakmp_sas(self) -> Iterator[Isakmp]:
        newest = {connection: cookie for cookie, (connection, _) in self._isakmp.items()}
        carried = [sa.connection for sa, _ in self._ipsec.values()]
        for cookie, (connection, isakmp) in self._isakmp.items():
            count = carried.count(connection) if newest[connection] == cookie else 0
            yield replace(isakmp, children=count)

    def _halves(
        self, sa: IpsecSa, created: int, now: int, carried: Mapping[int, tuple[int, int]]
    ) -> Iterator[Ipsec]:
        local, remote = sa.path.local.host, sa.path.remote.host
        size = sa.encryption.key_length_attribute
        name = sa.encryption.names.setkey or sa.encryption.name.lower()
        mac = "none" if sa.integrity is None else sa.integrity.names.setkey or sa.integrity.name
        connection = self._connection(sa.connection)
        part = 0.0 if connection is None or not sa.initiator else connection.rekey_at
        inbound, outbound = (
            int.from_bytes(spi, "big") for spi in (sa.inbound_spi, sa.outbound_spi)
        )
        received, sent = carried.get(inbound, (0, 0))
        for source, destination, spi, octets in (
            (remote, local, inbound, received),
            (local, remote, outbound, sent),
        ):
            yield Ipsec(
                source,
                destination,
                spi,
                self._reqid_of(sa.connection, sa.name, remote),
                name if size is None else f"{name}-{size}",
                mac,
                sa.transport,
                created=created,
                age=now - created,
                hard=sa.lifetime.seconds,
                soft=int(sa.lifetime.seconds * part),
                octets=octets,
            )

    def _policies(self) -> Iterator[Policy]:
        for connection in self.configuration.v1:
            if connection.remote is None:
                continue
            for child in connection.children:
                yield from self._of_child(connection, child, connection.remote.host)

    def _of_child(self, connection: Connection, child: Child, remote: str) -> Iterator[Policy]:
        own = connection.local.host
        here, there = _selector(child.local, own), _selector(child.remote, remote)
        reqid = self._reqid_of(connection.name, child.name, remote)
        inwards, outwards = (None, None) if child.transport else ((remote, own), (own, remote))
        yield Policy(there, here, "in", reqid, inwards)
        yield Policy(here, there, "out", reqid, outwards)

    def _interfaces(self) -> Iterator[Interface]:
        up = {sa.connection for sa, _ in self._ipsec.values()}
        for connection in self.configuration.v1:
            if connection.remote is not None:
                yield Interface(
                    connection.name,
                    connection.local.host,
                    connection.remote.host,
                    connection.name in up,
                    tuple(self.configuration.interfaces.get(connection.name, ())),
                )

    def _connection(self, name: str) -> Connection | None:
        return next((one for one in self.configuration.v1 if one.name == name), None)

    # The log.

    def _told(self, event: events.Event) -> Iterator[tuple[str, str]]:
        match event:
            case events.IsakmpSaEstablished():
                yield "info", f"ISAKMP-SA established {self._named(event.isakmp)}"
            case events.IsakmpSaClosed(isakmp, reason):
                yield "info", f"ISAKMP-SA deleted {self._named(isakmp)}: {reason}"
            case events.Phase1Failed(reason=reason, notify=notify, detail=detail):
                yield "err", f"phase1 negotiation failed: {_why(reason, notify, detail)}"
            case events.IpsecSaInstalled(sa=sa):
                for text in _both(sa):
                    yield "info", f"IPsec-SA established: {text}"
            case events.IpsecSaRemoved(sa, reason):
                for text in _both(sa):
                    yield "info", f"IPsec-SA deleted: {text}: {reason}"
            case events.QuickModeFailed(reason=Reason.MISMATCHED_ID, detail=detail):
                yield "info", "mismatched ID was returned."
                yield "info", "failed to pre-process packet."
                yield "info", f"phase2 negotiation failed: {detail}"
            case events.QuickModeFailed(reason=reason, notify=notify, detail=detail):
                yield "info", f"phase2 negotiation failed: {_why(reason, notify, detail)}"
            case events.NotifyReceived(notify=notify) if notify < FIRST_STATUS_TYPE:
                said = hyphened(NotifyType, notify)
                yield "warning", f"received {said} {self._named(event.isakmp)}"
            case events.Refused(source, why):
                place = f"{source.host}[{source.port}]"
                yield "warning", f"invalid isakmp packet from {place}: {why}"

    def _named(self, isakmp: bytes) -> str:
        if isakmp not in self._isakmp:
            return f"[ISAKMP:{isakmp.hex()}]"
        sa = self._isakmp[isakmp][1]
        return (
            f"{sa.local}[{sa.local_port}]-{sa.remote}[{sa.remote_port}]"
            f" [ISAKMP:{sa.cookie_i:016x}:{sa.cookie_r:016x}]"
        )


def _both(sa: IpsecSa) -> Iterator[str]:
    mode = "Transport" if sa.transport else "Tunnel"
    ends = sa.path.local, sa.path.remote
    for (source, destination), spi in (
        (ends[::-1], sa.inbound_spi),
        (ends, sa.outbound_spi),
    ):
        number = int.from_bytes(spi, "big")
        places = f"{source.host}[{source.port}]->{destination.host}[{destination.port}]"
        yield f"ESP/{mode} {places} spi={number}(0x{number:x})"


def _why(reason: Reason, notify: int | None, detail: str) -> str:
    said = "" if notify is None else f" ({hyphened(NotifyType, notify)})"
    return f"{reason}{said}" + (f": {detail}" if detail else "")


def _selector(identity: Identity, own: str) -> str:
    """A network as a policy has it: with the length of its prefix."""
    if identity == OWN_ADDRESS:
        return own
    network, _, mask = str(identity).partition("/")
    if not mask:
        return network
    bits = "".join(f"{octet:08b}" for octet in identity.data[len(identity.data) // 2 :])
    return f"{network}/{bits.count('1')}"
