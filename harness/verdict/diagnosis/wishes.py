# SPDX-License-Identifier: GPL-2.0-or-later
"""What one end has in its configuration, whichever dialect it is written in.

A reader of a dialect makes a `Wishes`; its `spelling` writes a changed setting in the words of that
dialect, so that a remedy can be typed as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from harness.verdict.diagnosis.alternatives import Alternatives, SaKind


class Setting(StrEnum):
    """What can be changed on one side, in no dialect's words."""

    VERSION = "IKE version"
    IKE_PROPOSALS = "proposals for IKE"
    CHILD_PROPOSALS = "proposals for IPsec"
    LOCAL_IDENTITY = "own identity"
    REMOTE_IDENTITY = "peer's identity"
    LOCAL_SUBNETS = "own subnets"
    REMOTE_SUBNETS = "peer's subnets"
    PEER_ADDRESS = "peer's address"
    SECRET = "pre-shared key"
    METHOD = "authentication method"
    CERTIFICATE = "own certificate"
    PRIVATE_KEY = "private key"
    AUTHORITY = "trusted authority"
    MODE = "mode"
    EXCHANGE = "exchange mode"
    AGGRESSIVE_PSK = "aggressive mode with a pre-shared key"
    IKE_LIFETIME = "lifetime of the ISAKMP SA"
    CHILD_LIFETIME = "lifetime of the IPsec SA"


Value = str | int | bool | tuple[str, ...] | Alternatives
"""What a setting is changed to: alternatives, subnets, seconds, a version or a name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A setting as it stands: its line or words, and where that is (`ipsec.conf line 9`)."""

    text: str
    where: str


@dataclass(frozen=True, slots=True)
class Spelled:
    """A changed setting in a dialect: the line to write, and what it stands in place of."""

    text: str
    instead: str = ""
    where: str = ""


class Spelling(Protocol):
    """Writes settings in one dialect."""

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """The lines that give a setting this value, none where the dialect has no such thing."""
        ...


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an SA lives, in seconds and kilobytes; 0 is without limit."""

    seconds: int = 0
    kilobytes: int = 0


Check = Literal["obey", "claim", "strict", "exact"]
"""What a responder does with a lifetime that differs from its own; see ike.v1.configuration."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one end wants. Empty or None where its configuration does not say.

    `versions` are the IKE versions that it speaks. `proposals` has the alternatives for each kind
    of SA, `defaults` the kinds for which they are the daemon's own, because the configuration
    names none. `peer_addresses` without any admits every peer, `remote_identity` None every
    identity. `method` is `psk` or `pubkey`. `trusted` are certificates in PEM, `private_keys` what
    its daemon finds, None where only that knows. `lifetimes` and `checks` are for IKEv1.
    `aggressive` says that it starts with Aggressive Mode, `accepts_aggressive` whether it answers
    it with a pre-shared key.
    """

    node: str
    spelling: Spelling
    addresses: tuple[str, ...] = ()
    peer_addresses: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    proposals: Mapping[SaKind, Alternatives] = field(default_factory=dict)
    defaults: frozenset[SaKind] = frozenset()
    local_identity: str | None = None
    remote_identity: str | None = None
    local_subnets: tuple[str, ...] = ()
    remote_subnets: tuple[str, ...] = ()
    mode: Literal["tunnel", "transport"] | None = None
    method: Literal["psk", "pubkey"] | None = None
    secret: bytes | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    trusted: tuple[str, ...] = field(default=(), repr=False)
    lifetimes: Mapping[SaKind, Lifetime] = field(default_factory=dict)
    checks: Mapping[SaKind, Check] = field(default_factory=dict)
    aggressive: bool = False
    accepts_aggressive: bool | None = None
    places: Mapping[Setting, Place] = field(default_factory=dict, repr=False)
    private_keys: tuple[str, ...] | None = field(default=None, repr=False)

    def place(self, setting: Setting) -> Place | None:
        """Where a setting stands, or None where the configuration has none."""
        return self.places.get(setting)

    def alternatives(self, kind: SaKind) -> Alternatives:
        """What it wants for a kind of SA; empty where that is not known."""
        found = self.proposals.get(kind, ())
        if not found and kind is SaKind.LATER_CHILD_SA:
            return self.proposals.get(SaKind.CHILD_SA, ())
        return found


PROPOSALS: Mapping[bool, Setting] = {True: Setting.IKE_PROPOSALS, False: Setting.CHILD_PROPOSALS}


def proposals_of(kind: SaKind) -> Setting:
    """The setting with the proposals of a kind of SA."""
    return PROPOSALS[kind.protects_ike]
