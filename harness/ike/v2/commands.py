# SPDX-License-Identifier: GPL-2.0-or-later
"""What a caller can make an endpoint do; every outcome comes back as an event.

IKE SAs are named by this end's SPI, CHILD_SAs by their inbound SPI, as events name them. A name
that is not known raises `LookupError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from harness.ike.address import Address, Path
from harness.ike.payload import Payload
from harness.ike.v2.connection import Connection
from harness.ike.v2.create_child import CreateChild
from harness.ike.v2.events import Reason
from harness.ike.v2.host import Host, Task
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.informational import DeleteChild, DeleteIke, LivenessTask
from harness.ike.v2.init import InitTask
from harness.ike.v2.mobility import move
from harness.ike.v2.rekey_ike import RekeyIke
from harness.ike.v2.scripted import ScriptedTask


class Commanded(Host, Protocol):
    """An endpoint as its commands see it."""

    @property
    def local(self) -> Address:
        """The address that it sends from unless told otherwise."""
        ...


class Commands:
    """Begins exchanges of one endpoint, one at a time for each IKE SA.

    `ike` is the SPI of an IKE SA at this end, `inbound_spi` that of a CHILD_SA, in network order.
    Every method raises `LookupError` for what is not there, with what is.
    """

    def __init__(self, endpoint: Commanded) -> None:
        self._endpoint = endpoint

    def initiate(
        self,
        connection: str,
        now: float,
        remote: Address | None = None,
        local: Address | None = None,
        child: str | None = None,
    ) -> bytes:
        """Begin IKE_SA_INIT and return the SPI of the new IKE SA.

        `child` is the CHILD_SA to make in IKE_AUTH, the first that is configured unless told.
        """
        found = self._connection(connection)
        to = remote or found.remote
        if to is None:
            raise LookupError(f"Connection {connection} has no remote address; give one.")
        endpoint = self._endpoint
        path = Path(local or found.local or endpoint.local, to)
        sa = IkeSa(endpoint, found, path, endpoint.new_ike_spi(), initiator=True, now=now)
        sa.first_child = None if child is None else found.child(child)
        endpoint.adopt(sa)
        self._queue(sa, InitTask(), now)
        return sa.spi

    def create_child(self, ike: bytes, name: str, now: float) -> None:
        """Begin CREATE_CHILD_SA for a configured child."""
        sa = self._sa(ike)
        self._queue(sa, CreateChild(sa.connection.child(name)), now)

    def rekey_child(self, ike: bytes, inbound_spi: bytes, now: float) -> None:
        """Begin to rekey a CHILD_SA."""
        sa = self._sa(ike)
        record = sa.children.inbound(inbound_spi)
        if record is None:
            raise LookupError(f"IKE SA {ike.hex()} has no CHILD_SA {inbound_spi.hex()}.")
        self._queue(sa, CreateChild(record.config, inbound_spi), now)

    def rekey_ike(self, ike: bytes, now: float) -> None:
        """Begin to rekey an IKE SA."""
        self._queue(self._sa(ike), RekeyIke(), now)

    def delete_child(self, ike: bytes, inbound_spi: bytes, now: float) -> None:
        """Close a CHILD_SA at both ends."""
        sa = self._sa(ike)
        if sa.children.inbound(inbound_spi) is None:
            raise LookupError(f"IKE SA {ike.hex()} has no CHILD_SA {inbound_spi.hex()}.")
        self._queue(sa, DeleteChild(inbound_spi), now)

    def delete_ike(self, ike: bytes, now: float) -> None:
        """Close an IKE SA at both ends."""
        self._queue(self._sa(ike), DeleteIke(), now)

    def abandon(self, ike: bytes, now: float) -> None:
        """End an IKE SA without a word to the peer, as a crash would."""
        sa = self._sa(ike)
        sa.close(Reason.REQUESTED, now)
        self._endpoint.touch(sa)

    def check_liveness(self, ike: bytes, now: float) -> None:
        """Ask the peer whether it lives."""
        self._queue(self._sa(ike), LivenessTask(), now)

    def change_address(
        self, ike: bytes, local: Address, now: float, remote: Address | None = None
    ) -> None:
        """Move an IKE SA to another address of this end (RFC 4555); the peer must do MOBIKE.

        Nothing happens where it is there already.
        """
        sa = self._sa(ike)
        if not sa.abilities.mobike:
            raise LookupError(f"The peer of IKE SA {ike.hex()} does not do MOBIKE; reconnect.")
        move(sa, local, now, remote)
        self._endpoint.touch(sa)

    def follow(self, ike: bytes, remote: Address, now: float) -> None:
        """Send to where authentic ESP of the peer came from: its NAT mapped anew (2.23)."""
        sa = self._sa(ike)
        if sa.follow(Path(sa.path.local, remote)):
            self._endpoint.touch(sa)

    def exchange(self, ike: bytes, exchange: int, payloads: Iterable[Payload], now: float) -> None:
        """Begin any exchange with any payloads, whose response changes nothing at this end."""
        self._queue(self._sa(ike), ScriptedTask(exchange, tuple(payloads)), now)

    def _queue(self, sa: IkeSa, task: Task, now: float) -> None:
        sa.queue(task, now)
        self._endpoint.touch(sa)

    def _sa(self, ike: bytes) -> IkeSa:
        found = self._endpoint.ike_sa(ike)
        if found is None:
            raise LookupError(f"There is no IKE SA {ike.hex()} here.")
        return found

    def _connection(self, name: str) -> Connection:
        for connection in self._endpoint.connections:
            if connection.name == name:
                return connection
        known = ", ".join(one.name for one in self._endpoint.connections) or "none"
        raise LookupError(f"There is no connection {name!r}; there are {known}.")
