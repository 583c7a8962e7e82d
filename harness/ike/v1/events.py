# SPDX-License-Identifier: GPL-2.0-or-later
"""What an endpoint reports, in the order in which it happened.

`isakmp` names an ISAKMP SA by its own end's cookie (8 octets), which stays unique within an
endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.ike.address import Address, Path
from harness.ike.keys_v1 import Phase1Keys
from harness.ike.v1.identity import Identity
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.nat_traversal import NatSituation
from harness.ike.v1.phase1_proposals import Phase1Choice
from harness.ike.v1.reasons import Reason


@dataclass(frozen=True, slots=True)
class IsakmpKeysDerived:
    """The keys of an ISAKMP SA exist; fires before any message under them is sent.

    `cipher_key` is Ka, which Wireshark's table wants (RFC 2409 appendix B).
    """

    isakmp: bytes
    cookie_i: bytes
    cookie_r: bytes
    choice: Phase1Choice
    keys: Phase1Keys
    cipher_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class IsakmpSaEstablished:
    """Both ends are authenticated; `replaces` names the ISAKMP SA that this one is to follow."""

    isakmp: bytes
    connection: str
    initiator: bool
    cookie_i: bytes
    cookie_r: bytes
    peer: Identity
    path: Path
    nat: NatSituation
    choice: Phase1Choice
    replaces: bytes | None = None


@dataclass(frozen=True, slots=True)
class IsakmpSaClosed:
    """An established ISAKMP SA is gone. Its IPsec SAs are not, unless events say so."""

    isakmp: bytes
    reason: Reason


@dataclass(frozen=True, slots=True)
class Phase1Failed:
    """An ISAKMP SA did not come to be.

    `notify` is the error that went over the wire, sent or received; `detail` says what did not
    fit, with both sides' values where they are known.
    """

    isakmp: bytes
    connection: str | None
    initiator: bool
    reason: Reason
    notify: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class IpsecSaInstalled:
    """An IPsec SA exists: install its inbound half now, and its outbound half unless `hold`.

    `hold` lasts until `OutboundSwitched`: at the responder until the initiator has shown that it
    can receive, at an initiator that replaces another SA until the responder has had time to, or,
    where that has set the commit bit, has said CONNECTED (RFC 2408 3.1).
    """

    isakmp: bytes
    sa: IpsecSa
    hold: bool = False


@dataclass(frozen=True, slots=True)
class OutboundSwitched:
    """The outbound half of an IPsec SA that was held back must be used from now on."""

    isakmp: bytes
    inbound_spi: bytes


@dataclass(frozen=True, slots=True)
class IpsecSaRemoved:
    """An IPsec SA is gone in both directions: uninstall it."""

    sa: IpsecSa
    reason: Reason


@dataclass(frozen=True, slots=True)
class QuickModeFailed:
    """A Quick Mode made no IPsec SA; `child` is None where none was found for the identities."""

    isakmp: bytes
    child: str | None
    initiator: bool
    message_id: int
    reason: Reason
    notify: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """The peer is now at another address: update ESP (RFC 3947 6)."""

    isakmp: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class NotifyReceived:
    """The peer sent a notify; without `protected` anybody may have sent it."""

    isakmp: bytes
    notify: int
    protocol: int
    spi: bytes
    data: bytes
    protected: bool


@dataclass(frozen=True, slots=True)
class PeerAlive:
    """The peer answered R-U-THERE (RFC 3706)."""

    isakmp: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Retransmitted:
    """A message got no answer in time and was sent again, for the time that `repetition` counts."""

    isakmp: bytes
    exchange: int
    message_id: int
    repetition: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A datagram was ignored or answered with an error."""

    source: Address
    why: str


Event = (
    IsakmpKeysDerived
    | IsakmpSaEstablished
    | IsakmpSaClosed
    | Phase1Failed
    | IpsecSaInstalled
    | OutboundSwitched
    | IpsecSaRemoved
    | QuickModeFailed
    | PathChanged
    | NotifyReceived
    | PeerAlive
    | Retransmitted
    | Refused
)
