# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors narrowed by a responder and checked by an initiator (RFC 7296 2.9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from harness.ike.traffic_selectors import RawSelector, TrafficSelector

OPAQUE = (65535, 0)
MOST_SELECTORS = 64
"""How many selectors of a peer are looked at; narrowing costs their product."""


def host_selector(host: str, protocol: int = 0) -> TrafficSelector:
    """The selector that covers one address alone."""
    return TrafficSelector.of(ip_network(ip_address(host)), protocol)


def intersection(one: TrafficSelector, other: TrafficSelector) -> TrafficSelector | None:
    """The traffic that both cover, or None.

    OPAQUE ports (RFC 7296 3.13.1) are within any port range, and nothing but OPAQUE in them.
    """
    if one.type != other.type or len(one.start) != len(other.start):
        return None
    if one.protocol and other.protocol and one.protocol != other.protocol:
        return None
    start, end = max(one.start, other.start), min(one.end, other.end)
    ports = _ports(one, other)
    if start > end or ports is None:
        return None
    return TrafficSelector(one.type, one.protocol or other.protocol, *ports, start, end)


def narrow(
    offered: Iterable[TrafficSelector | RawSelector], allowed: Sequence[TrafficSelector]
) -> tuple[TrafficSelector, ...]:
    """The offered traffic that is allowed, in the order of the offer; empty where there is none."""
    found: list[TrafficSelector] = []
    for selector in tuple(offered)[:MOST_SELECTORS]:
        if not isinstance(selector, TrafficSelector):
            continue
        for mine in allowed:
            common = intersection(selector, mine)
            if common is not None and not any(within(common, other) for other in found):
                found = [other for other in found if not within(other, common)]
                found.append(common)
    return tuple(found)


def within(inner: TrafficSelector, outer: TrafficSelector) -> bool:
    """Whether `outer` covers all that `inner` covers."""
    return intersection(inner, outer) == replace(inner, length=None)


def all_within(
    inner: Sequence[TrafficSelector | RawSelector], outer: Sequence[TrafficSelector]
) -> bool:
    """Whether each of one or more selectors is within some of `outer`."""
    return bool(inner) and all(
        isinstance(selector, TrafficSelector) and any(within(selector, one) for one in outer)
        for selector in inner[:MOST_SELECTORS]
    )


def _ports(one: TrafficSelector, other: TrafficSelector) -> tuple[int, int] | None:
    first, second = (one.start_port, one.end_port), (other.start_port, other.end_port)
    if OPAQUE in (first, second):
        whole = (0, 65535)
        return OPAQUE if {first, second} <= {OPAQUE, whole} else None
    start, end = max(first[0], second[0]), min(first[1], second[1])
    return (start, end) if start <= end else None
