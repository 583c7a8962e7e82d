# SPDX-License-Identifier: GPL-2.0-or-later
"""What two peers are to agree on, in no daemon's dialect.

A `Connection` has two sides, each written out in full, so that a scenario can make them differ on
purpose:

    NET_NET.with_child(life=10, rekey=5, jitter=0, on="moon")

Proposals are written as the field writes them: transforms joined by dashes,
``aes256-sha256-x25519``. Lifetimes are whole seconds; 0 means none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from harness.ike.retransmission import Retransmission

Mode = Literal["tunnel", "transport"]


@dataclass(frozen=True)
class PreSharedKey:
    """Both ends prove that they know one secret (RFC 7296 2.15, RFC 2409 5.4)."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class Certificate:
    """An end signs with the key of an X.509 certificate, and trusts one authority (RFC 7296 3.6).

    All are PEM text; `intermediates` has the certificates between the end's and an authority, the
    end's issuer first.
    """

    certificate: str = field(repr=False)
    private_key: str = field(repr=False)
    authority: str = field(repr=False)
    intermediates: tuple[str, ...] = field(default=(), repr=False)


Authentication = PreSharedKey | Certificate


@dataclass(frozen=True)
class End:
    """One end of a connection: where it is, who it says it is, what it protects.

    `subnets` are traffic selectors in CIDR notation (RFC 7296 2.9); none means its own address.
    """

    node: str
    address: str
    identity: str
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ike:
    """The IKE SA (or ISAKMP SA) as one end wants it; times in seconds, 0 for never.

    Without `retransmission` and `fragment_size` the daemon does as it does by default; the latter
    is the most octets that an IP packet with a fragment of a message has (RFC 7383). `childless`
    makes the IKE SA without a CHILD_SA, which then has an exchange of its own (RFC 6023).
    """

    version: Literal[1, 2] = 2
    proposals: tuple[str, ...] = ("aes128-sha256-x25519",)
    rekey: int = 3600
    reauth: int = 0
    jitter: int = 0
    overrun: int = 360
    dpd_delay: int = 0
    mobike: bool = False
    force_encapsulation: bool = False
    retransmission: Retransmission | None = None
    fragment_size: int | None = None
    childless: bool = False


@dataclass(frozen=True)
class Child:
    """The CHILD_SA (or IPsec SA) as one end wants it; times in seconds, 0 for never.

    An SA is rekeyed at ``rekey - random(0, jitter)`` and ends at `life`. On one that was rekeyed
    packets are still received for `keep_rekeyed` seconds; None leaves that to the daemon.
    """

    name: str
    mode: Mode = "tunnel"
    proposals: tuple[str, ...] = ("aes128gcm16-x25519",)
    life: int = 1320
    rekey: int = 1200
    jitter: int = 0
    keep_rekeyed: int | None = None


@dataclass(frozen=True)
class Side:
    """A connection as one end has it in its configuration."""

    name: str
    local: End
    remote: End
    authentication: Authentication
    ike: Ike
    child: Child


@dataclass(frozen=True)
class Connection:
    """Two sides of one agreement, by the name of their node."""

    name: str
    sides: Mapping[str, Side]

    @classmethod
    def between(
        cls,
        left: End,
        right: End,
        *,
        name: str,
        authentication: Authentication,
        ike: Ike | None = None,
        child: Child | None = None,
    ) -> Connection:
        """A connection on which both sides agree in everything."""
        common = {
            "authentication": authentication,
            "ike": ike or Ike(),
            "child": child or Child(name),
        }
        sides = {
            here.node: Side(name=name, local=here, remote=there, **common)  # type: ignore[arg-type]
            for here, there in ((left, right), (right, left))
        }
        return cls(name, sides)

    def with_ike(self, *, on: str | None = None, **changes: Any) -> Self:
        """The same connection with other IKE SA parameters, at both ends or only on one node."""
        return self._changed(on, lambda side: {"ike": dataclasses.replace(side.ike, **changes)})

    def with_child(self, *, on: str | None = None, **changes: Any) -> Self:
        """The same connection with other CHILD_SA parameters, at both ends or only on one node."""
        return self._changed(on, lambda side: {"child": dataclasses.replace(side.child, **changes)})

    def authenticated_by(self, authentication: Authentication, *, on: str | None = None) -> Self:
        """The same connection with other credentials, at both ends or only on one node."""
        return self._changed(on, lambda side: {"authentication": authentication})

    def with_subnets(
        self,
        *,
        on: str,
        local: tuple[str, ...] | None = None,
        remote: tuple[str, ...] | None = None,
    ) -> Self:
        """The same connection with other subnets in the configuration of one node alone."""

        def change(side: Side) -> dict[str, End]:
            ends = {"local": (side.local, local), "remote": (side.remote, remote)}
            return {
                name: dataclasses.replace(end, subnets=subnets)
                for name, (end, subnets) in ends.items()
                if subnets is not None
            }

        return self._changed(on, change)

    def with_address(self, of: str, address: str, *, on: str | None = None) -> Self:
        """The same connection with another address of one node, or what one node takes for it."""

        def change(side: Side) -> dict[str, End]:
            return {
                part: dataclasses.replace(end, address=address) if end.node == of else end
                for part, end in (("local", side.local), ("remote", side.remote))
            }

        return self._changed(on, change)

    def _changed(self, on: str | None, change: Any) -> Self:
        if on is not None and on not in self.sides:
            raise ValueError(
                f"connection {self.name} has no end on {on}; it has {', '.join(self.sides)}"
            )
        sides = {
            node: dataclasses.replace(side, **change(side)) if on in (None, node) else side
            for node, side in self.sides.items()
        }
        return dataclasses.replace(self, sides=sides)
