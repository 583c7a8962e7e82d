# SPDX-License-Identifier: GPL-2.0-or-later
"""What an endpoint may agree to, and how it behaves: values that never change while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509

from harness.ike.address import Address
from harness.ike.constants_v2 import IdType
from harness.ike.retransmission import Retransmission
from harness.ike.signatures import PrivateKey
from harness.ike.traffic_selectors import TrafficSelector
from harness.ike.v2.suites import ChildProposal, IkeProposal

USUAL_RETRANSMISSION = Retransmission()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an end says to be: ID type and data (RFC 7296 3.5)."""

    type: int
    data: bytes

    @classmethod
    def of(cls, text: str) -> Identity:
        """An IP address, a mail address where there is an `@`, or else a host name."""
        try:
            address = ip_address(text)
        except ValueError:
            kind = IdType.RFC822_ADDR if "@" in text else IdType.FQDN
            return cls(kind, text.encode())
        kind = IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR
        return cls(kind, address.packed)

    def __str__(self) -> str:
        if self.type in (IdType.IPV4_ADDR, IdType.IPV6_ADDR) and len(self.data) in (4, 16):
            return str(ip_address(self.data))
        if self.type in (IdType.FQDN, IdType.RFC822_ADDR):
            return self.data.decode("ascii", "replace")
        return f"{self.type}:{self.data.hex()}"


@dataclass(frozen=True, slots=True)
class SharedKey:
    """Authentication by a preshared key (RFC 7296 2.15)."""

    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Authentication of this end by a private key; `chain` is its certificate, then those above."""

    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()
    pss: bool = True


@dataclass(frozen=True, slots=True)
class Anchors:
    """Authentication of the peer by a certificate that leads to one of these."""

    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """A CHILD_SA that may be made; empty selectors mean the address that the IKE SA has.

    `rekey_after` and `lifetime` are seconds, None for never; a random time up to `jitter` is taken
    off the former, so that two ends seldom rekey at once. `narrow` says whether an initiator takes
    less than it asked for.
    """

    name: str
    proposals: tuple[ChildProposal, ...]
    local: tuple[TrafficSelector, ...] = ()
    remote: tuple[TrafficSelector, ...] = ()
    transport: bool = False
    rekey_after: float | None = None
    lifetime: float | None = None
    narrow: bool = True
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Connection:
    """What one pair of peers may agree to.

    `remote` is where an initiator sends, and whom a responder admits (None: anybody); `local` is
    the address of this end, None for any. `remote_id`
    None admits every identity that authenticates. `childless` starts without a CHILD_SA (RFC
    6023). Times are seconds, None for never; `jitter` is as for a child. `dpd_after` is the
    silence after which the peer is asked whether it lives. `reauthenticate_after` is the time after
    which a new IKE SA is made from scratch, by whoever made this one.
    """

    name: str
    proposals: tuple[IkeProposal, ...]
    local_id: Identity
    local_auth: SharedKey | Signer
    remote_auth: SharedKey | Anchors
    children: tuple[ChildConfig, ...] = ()
    remote: Address | None = None
    remote_id: Identity | None = None
    childless: bool = False
    mobike: bool = True
    initial_contact: bool = True
    force_encapsulation: bool = False
    rekey_after: float | None = None
    reauthenticate_after: float | None = None
    dpd_after: float | None = None
    local: Address | None = None
    jitter: float = 0.0
    lifetime: float | None = None

    def child(self, name: str) -> ChildConfig:
        """The child of that name; raises `LookupError` with the names that there are."""
        for child in self.children:
            if child.name == name:
                return child
        known = ", ".join(child.name for child in self.children) or "none"
        raise LookupError(f"Connection {self.name} has no child {name!r}; it has {known}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """How an endpoint behaves towards all peers; times are seconds, sizes octets.

    `cookie_threshold` half-open SAs make it ask for cookies, `half_open_limit` make it deaf to
    more. `fragment_size` bounds a fragment's message with IP and UDP header; 0 sends none.
    `keepalive` is how long an end behind a NAT is silent at most, 0 for ever. `epoch` is the
    instant at which `now` is 0, which certificates are checked against. `temporary_wait` passes
    before something is tried again that the peer had no time for.
    """

    retransmission: Retransmission = USUAL_RETRANSMISSION
    cookie_threshold: int = 32
    half_open_limit: int = 1024
    half_open_lifetime: float = 30.0
    nonce_size: int = 32
    fragment_size: int = 1280
    linger: float = 40.0
    temporary_wait: float = 2.0
    temporary_tries: int = 5
    keepalive: float = 20.0
    nat_port: int = 4500
    detect_nat: bool = True
    childless: bool = True
    unknown_spi_answers_per_second: int = 10
    most_ike_sas: int = 100_000
    most_children: int = 1_000
    epoch: datetime = datetime(1970, 1, 1, tzinfo=UTC)
