# SPDX-License-Identifier: GPL-2.0-or-later
"""What ikelabd tells of its SAs, whichever IKE version made them: to logs, control sockets, tests.

SPIs (and the cookies of IKEv1) are numbers in host order. `unique` is the daemon's own number for
an IKE SA.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Child:
    """A CHILD_SA (of IKEv1: a pair of IPsec SAs); a half that is gone has SPI 0.

    `state` is ``installed``, or ``rekeyed`` once another has taken its place.
    """

    name: str
    connection: str
    inbound: int
    outbound: int
    reqid: int
    ike: int
    state: str = "installed"

    def __str__(self) -> str:
        return f"{self.name} in 0x{self.inbound:08x} out 0x{self.outbound:08x}"


@dataclass(frozen=True, slots=True)
class Ike:
    """An IKE SA (of IKEv1: an ISAKMP SA) with what it carries."""

    name: str
    version: int
    initiator_spi: int
    responder_spi: int
    unique: int
    state: str = "established"
    children: tuple[Child, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}[{self.unique}] {self.initiator_spi:016x}:{self.responder_spi:016x}"


@dataclass(frozen=True, slots=True)
class IkeUp:
    """An IKE SA is established."""

    ike: Ike


@dataclass(frozen=True, slots=True)
class IkeDown:
    """An IKE SA is gone."""

    ike: Ike
    reason: str


@dataclass(frozen=True, slots=True)
class IkeRekeyed:
    """An IKE SA took the place of another."""

    old: Ike
    new: Ike


@dataclass(frozen=True, slots=True)
class IkeMoved:
    """An IKE SA and what it carries are between other addresses; `encapsulated` is ESP in UDP."""

    ike: Ike
    local: str
    remote: str
    encapsulated: bool


@dataclass(frozen=True, slots=True)
class IkeFailed:
    """An IKE SA did not come to be; `connection` is empty where none was found for the peer."""

    connection: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChildUp:
    """A CHILD_SA carries traffic."""

    child: Child


@dataclass(frozen=True, slots=True)
class ChildDown:
    """A CHILD_SA is gone."""

    child: Child
    reason: str


@dataclass(frozen=True, slots=True)
class ChildRekeyed:
    """A CHILD_SA took the place of another."""

    old: Child
    new: Child


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """A CHILD_SA was not made or not replaced; `child` is empty where the peer asked for none."""

    connection: str
    child: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Another configuration is in force."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong that concerns no SA that there is; one sentence."""

    text: str


Report = (
    IkeUp
    | IkeDown
    | IkeRekeyed
    | IkeMoved
    | IkeFailed
    | ChildUp
    | ChildDown
    | ChildRekeyed
    | ChildFailed
    | Reconfigured
    | Trouble
)


def as_json(report: Report) -> dict[str, Any]:
    """A report as plain values, its kind under ``event`` (``child-up``)."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(report).__name__).lower()
    return {"event": kind, **dataclasses.asdict(report)}


def sentence(report: Report) -> str:
    """A report as a line for people."""
    match report:
        case IkeUp(ike):
            return f"IKE SA {ike} is established"
        case IkeDown(ike, reason):
            return f"IKE SA {ike} is gone: {reason}"
        case IkeRekeyed(old, new):
            return f"IKE SA {old} was replaced by {new}"
        case IkeMoved(ike, local, remote, encapsulated):
            how = ", ESP in UDP" if encapsulated else ""
            return f"IKE SA {ike} is between {local} and {remote} now{how}"
        case IkeFailed(connection, reason):
            return f"no IKE SA{_named(connection)}: {reason}"
        case ChildUp(child):
            return f"CHILD_SA {child} is up"
        case ChildDown(child, reason):
            return f"CHILD_SA {child} is gone: {reason}"
        case ChildRekeyed(old, new):
            return f"CHILD_SA {old} was replaced by {new}"
        case ChildFailed(_, child, reason):
            return f"no CHILD_SA{_named(child)}: {reason}"
        case Reconfigured():
            return "the configuration was read again"
        case Trouble(text):
            return text


def _named(name: str) -> str:
    """A name behind a noun, nothing where it is not known."""
    return f" {name}" if name else ""
