# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engine is to negotiate, with whom, and how: values only, in no daemon's dialect.

Lists of algorithms are multiplied in their order into proposals. The defaults are those of a
SEIL router. Times are seconds, amounts kilobytes of 1024 bytes, 0 is never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.x509 import Certificate

from harness.ike.address import Address
from harness.ike.constants_v1 import AuthenticationMethod
from harness.ike.retransmission import Retransmission
from harness.ike.signatures import PrivateKey
from harness.ike.signatures_v1 import method_of
from harness.ike.transforms import (
    Encryption,
    Integrity,
    KeyExchange,
    Prf,
    encryption,
    integrity,
    key_exchange,
    prf,
)
from harness.ike.v1.identity import Identity

USUAL_RETRANSMISSION = Retransmission(first=4.0)


class LifetimeCheck(StrEnum):
    """What a responder does with the lifetimes (and PFS) that an initiator offers, as racoon does.

    `obey` takes whatever is offered; `strict` refuses what is longer than its own; `claim` takes
    its own where that is shorter, and says so with RESPONDER-LIFETIME; `exact` wants its own.
    """

    OBEY = "obey"
    STRICT = "strict"
    CLAIM = "claim"
    EXACT = "exact"


class Phase1Mode(StrEnum):
    """How an ISAKMP SA is made (RFC 2409 5)."""

    MAIN = "main"
    AGGRESSIVE = "aggressive"


class Rekeying(StrEnum):
    """Who replaces an SA before it expires: the end that started it, any end, or none."""

    INITIATOR = "initiator"
    ANY = "any"
    NEVER = "never"


class Padding(StrEnum):
    """What stands behind the payloads of an encrypted message: at least one octet, as most send.

    `racoon` is random with the count less one at its end, `zero` is all zero.
    """

    RACOON = "racoon"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an SA lives; 0 is without limit."""

    seconds: int = 0
    kilobytes: int = 0

    def __str__(self) -> str:
        return f"{self.seconds} s, {self.kilobytes} KB"


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """Both ends prove that they know one secret (RFC 2409 5.4)."""

    secret: bytes = field(repr=False)

    @property
    def method(self) -> int:
        """The Authentication Method attribute."""
        return AuthenticationMethod.PRE_SHARED_KEY


@dataclass(frozen=True, slots=True)
class Signer:
    """An end signs with the key of a certificate, and trusts the anchors (RFC 2409 5.1, RFC 4754).

    `chain` is the own certificate first. Both ends have keys of one kind. `epoch` is the date at
    which `now` is 0. Raises SignatureFailure for a key that IKEv1 does not sign with.
    """

    chain: tuple[Certificate, ...]
    key: PrivateKey = field(repr=False)
    anchors: tuple[Certificate, ...]
    epoch: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        method_of(self.key)

    @property
    def method(self) -> int:
        """The Authentication Method attribute, which the key decides."""
        return method_of(self.key)


Credentials = PreSharedKey | Signer


def _ciphers(*names: str) -> tuple[Encryption, ...]:
    return tuple(encryption(name) for name in names)


@dataclass(frozen=True, slots=True)
class Phase1:
    """What an ISAKMP SA may be made of."""

    encryptions: Sequence[Encryption] = _ciphers("AES_CBC_256", "AES_CBC_128", "3DES")
    hashes: Sequence[Prf] = (prf("HMAC_SHA2_256"), prf("HMAC_SHA1"))
    groups: Sequence[KeyExchange] = (key_exchange("MODP_1536"),)
    lifetime: Lifetime = Lifetime(86400)
    mode: Phase1Mode = Phase1Mode.MAIN
    check: LifetimeCheck = LifetimeCheck.OBEY
    accept_aggressive_psk: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """What a Quick Mode may agree on, and for whom: a pair of IPsec SAs.

    `local` and `remote` may be `OWN_ADDRESS`. `pfs` is the group of the Quick Mode's own key
    exchange, or None for none.
    """

    name: str
    local: Identity
    remote: Identity
    encryptions: Sequence[Encryption] = _ciphers("AES_CBC_256", "AES_CBC_128", "3DES")
    integrities: Sequence[Integrity] = (integrity("HMAC_SHA2_256_128"), integrity("HMAC_SHA1_96"))
    pfs: KeyExchange | None = None
    transport: bool = False
    lifetime: Lifetime = Lifetime(28800)
    check: LifetimeCheck = LifetimeCheck.OBEY


@dataclass(frozen=True, slots=True)
class DeadPeerDetection:
    """When to ask R-U-THERE (RFC 3706): every `interval`, again every `retry`, `limit` times.

    Without an interval the peer's questions are answered all the same.
    """

    interval: float = 20.0
    retry: float = 5.0
    limit: int = 5


@dataclass(frozen=True, slots=True)
class NatTraversal:
    """How to live with NAT (RFC 3947, RFC 3948 4).

    `force` pretends that the own address is translated. `keepalive` is the interval behind a NAT.
    """

    enabled: bool = True
    force: bool = False
    keepalive: float = 20.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One peer as this end has it in its configuration.

    `remote` None is any address, for a responder. `remote_identity` None accepts any identity
    that the credentials prove. `rekey_at` is the fraction of a lifetime after which it is
    replaced, `delete_superseded_after` how long a replaced IPsec SA is kept by the end that
    started it, in seconds. `nonce_size` is 8 to 256 octets.
    """

    name: str
    local: Address
    remote: Address | None
    credentials: Credentials
    local_identity: Identity
    remote_identity: Identity | None = None
    phase1: Phase1 = Phase1()
    children: tuple[Child, ...] = ()
    responder_only: bool = False
    dpd: DeadPeerDetection = DeadPeerDetection()
    nat: NatTraversal = NatTraversal()
    retransmission: Retransmission = USUAL_RETRANSMISSION
    rekeying: Rekeying = Rekeying.INITIATOR
    rekey_at: float = 0.8
    delete_superseded_after: float = 5.0
    initial_contact: bool = True
    nonce_size: int = 16
    padding: Padding = Padding.RACOON

    def child(self, name: str) -> Child:
        """The child of that name; raises LookupError that says which there are."""
        for child in self.children:
            if child.name == name:
                return child
        known = ", ".join(child.name for child in self.children) or "none"
        raise LookupError(f"connection {self.name} has no child {name!r}; it has {known}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers and peers can make an engine hold, in number of things and seconds.

    Beyond `half_open` negotiations the oldest that has shown no life is given up. Where there are
    `isakmp_sas`, negotiations counted, no first message is answered any more.
    """

    half_open: int = 256
    half_open_time: float = 30.0
    isakmp_sas: int = 100_000
    quick_modes: int = 64
    remembered: int = 64
    events: int = 10_000
