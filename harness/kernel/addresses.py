# SPDX-License-Identifier: GPL-2.0-or-later
"""xfrm_address_t: sixteen bytes that hold an IPv4 address in the first four, or an IPv6 address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from socket import AF_INET, AF_INET6

from harness.kernel.errors import MalformedMessage

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SIZE = 16
ANY = ipaddress.IPv4Address(0)
ANY6 = ipaddress.IPv6Address(0)


def family_of(address: Address | Network) -> int:
    """AF_INET or AF_INET6."""
    return AF_INET if address.version == 4 else AF_INET6


def unspecified(family: int) -> Address:
    """0.0.0.0 or ::."""
    return ANY6 if family == AF_INET6 else ANY


@lru_cache(maxsize=4096)
def read_address(data: bytes, family: int) -> Address:
    """The address in the first bytes of an xfrm_address_t; raises MalformedMessage."""
    if len(data) < SIZE:
        raise MalformedMessage(f"an address has {SIZE} bytes and only {len(data)} are left")
    if family == AF_INET:
        return ipaddress.IPv4Address(data[:4])
    if family == AF_INET6:
        return ipaddress.IPv6Address(data[:SIZE])
    raise MalformedMessage(f"an address of family {family} is neither IPv4 nor IPv6")


def write_address(address: Address) -> bytes:
    """The address as an xfrm_address_t."""
    return address.packed.ljust(SIZE, b"\0")


def read_network(data: bytes, prefix: int, family: int) -> Network:
    """The network of so many bits; bits behind the prefix are ignored, as the kernel does.

    Raises MalformedMessage for a prefix that is longer than the address.
    """
    address = read_address(data, family)
    if prefix > address.max_prefixlen:
        raise MalformedMessage(
            f"a prefix of {prefix} bits is longer than an IPv{address.version} address"
        )
    return ipaddress.ip_network((address, prefix), strict=False)
