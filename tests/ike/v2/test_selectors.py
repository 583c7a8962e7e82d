# SPDX-License-Identifier: GPL-2.0-or-later
"""Narrowing: what both ends want, and nothing that one of them does not."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from harness.ike.traffic_selectors import RawSelector, TrafficSelector
from harness.ike.v2.selectors import (
    MOST_SELECTORS,
    all_within,
    host_selector,
    intersection,
    narrow,
    within,
)

WHOLE = TrafficSelector.of(ip_network("0.0.0.0/0"))
TEN = TrafficSelector.of(ip_network("10.0.0.0/8"))
PART = TrafficSelector.of(ip_network("10.1.0.0/16"))
TCP = TrafficSelector.of(ip_network("10.0.0.0/8"), 6, 80, 443)
OPAQUE = TrafficSelector.of(ip_network("10.0.0.0/8"), 6, 65535, 0)
SIX = TrafficSelector.of(ip_network("::/0"))

octet = st.integers(0, 255)
ranges = st.tuples(octet, octet).map(sorted)
selectors = st.builds(
    lambda hosts, ports, protocol: TrafficSelector(
        7, protocol, ports[0], ports[1], bytes([10, 0, 0, hosts[0]]), bytes([10, 0, 0, hosts[1]])
    ),
    ranges,
    ranges,
    st.sampled_from((0, 6, 17)),
)
packets = st.tuples(octet, octet, st.sampled_from((6, 17)))


def covers(selector: TrafficSelector, packet: tuple[int, int, int]) -> bool:
    host, port, protocol = packet
    return (
        selector.start[3] <= host <= selector.end[3]
        and selector.start_port <= port <= selector.end_port
        and selector.protocol in (0, protocol)
    )


@given(st.lists(selectors, max_size=4), st.lists(selectors, max_size=4), packets)
def test_a_packet_passes_what_is_left_if_it_passes_both(
    offered: list[TrafficSelector], allowed: list[TrafficSelector], packet: tuple[int, int, int]
) -> None:
    both = any(covers(one, packet) for one in offered) and any(
        covers(one, packet) for one in allowed
    )
    assert any(covers(one, packet) for one in narrow(offered, allowed)) == both


@given(selectors, selectors)
def test_what_two_have_in_common_is_within_both(
    one: TrafficSelector, other: TrafficSelector
) -> None:
    common = intersection(one, other)
    assert common == intersection(other, one)
    if common is not None:
        assert within(common, one)
        assert within(common, other)


def test_the_order_of_the_offer_is_kept_and_doubles_go() -> None:
    assert narrow([PART, TEN, PART], [WHOLE]) == (TEN,)
    assert narrow([TCP, SIX], [SIX, TEN]) == (TCP, SIX)


def test_addresses_of_another_family_and_unknown_types_have_nothing_in_common() -> None:
    assert not narrow([SIX, RawSelector(10, 0, b"label")], [WHOLE])
    assert not all_within([RawSelector(10, 0, b"label")], [WHOLE])
    assert not all_within([], [WHOLE])


def test_opaque_ports_match_only_any_port_and_themselves() -> None:
    assert intersection(OPAQUE, TEN) == OPAQUE
    assert intersection(OPAQUE, OPAQUE) == OPAQUE
    assert intersection(OPAQUE, TCP) is None


def test_a_host_selector_covers_one_address() -> None:
    found = host_selector("2001:db8::1")
    assert found.start_address == found.end_address == ip_address("2001:db8::1")


def test_a_flood_of_selectors_costs_little() -> None:
    hosts = [host_selector(f"10.0.{n // 250}.{n % 250}") for n in range(5000)]
    assert len(narrow(hosts, [TEN])) <= MOST_SELECTORS
