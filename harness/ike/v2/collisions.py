# SPDX-License-Identifier: GPL-2.0-or-later
"""Who wins when both ends rekey the same SA at once (RFC 7296 2.8.1 and 2.8.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contender:
    """One of two exchanges that rekey the same SA: both of its nonces, and whose it is."""

    nonce_i: bytes
    nonce_r: bytes


@dataclass(frozen=True, slots=True)
class Collision:
    """The exchange of the peer that came in while our own ran, and the SPI of the SA it made.

    `spi` is our end's: inbound of a CHILD_SA, or ours of an IKE SA.
    """

    contender: Contender
    spi: bytes


def loses(own: Contender, other: Contender) -> bool:
    """Whether the SA of the exchange `own` is redundant: the lowest of the four nonces is its.

    Equal lowest nonces do not happen among random ones; then the other nonce decides, so that
    both ends still decide alike.
    """
    return sorted((own.nonce_i, own.nonce_r)) < sorted((other.nonce_i, other.nonce_r))
