# SPDX-License-Identifier: GPL-2.0-or-later
"""The selector of a policy or an SA: what traffic it is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.kernel.addresses import Network, family_of, read_network, write_address
from harness.kernel.structures import SELECTOR

ANY_PORT = 0
EVERY_BIT = 0xFFFF

PORT_NAMES = {1: ("type", "code"), 58: ("type", "code"), 135: ("type", "code")}
"""The protocols that keep a type and a code where others have ports (RFC 4301 section 4.4.1.1)."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Traffic by addresses, upper-layer protocol and ports.

    `protocol` is the IP protocol number, 0 any. A port is compared under its mask: mask 0 is any
    port, 0xffff exactly that one, which is what a port gets when no mask is given. ICMP has its
    type in `source_port` and its code in `destination_port`. `interface` is an index, 0 any.
    Raises ValueError when source and destination are not of one IP version.
    """

    source: Network
    destination: Network
    protocol: int = 0
    source_port: int = ANY_PORT
    destination_port: int = ANY_PORT
    source_port_mask: int | None = None
    destination_port_mask: int | None = None
    interface: int = 0
    user: int = 0

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(
                f"a selector from {self.source} to {self.destination} mixes IPv4 and IPv6"
            )
        if self.source_port_mask is None:
            object.__setattr__(self, "source_port_mask", EVERY_BIT if self.source_port else 0)
        if self.destination_port_mask is None:
            mask_of_destination = EVERY_BIT if self.destination_port else 0
            object.__setattr__(self, "destination_port_mask", mask_of_destination)

    def __str__(self) -> str:
        text = f"{self.source} to {self.destination}"
        if self.protocol:
            text += f" protocol {self.protocol}"
        names = PORT_NAMES.get(self.protocol, ("source port", "destination port"))
        if self.source_port_mask:
            text += f" {names[0]} {_port(self.source_port, self.source_port_mask)}"
        if self.destination_port_mask:
            text += f" {names[1]} {_port(self.destination_port, self.destination_port_mask)}"
        return text

    def as_json(self) -> dict[str, Any]:
        """The selector as plain values."""
        return {
            "source": str(self.source),
            "destination": str(self.destination),
            "protocol": self.protocol,
            "source_port": _port(self.source_port, self.source_port_mask or 0),
            "destination_port": _port(self.destination_port, self.destination_port_mask or 0),
            "interface": self.interface,
            "user": self.user,
        }


def _port(port: int, mask: int) -> int | str | None:
    if mask == EVERY_BIT:
        return port
    return f"{port:#x}/{mask:#x}" if mask else None


@lru_cache(maxsize=4096)
def read_selector(data: bytes, family: int) -> Selector:
    """The selector in an xfrm_selector; `family` counts where it says none of its own.

    Raises MalformedMessage.
    """
    record = SELECTOR.unpack(data)
    family = record.family or family
    return Selector(
        source=read_network(record.saddr, record.prefixlen_s, family),
        destination=read_network(record.daddr, record.prefixlen_d, family),
        protocol=record.proto,
        source_port=record.sport,
        destination_port=record.dport,
        source_port_mask=record.sport_mask,
        destination_port_mask=record.dport_mask,
        interface=record.ifindex,
        user=record.user,
    )


def write_selector(selector: Selector) -> bytes:
    """The selector as an xfrm_selector."""
    return SELECTOR.pack(
        daddr=write_address(selector.destination.network_address),
        saddr=write_address(selector.source.network_address),
        dport=selector.destination_port,
        dport_mask=selector.destination_port_mask,
        sport=selector.source_port,
        sport_mask=selector.source_port_mask,
        family=family_of(selector.source),
        prefixlen_d=selector.destination.prefixlen,
        prefixlen_s=selector.source.prefixlen,
        proto=selector.protocol,
        ifindex=selector.interface,
        user=selector.user,
    )
