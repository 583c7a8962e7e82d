# SPDX-License-Identifier: GPL-2.0-or-later
"""Identities of transport mode behind a NAT, where the two ends know different addresses.

Each end writes an address as it sees it, in NAT-OA too (RFC 3947 section 5.2), and reads the
other's as what it is to itself.
"""

from __future__ import annotations

from dataclasses import replace

from harness.ike.address import Address
from harness.ike.constants_v1 import IdType
from harness.ike.v1.identity import Identity

_ADDRESSES = (IdType.IPV4_ADDR, IdType.IPV6_ADDR)


def seen_as(identity: Identity, address: Address) -> Identity:
    """An identity of one address, with the address that this is here; another as it came."""
    if identity.id_type in _ADDRESSES and len(identity.data) == len(address.packed):
        return replace(identity, data=address.packed)
    return identity
