# SPDX-License-Identifier: GPL-2.0-or-later
"""The pair of IPsec SAs that a Quick Mode makes, as a data plane installs it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ike.address import Path
from harness.ike.keys import DirectionKeys
from harness.ike.transforms import Encryption, Integrity, KeyExchange
from harness.ike.v1.configuration import Lifetime
from harness.ike.v1.identity import Identity


@dataclass(frozen=True, slots=True)
class IpsecSa:
    """A pair of ESP SAs. SPIs have 4 octets; `initiator` tells whether this end began.

    `encapsulated` says that a NAT makes ESP travel in UDP along `path` (RFC 3948). `local` and
    `remote` are what they protect. Nonces decide between SAs that were made at once.
    """

    name: str
    connection: str
    inbound_spi: bytes
    outbound_spi: bytes
    encryption: Encryption
    integrity: Integrity | None
    pfs: KeyExchange | None
    local: Identity
    remote: Identity
    transport: bool
    encapsulated: bool
    inbound: DirectionKeys
    outbound: DirectionKeys
    initiator: bool
    path: Path
    lifetime: Lifetime
    nonce_i: bytes
    nonce_r: bytes
