# SPDX-License-Identifier: GPL-2.0-or-later
"""What a console shows of a router's IPsec: values only, as they come from a daemon or a box.

SPIs and cookies are numbers in host order. Times are seconds since the epoch. Keys are nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Isakmp:
    """An ISAKMP SA, or one that is being negotiated; `children` counts its IPsec SA pairs."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    cookie_i: int
    cookie_r: int
    initiator: bool
    established: bool = True
    aggressive: bool = False
    created: int = 0
    children: int = 0


@dataclass(frozen=True, slots=True)
class Ipsec:
    """One ESP SA, in one direction; lifetimes in seconds, 0 for without limit.

    `encryption` and `authentication` are setkey's words for algorithms.
    """

    source: str
    destination: str
    spi: int
    reqid: int
    encryption: str
    authentication: str
    transport: bool = False
    state: str = "mature"
    created: int = 0
    age: int = 0
    hard: int = 0
    soft: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What traffic is protected, between which ends of a tunnel; none for transport mode."""

    source: str
    destination: str
    direction: Literal["in", "out"]
    reqid: int
    tunnel: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """A tunnel's interface; `up` is whether it has SAs."""

    name: str
    source: str
    destination: str
    up: bool
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log; `number` counts from 1."""

    number: int
    time: int
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one instant."""

    isakmp: tuple[Isakmp, ...] = ()
    ipsec: tuple[Ipsec, ...] = ()
    policies: tuple[Policy, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    log: tuple[LogLine, ...] = ()
    now: int = 0
