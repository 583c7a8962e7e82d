# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from harness.lab.lab import Lab
from harness.peers.contract import Configuration
from harness.peers.ikelabd import Ikelabd
from scenarios.agreements import MOON, SUN
from scenarios.ikev2.test_ip_versions import OUTSIDE_V6
from scenarios.ikev2.test_ip_versions import test_ipv4_in_ipv6 as ipv4_in_ipv6
from scenarios.ikev2.test_ip_versions import test_ipv6_in_ipv4 as ipv6_in_ipv4
from scenarios.ikev2.test_ip_versions import test_ipv6_in_ipv6 as ipv6_in_ipv6
from tests.sabotage.controls import turns_red

HEADERS = {
    4: IP(src="10.1.0.10", dst="10.2.0.10"),
    6: IPv6(src="fd01::10", dst="fd02::10"),
}
OUTSIDE_V4 = {end.node: end.address for end in (MOON, SUN)}


@pytest.mark.parametrize(
    ("scenario", "inside"), [(ipv6_in_ipv4, 6), (ipv4_in_ipv6, 4), (ipv6_in_ipv6, 6)]
)
def test_a_tunnel_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, scenario: Callable[..., None], inside: int
) -> None:
    packet = Ether(dst="ff:ff:ff:ff:ff:ff") / HEADERS[inside] / UDP(sport=1, dport=1) / b"plain!!!"
    lab.disturb = lambda net: net.wire("wan").inject("moon", bytes(packet)) and None
    because = "clear: 1 frames on wan are in clear"
    turns_red(lab, scenario, Ikelabd(), Ikelabd(), because=because)


@pytest.mark.parametrize(
    ("scenario", "outside", "because"),
    [
        (ipv6_in_ipv4, OUTSIDE_V6, r"assert \{6\} == \{4\}"),
        (ipv4_in_ipv6, OUTSIDE_V4, r"assert \{4\} == \{6\}"),
    ],
)
def test_a_tunnel_turns_red_when_its_outside_is_of_the_other_version(
    lab: Lab, scenario: Callable[..., None], outside: dict[str, str], because: str
) -> None:
    def move(node: str, configuration: Configuration) -> Configuration:
        side = configuration.side
        assert side is not None
        local, remote = (
            replace(end, address=outside[end.node]) for end in (side.local, side.remote)
        )
        return replace(configuration, side=replace(side, local=local, remote=remote))

    lab.rewrite = move
    turns_red(lab, scenario, Ikelabd(), Ikelabd(), because=because)
