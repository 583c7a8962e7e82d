# SPDX-License-Identifier: GPL-2.0-or-later
"""The IPsec SAs of a Quick Mode as a data plane installs them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from harness.daemon.sa_pair import SaPair
from harness.ike.constants_v1 import IdType
from harness.ike.esp import EspSa
from harness.ike.traffic_selectors import (
    TS_IPV4_ADDR_RANGE,
    TS_IPV6_ADDR_RANGE,
    TrafficSelector,
)
from harness.ike.v1.identity import Identity
from harness.ike.v1.ipsec_sa import IpsecSa

_SUBNETS = (IdType.IPV4_ADDR_SUBNET, IdType.IPV6_ADDR_SUBNET)
_RANGES = (IdType.IPV4_ADDR_RANGE, IdType.IPV6_ADDR_RANGE)


def pair_of(sa: IpsecSa, reqid: int, rekey_at: float) -> SaPair:
    """The pair; `rekey_at` is the part of its lifetime after which it is to be replaced."""
    seconds, octets = sa.lifetime.seconds, sa.lifetime.kilobytes * 1024
    return SaPair(
        name=sa.name,
        inbound=EspSa(
            int.from_bytes(sa.inbound_spi, "big"),
            sa.encryption,
            sa.inbound.encryption,
            sa.integrity,
            sa.inbound.integrity,
        ),
        outbound=EspSa(
            int.from_bytes(sa.outbound_spi, "big"),
            sa.encryption,
            sa.outbound.encryption,
            sa.integrity,
            sa.outbound.integrity,
        ),
        path=sa.path,
        local=(selector_of(sa.local),),
        remote=(selector_of(sa.remote),),
        reqid=reqid,
        transport=sa.transport,
        encapsulated=sa.encapsulated,
        rekey_after=int(seconds * rekey_at),
        life=seconds,
        rekey_octets=int(octets * rekey_at),
        octets=octets,
    )


def selector_of(identity: Identity) -> TrafficSelector:
    """The traffic that a phase 2 identity stands for (RFC 2407 4.6.2); raises `ValueError`."""
    first, last = _range(identity)
    version = ip_address(first).version
    ports = (identity.port, identity.port) if identity.port else (0, 65535)
    kind = TS_IPV4_ADDR_RANGE if version == 4 else TS_IPV6_ADDR_RANGE
    return TrafficSelector(kind, identity.protocol, *ports, first, last)


def _range(identity: Identity) -> tuple[bytes, bytes]:
    data, half = identity.data, len(identity.data) // 2
    if identity.id_type in _RANGES:
        return data[:half], data[half:]
    if identity.id_type in _SUBNETS:
        mask = int.from_bytes(data[half:], "big")
        network = ip_network((data[:half], mask.bit_count()), strict=False)
        return network.network_address.packed, network.broadcast_address.packed
    if identity.id_type in (IdType.IPV4_ADDR, IdType.IPV6_ADDR):
        return data, data
    raise ValueError(f"identity {identity} says nothing about addresses")
