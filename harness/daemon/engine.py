# SPDX-License-Identifier: GPL-2.0-or-later
"""What ikelabd needs of an IKE version: the seam between its shell and the two engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.data_plane import Route
from harness.daemon.reports import Ike
from harness.daemon.steps import Step
from harness.ike.address import Address, Datagram

REFUSALS_PER_SECOND = 10
"""How often a daemon says that a message was refused: anybody can send it some."""


class Refusal(Exception):
    """A command cannot be carried out; the text is one sentence for whoever gave it."""


class Engine(Protocol):
    """One IKE version: datagrams and commands in, steps and datagrams out.

    `observe` is told of every event of the engine itself before anything else is done about it.
    Children and connections are named as in the configuration, IPsec SAs by the SPI that this end
    receives on, in host order. Commands raise `Refusal`.
    """

    observe: Callable[[Any], None]

    @property
    def version(self) -> int:
        """The major version of its messages."""
        ...

    @property
    def endpoint(self) -> Any:
        """The engine of that version itself, for scripts."""
        ...

    def children(self) -> Sequence[str]:
        """The names of all children that are configured."""
        ...

    def connection_of(self, child: str) -> str:
        """The name of the connection that a child belongs to."""
        ...

    def connections(self) -> Sequence[str]:
        """The names of all connections that are configured."""
        ...

    def receive(self, octets: bytes, source: Address, destination: Address, now: float) -> None:
        """Take a UDP payload."""
        ...

    def timeout(self, now: float) -> None:
        """Do what is due."""
        ...

    def deadline(self) -> float | None:
        """The instant at which something is due."""
        ...

    def steps(self, now: float) -> Iterable[Step]:
        """What is to be done now, in order, before any datagram is sent."""
        ...

    def datagrams(self) -> Sequence[Datagram]:
        """What is to be sent, in order."""
        ...

    def initiate(self, child: str, now: float) -> None:
        """Make a CHILD_SA, and an IKE SA where there is none yet."""
        ...

    def rekey_child(self, child: str, now: float) -> None:
        """Replace every CHILD_SA of that name."""
        ...

    def rekey_ike(self, connection: str, now: float) -> None:
        """Replace every IKE SA of a connection."""
        ...

    def terminate_child(self, child: str, now: float) -> None:
        """Delete every CHILD_SA of that name."""
        ...

    def terminate_ike(self, connection: str, now: float) -> None:
        """Delete every IKE SA of a connection with what it carries."""
        ...

    def expired(self, spi: int, hard: bool, now: float) -> None:
        """Learn that an SA reached a lifetime: replace it, or delete it where it is gone."""
        ...

    def peer_moved(self, inbound_spi: int, remote: Address, now: float) -> None:
        """Learn that the ESP of an SA comes from another address."""
        ...

    def addresses_changed(self, own: frozenset[str], now: float) -> None:
        """Learn which addresses this host has now: SAs go along that were at another one."""
        ...

    def not_installed(self, inbound_spi: int, now: float) -> None:
        """Delete an SA that the data plane could not take."""
        ...

    def sas(self) -> Sequence[Ike]:
        """Every IKE SA with its children."""
        ...

    def route(self, child: str) -> Route:
        """The traffic of a child as it is configured."""
        ...

    def shut_down(self, now: float) -> None:
        """Delete everything."""
        ...

    def reconfigure(self, configuration: DaemonConfiguration, now: float) -> Collection[str]:
        """Use another configuration, and delete the SAs of connections that changed or went.

        Returns the names of those connections.
        """
        ...
