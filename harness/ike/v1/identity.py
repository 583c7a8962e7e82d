# SPDX-License-Identifier: GPL-2.0-or-later
"""Identities: who a peer is in phase 1, and for whom it negotiates in phase 2 (RFC 2407 4.6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from harness.ike.constants_v1 import IdType
from harness.ike.description import identity as readable
from harness.ike.payloads_v1 import Identification
from harness.ike.v1.distinguished_name import same_name

UDP = 17


@dataclass(frozen=True, slots=True)
class Identity:
    """What an ID payload says. Protocol and port 0 stand for any."""

    id_type: int
    data: bytes
    protocol: int = 0
    port: int = 0

    def payload(self) -> Identification:
        """The ID payload."""
        return Identification(self.id_type, self.data, self.protocol, self.port)

    def is_who(self, other: Identity) -> bool:
        """Whether both name the same peer: in phase 1 protocol and port do not count."""
        if self.id_type == other.id_type == IdType.DER_ASN1_DN:
            return same_name(self.data, other.data)
        return (self.id_type, self.data) == (other.id_type, other.data)

    def __str__(self) -> str:
        return readable(self.id_type, self.data, 1)


def read_identity(payload: Identification) -> Identity:
    """The identity in an ID payload."""
    return Identity(payload.id_type, payload.data, payload.protocol, payload.port)


def address_identity(host: str, protocol: int = 0, port: int = 0) -> Identity:
    """An address, IPv4 or IPv6; raises ValueError for anything else."""
    packed = ip_address(host).packed
    kind = IdType.IPV4_ADDR if len(packed) == 4 else IdType.IPV6_ADDR
    return Identity(kind, packed, protocol, port)


def subnet_identity(network: str) -> Identity:
    """A network such as `10.1.0.0/16`, as address and mask; raises ValueError."""
    net = ip_network(network)
    kind = IdType.IPV4_ADDR_SUBNET if net.version == 4 else IdType.IPV6_ADDR_SUBNET
    return Identity(kind, net.network_address.packed + net.netmask.packed)


def name_identity(name: str) -> Identity:
    """A host name, or with an @ inside a user's name."""
    kind = IdType.USER_FQDN if "@" in name.lstrip("@") else IdType.FQDN
    return Identity(kind, name.lstrip("@").encode())


def dn_identity(der: bytes) -> Identity:
    """A distinguished name in DER: a certificate's subject."""
    return Identity(IdType.DER_ASN1_DN, der)


OWN_ADDRESS = Identity(IdType.RESERVED, b"")
"""In a child: the address that this end of it has, whatever that is."""

ANYTHING = subnet_identity("0.0.0.0/0")
"""What SEIL sends twice where it has no proxy-id."""
