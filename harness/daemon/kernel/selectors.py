# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors of IKE as those of the kernel's SPD, which knows prefixes and masks only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network, summarize_address_range

from harness.ike.traffic_selectors import TrafficSelector
from harness.kernel.selector import Selector

MOST = 64
"""How many selectors of the kernel a pair of ranges may become before it is taken for a mistake."""

Network = IPv4Network | IPv6Network
Port = tuple[int, int]
"""A number and the mask under which it counts."""

_PORTS_FULL = (0, 65535)
_ICMP = (1, 58)


class TooManySelectors(ValueError):
    """Ranges that are no prefixes would need more policies than is reasonable."""


def kernel_selectors(
    sources: Iterable[TrafficSelector], destinations: Iterable[TrafficSelector]
) -> tuple[Selector, ...]:
    """What the kernel must be told for traffic between these; raises `TooManySelectors`.

    Selectors of two IP versions or of two protocols have no traffic in common and give nothing.
    """
    found: dict[Selector, None] = {}
    for source in sources:
        for destination in destinations:
            for selector in _between(source, destination):
                found[selector] = None
                if len(found) > MOST:
                    raise TooManySelectors(
                        f"the ranges {networks(source)[0]}… need more than {MOST} policies; "
                        "use prefixes"
                    )
    return tuple(found)


def networks(selector: TrafficSelector) -> list[Network]:
    """The prefixes that make up the selector's range of addresses."""
    first, last = selector.start_address, selector.end_address
    if isinstance(first, IPv4Address):
        assert isinstance(last, IPv4Address), "a selector has one type"
        return list(summarize_address_range(first, last))
    assert not isinstance(last, IPv4Address), "a selector has one type"
    return list(summarize_address_range(first, last))


def _between(source: TrafficSelector, destination: TrafficSelector) -> Iterator[Selector]:
    protocol = source.protocol or destination.protocol
    if source.type != destination.type or destination.protocol not in (0, protocol):
        return
    for from_port, to_port in _ports(protocol, source, destination):
        for here in networks(source):
            for there in networks(destination):
                yield Selector(
                    ip_network(here),
                    ip_network(there),
                    protocol,
                    from_port[0],
                    to_port[0],
                    from_port[1],
                    to_port[1],
                )


def _ports(
    protocol: int, source: TrafficSelector, destination: TrafficSelector
) -> Iterator[tuple[Port, Port]]:
    if protocol in _ICMP:
        yield from _icmp(source if _narrower(source) else destination)
        return
    for from_port in masked(source.start_port, source.end_port):
        for to_port in masked(destination.start_port, destination.end_port):
            yield from_port, to_port


def _narrower(selector: TrafficSelector) -> bool:
    return (selector.start_port, selector.end_port) != _PORTS_FULL


def _icmp(selector: TrafficSelector) -> Iterator[tuple[Port, Port]]:
    """Type and code stand in one number each (RFC 7296 3.13.1), in the kernel's two ports apart."""
    first, last = selector.start_port, selector.end_port
    if (first, last) == _PORTS_FULL or first > last:
        yield (0, 0), (0, 0)
        return
    for kind in range(first >> 8, (last >> 8) + 1):
        low = first & 0xFF if kind == first >> 8 else 0
        high = last & 0xFF if kind == last >> 8 else 0xFF
        if (low, high) == (0, 0xFF):
            yield (kind, 0xFFFF), (0, 0)
        else:
            yield from (((kind, 0xFFFF), (code, 0xFFFF)) for code in range(low, high + 1))


def masked(first: int, last: int) -> Iterator[Port]:
    """Numbers and masks that cover a range of ports; OPAQUE (65535 to 0) is any port."""
    if (first, last) == _PORTS_FULL or first > last:
        yield 0, 0
        return
    while first <= last:
        size = first & -first or 0x10000
        while first + size - 1 > last:
            size >>= 1
        yield first, 0xFFFF & ~(size - 1)
        first += size
