# SPDX-License-Identifier: GPL-2.0-or-later
"""What an endpoint reports, in the order in which it happened.

`ike` names an IKE SA by its own end's SPI (8 octets), which stays unique within an endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.ike.address import Address, Path
from harness.ike.payload import Payload
from harness.ike.v2.child_sa import ChildSa
from harness.ike.v2.connection import Identity
from harness.ike.v2.keys import IkeSecrets
from harness.ike.v2.nat_detection import NatSituation
from harness.ike.v2.suites import Suite


class Reason(StrEnum):
    """Why an SA went away or did not come about."""

    REQUESTED = "this end was asked to"
    DELETED_BY_PEER = "the peer deleted it"
    REKEYED = "another one took its place"
    REAUTHENTICATED = "a new one from scratch took its place"
    REDUNDANT = "it lost a simultaneous rekey"
    TIMEOUT = "the peer did not answer"
    EXPIRED = "its lifetime ended"
    INITIAL_CONTACT = "the peer says that it has no other"
    IKE_SA_CLOSED = "its IKE SA ended"
    NO_PROPOSAL_CHOSEN = "no common algorithms"
    TS_UNACCEPTABLE = "no common traffic"
    AUTHENTICATION_FAILED = "authentication failed"
    INVALID_SYNTAX = "a message broke the rules"
    NOT_FOUND = "the peer does not know it"
    REFUSED = "the peer refused it"
    UNACCEPTABLE_ANSWER = "the peer answered what was not offered"
    NOT_RETURNED = "the peer did not return the cookie that it was sent"


@dataclass(frozen=True, slots=True)
class IkeKeysDerived:
    """The keys of an IKE SA exist or changed; fires before any message under them is sent."""

    ike: bytes
    spi_i: bytes
    spi_r: bytes
    suite: Suite
    secrets: IkeSecrets


@dataclass(frozen=True, slots=True)
class IkeSaEstablished:
    """Both ends are authenticated, or a rekeyed IKE SA took over (then `rekeyed` names the old)."""

    ike: bytes
    connection: str
    initiator: bool
    spi_i: bytes
    spi_r: bytes
    peer: Identity
    path: Path
    nat: NatSituation
    rekeyed: bytes | None = None


@dataclass(frozen=True, slots=True)
class IkeSaClosed:
    """An established IKE SA is gone, and every CHILD_SA that it still had before this event."""

    ike: bytes
    reason: Reason


@dataclass(frozen=True, slots=True)
class InitiationFailed:
    """An IKE SA did not come to be; `notify` is the error that the peer sent, if it sent one."""

    ike: bytes
    connection: str
    reason: Reason
    notify: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChildSaInstalled:
    """A CHILD_SA exists: install its inbound half now, and its outbound half unless `hold`.

    `rekeyed` is the inbound SPI of the SA that it replaces. With `hold`, the old outbound half
    stays in use until `OutboundSwitched`, because the peer may not be ready to receive. It will be
    rekeyed after `rekey_after` seconds and ends after `lifetime`, None for never.
    """

    ike: bytes
    child: ChildSa
    rekeyed: bytes | None = None
    hold: bool = False
    rekey_after: float | None = None
    lifetime: float | None = None


@dataclass(frozen=True, slots=True)
class OutboundSwitched:
    """The outbound half of a CHILD_SA that was held back must be used from now on."""

    ike: bytes
    inbound_spi: bytes


@dataclass(frozen=True, slots=True)
class ChildSaRemoved:
    """A CHILD_SA is gone in both directions: uninstall it."""

    ike: bytes
    child: ChildSa
    reason: Reason


@dataclass(frozen=True, slots=True)
class ChildSaFailed:
    """A CHILD_SA was not made, or not rekeyed where `rekeying` has its inbound SPI."""

    ike: bytes
    name: str
    reason: Reason
    notify: int | None = None
    rekeying: bytes | None = None


@dataclass(frozen=True, slots=True)
class IkeRekeyFailed:
    """An IKE SA was not rekeyed and stays as it is."""

    ike: bytes
    reason: Reason
    notify: int | None = None


@dataclass(frozen=True, slots=True)
class ChildSaMoved:
    """An IKE SA was rekeyed and its CHILD_SA belongs to the new one; nothing changes in ESP."""

    ike: bytes
    inbound_spi: bytes
    previous: bytes


@dataclass(frozen=True, slots=True)
class PathChanged:
    """The addresses of an IKE SA and its CHILD_SAs changed: update ESP (RFC 4555, RFC 7296 2.23).

    `encapsulated` says whether ESP goes in UDP from now on.
    """

    ike: bytes
    path: Path
    encapsulated: bool


@dataclass(frozen=True, slots=True)
class NotifyReceived:
    """The peer sent a notify under an established IKE SA that no exchange was waiting for."""

    ike: bytes
    notify: int
    protocol: int
    spi: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerAlive:
    """The peer answered a liveness check (RFC 7296 2.4)."""

    ike: bytes


@dataclass(frozen=True, slots=True)
class Retransmitted:
    """A request got no answer in time and was sent again, for the time that `repetition` counts."""

    ike: bytes
    exchange: int
    message_id: int
    repetition: int


@dataclass(frozen=True, slots=True)
class CookieDemanded:
    """A responder that has too many half-open SAs asked this initiator for a cookie."""

    ike: bytes


@dataclass(frozen=True, slots=True)
class ScriptedResponse:
    """The peer answered an exchange that a test made up with `Commands.exchange`."""

    ike: bytes
    exchange: int
    payloads: tuple[Payload, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A datagram was ignored or answered with an error; fires at most 1,000 times a reading."""

    source: Address
    why: str


Event = (
    IkeKeysDerived
    | IkeSaEstablished
    | IkeSaClosed
    | InitiationFailed
    | ChildSaInstalled
    | OutboundSwitched
    | ChildSaRemoved
    | ChildSaFailed
    | IkeRekeyFailed
    | ChildSaMoved
    | PathChanged
    | NotifyReceived
    | PeerAlive
    | Retransmitted
    | CookieDemanded
    | ScriptedResponse
    | Refused
)
