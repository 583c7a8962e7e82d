# SPDX-License-Identifier: GPL-2.0-or-later
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.kernel.selectors import TooManySelectors, kernel_selectors, masked, networks
from harness.ike.traffic_selectors import TS_IPV4_ADDR_RANGE, TrafficSelector

LEFT = TrafficSelector.of(ip_network("10.1.0.0/16"))
RIGHT = TrafficSelector.of(ip_network("10.2.0.0/16"))
PORTS = st.integers(0, 65_535)


def addresses(first: str, last: str) -> TrafficSelector:
    packed = ip_address(first).packed, ip_address(last).packed
    return TrafficSelector(TS_IPV4_ADDR_RANGE, 0, 0, 65_535, *packed)


def test_two_networks_are_one_selector() -> None:
    (found,) = kernel_selectors((LEFT,), (RIGHT,))
    assert str(found) == "10.1.0.0/16 to 10.2.0.0/16"


def test_a_range_of_addresses_becomes_its_prefixes() -> None:
    found = kernel_selectors((addresses("10.0.0.1", "10.0.0.4"),), (RIGHT,))
    assert [str(one.source) for one in found] == ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]


def test_ranges_that_need_too_many_policies_are_refused() -> None:
    uneven = addresses("10.0.0.1", "10.255.255.254")
    with pytest.raises(TooManySelectors, match="need more than 64 policies; use prefixes"):
        kernel_selectors((uneven,), (uneven,))


def test_two_ip_versions_or_protocols_have_no_traffic_in_common() -> None:
    ipv6 = TrafficSelector.of(ip_network("fd01::/64"))
    tcp = TrafficSelector.of(ip_network("10.1.0.0/16"), 6)
    udp = TrafficSelector.of(ip_network("10.2.0.0/16"), 17)
    assert kernel_selectors((LEFT,), (ipv6,)) == ()
    assert kernel_selectors((tcp,), (udp,)) == ()


def test_a_protocol_of_one_end_is_that_of_both() -> None:
    tcp = TrafficSelector.of(ip_network("10.1.0.0/16"), 6, 80, 80)
    (found,) = kernel_selectors((tcp,), (RIGHT,))
    assert (found.protocol, found.source_port, found.destination_port_mask) == (6, 80, 0)


def test_types_and_codes_of_icmp_stand_in_two_ports() -> None:
    echo = TrafficSelector.of(ip_network("10.1.0.0/16"), 1, 8 << 8, 8 << 8 | 255)
    port_unreachable = TrafficSelector.of(ip_network("10.1.0.0/16"), 1, 3 << 8 | 3, 3 << 8 | 3)
    (first,) = kernel_selectors((echo,), (RIGHT,))
    (second,) = kernel_selectors((port_unreachable,), (RIGHT,))
    assert (first.source_port, first.destination_port_mask) == (8, 0)
    assert (second.source_port, second.destination_port) == (3, 3)


@given(PORTS, PORTS, st.lists(PORTS, min_size=1, max_size=50))
def test_masks_cover_a_range_of_ports_and_nothing_else(
    one: int, other: int, probes: list[int]
) -> None:
    first, last = min(one, other), max(one, other)
    blocks = list(masked(first, last))
    for port in (first, last, max(first - 1, 0), min(last + 1, 65_535), *probes):
        covered = sum(port & mask == number for number, mask in blocks)
        assert covered == (first <= port <= last), (port, blocks)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_prefixes_cover_a_range_of_addresses_exactly(one: int, other: int) -> None:
    first, last = sorted((one, other))
    found = networks(addresses(str(ip_address(first)), str(ip_address(last))))
    assert sum(network.num_addresses for network in found) == last - first + 1
    assert int(found[0].network_address) == first
    assert int(found[-1].broadcast_address) == last
