# SPDX-License-Identifier: GPL-2.0-or-later
"""The traffic that a message asks for, as networks: traffic selectors, or proxy-ids of IKEv1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v1 import IdType
from harness.ike.constants_v2 import PayloadType
from harness.ike.description import identity
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.negotiations import Message

Network = IPv4Network | IPv6Network
Range = tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]

ANY_PORT = (0, 65535)


def traffic_of(failure: Failure, node: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The traffic that was asked for of a party and of the other one; empty where none was."""
    asked = failure.asked
    if failure.version == 2:
        both = selectors(asked, PayloadType.TSi), selectors(asked, PayloadType.TSr)
        initiator = asked.receiver if asked.response else asked.sender
    else:
        same = (o for o in failure.negotiation.messages if o.message_id == asked.message_id)
        initiator = next((one.sender for one in same), asked.sender)
        found = proxies(asked)
        both = ((found[0],), (found[1],)) if found else ((), ())
    return both if node == initiator else both[::-1]


def selectors(message: Message, kind: int) -> tuple[str, ...]:
    """TSi or TSr of a message, each selector as a network or range."""
    payload = message.one(v2.TrafficSelectors, kind)
    return tuple(_written(one) for one in payload.selectors) if payload else ()


def _written(selector: v2.TrafficSelector | v2.RawSelector) -> str:
    if isinstance(selector, v2.RawSelector):
        return f"selector of type {selector.type}"
    try:
        text = range_text((selector.start_address, selector.end_address))
    except ValueError:
        return "a selector with addresses that are none"
    ports = (selector.start_port, selector.end_port)
    narrowed = [f"protocol {selector.protocol}"] if selector.protocol else []
    if ports != ANY_PORT:
        narrowed.append(f"ports {ports[0]}-{ports[1]}")
    return f"{text} ({', '.join(narrowed)})" if narrowed else text


def range_text(ends: Range) -> str:
    """A range of addresses as a network where it is one."""
    first, last = ends
    try:
        networks = list(summarize_address_range(first, last))
    except (TypeError, ValueError):
        return f"{first}-{last}"
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def ranges(message: Message, kind: int) -> Iterator[Range]:
    """TSi or TSr of a message, the first and last address of each selector."""
    payload = message.one(v2.TrafficSelectors, kind)
    for selector in payload.selectors if payload else ():
        if isinstance(selector, v2.TrafficSelector):
            try:
                yield selector.start_address, selector.end_address
            except ValueError:
                continue


def overlap(ranges: Iterable[Range], wanted: Iterable[str]) -> bool:
    """Whether a range has an address in one of these networks."""
    networks = [one for one in map(network, wanted) if one is not None]
    return any(
        first.version == one.version
        and int(first) <= int(one.broadcast_address)
        and int(last) >= int(one.network_address)
        for first, last in ranges
        for one in networks
    )


def network(text: str) -> Network | None:
    """A network from its text, or None where that says something else."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def proxies(message: Message) -> tuple[str, str] | None:
    """IDci and IDcr of a Quick Mode message as networks, None where it has not both."""
    found = message.all(v1.Identification)
    return (proxy(found[0]), proxy(found[1])) if len(found) >= 2 else None


def proxy(payload: v1.Identification) -> str:
    """An ID payload of phase 2 as a network or range."""
    data, half = payload.data, len(payload.data) // 2
    try:
        match payload.id_type:
            case IdType.IPV4_ADDR | IdType.IPV6_ADDR:
                return str(ip_network(data))
            case IdType.IPV4_ADDR_SUBNET:
                return str(ip_network(f"{ip_address(data[:half])}/{ip_address(data[half:])}"))
            case IdType.IPV6_ADDR_SUBNET:
                prefix = bin(int.from_bytes(data[half:], "big")).count("1")
                return str(ip_network((data[:half], prefix)))
            case IdType.IPV4_ADDR_RANGE | IdType.IPV6_ADDR_RANGE:
                return range_text((ip_address(data[:half]), ip_address(data[half:])))
    except ValueError:
        pass
    return identity(payload.id_type, data, 1)
