# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 traffic selectors and the TSi and TSr payloads (RFC 7296 3.13)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from struct import Struct

from harness.ike.malformed import Malformed
from harness.ike.proposals import chosen, unusual

TS_IPV4_ADDR_RANGE = 7
TS_IPV6_ADDR_RANGE = 8
_ADDRESS_SIZE = {TS_IPV4_ADDR_RANGE: 4, TS_IPV6_ADDR_RANGE: 16}
_HEAD = Struct(">BBH")
_PORTS = Struct(">HH")
_RFC = "7296 3.13.1"


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """A range of addresses and ports of one IP protocol, 0 for any (RFC 7296 3.13.1).

    Addresses are 4 or 16 octets in network order. Ports 0 to 65535 mean any, 65535 to 0 OPAQUE.
    For ICMP a port is type * 256 + code. `length` forges the selector's length in octets.
    """

    type: int
    protocol: int
    start_port: int
    end_port: int
    start: bytes
    end: bytes
    length: int | None = None

    @property
    def start_address(self) -> IPv4Address | IPv6Address:
        """The first address of the range; raises `ValueError` where `start` is no address."""
        return ip_address(self.start)

    @property
    def end_address(self) -> IPv4Address | IPv6Address:
        """The last address of the range; raises `ValueError` where `end` is no address."""
        return ip_address(self.end)

    @classmethod
    def of(
        cls,
        network: IPv4Network | IPv6Network,
        protocol: int = 0,
        start_port: int = 0,
        end_port: int = 65535,
    ) -> TrafficSelector:
        """The selector that covers a network."""
        return cls(
            TS_IPV4_ADDR_RANGE if network.version == 4 else TS_IPV6_ADDR_RANGE,
            protocol,
            start_port,
            end_port,
            network.network_address.packed,
            network.broadcast_address.packed,
        )


@dataclass(frozen=True, slots=True)
class RawSelector:
    """A selector of an unknown type (a Fibre Channel range, a security label), as it came.

    `protocol` is the octet that TS_SECLABEL (RFC 9478) reserves.
    """

    type: int
    protocol: int = 0
    data: bytes = b""
    length: int | None = None


@dataclass(frozen=True, slots=True)
class TrafficSelectors:
    """TSi (44) or TSr (45): the selectors that one end offers or accepts (RFC 7296 3.13).

    `count` is the number of selectors, computed where None; `reserved` has 24 bits.
    """

    payload_type: int
    selectors: tuple[TrafficSelector | RawSelector, ...] = ()
    count: int | None = None
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """Count, reserved octets and selectors."""
        out = bytearray(chosen(self.count, len(self.selectors)).to_bytes(1, "big"))
        out += self.reserved.to_bytes(3, "big")
        for selector in self.selectors:
            if isinstance(selector, TrafficSelector):
                rest = (
                    _PORTS.pack(selector.start_port, selector.end_port)
                    + selector.start
                    + selector.end
                )
            else:
                rest = selector.data
            out += _HEAD.pack(
                selector.type, selector.protocol, chosen(selector.length, 4 + len(rest))
            )
            out += rest
        return bytes(out)


def decode_traffic_selectors(
    payload_type: int, data: bytes, start: int, end: int, flags: int
) -> TrafficSelectors:
    """The payload whose body is `data[start:end]`; raises `Malformed`."""
    if end - start < 4:
        raise Malformed(f"a TS body of {end - start} octets", start, "at least four", "7296 3.13")
    selectors: list[TrafficSelector | RawSelector] = []
    at = start + 4
    while at < end:
        room = end - at
        if room < 4:
            raise Malformed(f"a selector of {room} octets", at, "at least four", _RFC)
        kind, protocol, length = _HEAD.unpack_from(data, at)
        if not 4 <= length <= room:
            raise Malformed(f"a selector with length {length}", at, f"4 to {room} octets", _RFC)
        size = _ADDRESS_SIZE.get(kind)
        stop = at + length
        if size is None:
            selectors.append(RawSelector(kind, protocol, data[at + 4 : stop]))
        elif length != 8 + 2 * size:
            raise Malformed(
                f"a selector of type {kind} with length {length}", at, f"{8 + 2 * size}", _RFC
            )
        else:
            low, high = _PORTS.unpack_from(data, at + 4)
            middle = at + 8 + size
            selectors.append(
                TrafficSelector(kind, protocol, low, high, data[at + 8 : middle], data[middle:stop])
            )
        at = stop
    return TrafficSelectors(
        payload_type,
        tuple(selectors),
        unusual(data[start], len(selectors)),
        int.from_bytes(data[start + 1 : start + 4], "big"),
        flags,
    )
