# SPDX-License-Identifier: GPL-2.0-or-later
import json
import random
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from harness.kernel.policy import Policy, Template
from harness.kernel.selector import Selector
from harness.kernel.spd import Spd

ALICE, BOB = ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")
TUNNEL = Template(ip_address("192.0.2.1"), ip_address("192.0.2.2"), reqid=1)
OUT = Policy(Selector(ALICE, BOB), "out", priority=5, templates=(TUNNEL,))
IN = Policy(Selector(BOB, ALICE), "in", priority=5, templates=(replace(TUNNEL, optional=True),))
EXEMPT = Policy(Selector(ALICE, BOB, protocol=17, destination_port=500), "out", priority=1)
SOCKET = Policy(Selector(ip_network("0.0.0.0/0"), ip_network("0.0.0.0/0")), "socket-in")


def test_a_policy_is_found_by_exact_selector_direction_and_priority() -> None:
    spd = Spd([OUT, IN, EXEMPT, replace(OUT, priority=0)])
    assert spd.find(selector=OUT.selector, direction="out") == replace(OUT, priority=0)
    assert spd.find(selector=OUT.selector, direction="out", priority=5) == OUT
    assert spd.find(selector=OUT.selector, direction="in") is None
    assert spd.find(selector=Selector(ALICE, ALICE), direction="out") is None


def test_the_policies_of_a_direction_come_the_most_urgent_first() -> None:
    assert Spd([OUT, IN, EXEMPT]).of("out") == (EXEMPT, OUT)


def test_a_snapshot_is_a_collection_of_its_policies() -> None:
    spd = Spd([OUT, IN])
    assert len(spd) == 2
    assert set(spd) == {IN, OUT}
    assert OUT in spd
    assert EXEMPT not in spd
    assert spd == Spd([IN, OUT])
    assert "policy out 10.1.0.0/16 to 10.2.0.0/16 priority 5" in repr(spd)


def test_the_json_is_the_same_whatever_the_order_of_the_kernel() -> None:
    policies = [replace(OUT, priority=n, index=8 * n + 1) for n in range(9)] + [IN, EXEMPT, SOCKET]
    expected = json.dumps(Spd(policies).as_json())
    for seed in range(5):
        random.Random(seed).shuffle(policies)
        assert json.dumps(Spd(policies).as_json()) == expected


def test_the_json_says_which_template_is_optional() -> None:
    written = Spd([OUT, IN]).as_json()
    assert [policy["templates"][0]["optional"] for policy in written] == [True, False]


def test_a_port_without_a_mask_is_that_port_alone() -> None:
    selector = Selector(ALICE, BOB, 17, source_port=500)
    assert (selector.source_port_mask, selector.destination_port_mask) == (0xFFFF, 0)
    assert str(selector) == "10.1.0.0/16 to 10.2.0.0/16 protocol 17 source port 500"


def test_icmp_has_a_type_and_a_code_in_the_place_of_ports() -> None:
    selector = Selector(ALICE, BOB, 1, source_port=8, destination_port_mask=0xFFFF)
    assert str(selector) == "10.1.0.0/16 to 10.2.0.0/16 protocol 1 type 8 code 0"


def test_a_mixture_of_ip_versions_is_refused() -> None:
    with pytest.raises(ValueError, match="mixes IPv4 and IPv6"):
        Selector(ALICE, ip_network("2001:db8::/64"))
    with pytest.raises(ValueError, match="mixes IPv4 and IPv6"):
        Template(ip_address("192.0.2.1"), ip_address("::1"))
