# SPDX-License-Identifier: GPL-2.0-or-later
"""Where datagrams come from and go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple

IKE_PORT = 500
NAT_PORT = 4500


class Address(NamedTuple):
    """An IP address as text and a UDP port."""

    host: str
    port: int = IKE_PORT

    @property
    def packed(self) -> bytes:
        """The IP address as 4 or 16 octets; raises `ValueError` where `host` is none."""
        return ip_address(self.host).packed

    def on_port(self, port: int) -> Address:
        """The same host with another port."""
        return Address(self.host, port)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP payload to send, with the non-ESP marker where its source port wants one."""

    data: bytes = field(repr=False)
    source: Address
    destination: Address


@dataclass(frozen=True, slots=True)
class Path:
    """The two ends between which the messages of an IKE SA travel now."""

    local: Address
    remote: Address

    def on_port(self, local: int, remote: int) -> Path:
        """The same hosts with other ports."""
        return Path(self.local.on_port(local), self.remote.on_port(remote))
