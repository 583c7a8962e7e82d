# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario asks for and cannot have is one sentence, before anything waits for it."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.namespaces import NetworkError
from harness.network.topologies import HOST_TO_HOST, MOON_SUN
from harness.network.topology import NodeSpec, Topology
from harness.peers.contract import NativeFile, Peer, PeerError
from harness.peers.manual import IpXfrm
from scenarios.agreements import NET_NET
from tests.peers.strongswan.charons import PEERS

REFUSED = (NetworkError, PeerError, ValueError, AttributeError)
LONELY = Topology("lonely", (NodeSpec("venus"), *HOST_TO_HOST.nodes), HOST_TO_HOST.wires)

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a peer on a node that is not there": (
        {"venus": IpXfrm()},
        "topology 'moon-sun' has no node 'venus' to put a peer on; it has alice, moon, sun, bob",
    ),
    "options for a node that is not there": (
        {"options": {"venus": {"charon.a": 1}}},
        "an option is given for 'venus', which has no peer; there is one on moon, sun",
    ),
    "a file for a node without a peer": (
        {"native": {"alice": [NativeFile("/etc/ipsec.conf", "")]}},
        "a native file is given for 'alice', which has no peer; there is one on moon, sun",
    ),
    "a dialect for a node without a peer": (
        {"dialect": {"bob": "ipsec.conf"}},
        "a dialect is given for 'bob', which has no peer; there is one on moon, sun",
    ),
    "an oracle that there is not": (
        {"without": {"mirrors": "a slip"}},
        "there is no oracle 'mirrors' to opt out of; there is mirror, agreement, one-sa,",
    ),
    "a connection that ends elsewhere": (
        {"alice": PEERS["6.0.1"]},
        "connection 'net-net' has no end on 'alice'; it has moon, sun",
    ),
    "a dialect that none of them has": (
        {"dialect": "racoon"},
        "the dialect 'racoon' is not one of strongswan@6.0.1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_lab_that_cannot_be_is_one_sentence(lab: Lab, moon: Peer, sun: Peer, case: str) -> None:
    changes, sentence = WRONG[case]
    with pytest.raises(REFUSED, match=re.escape(sentence)) as caught:
        lab.up(MOON_SUN, connection=NET_NET, **{"moon": moon, "sun": sun, **changes})
    assert "\n" not in str(caught.value)


def test_a_second_network_would_record_over_the_first(lab: Lab) -> None:
    lab.up(HOST_TO_HOST)
    with pytest.raises(ValueError, match="this run has its network already, and a second one"):
        lab.up(HOST_TO_HOST)


UNKNOWN: dict[str, tuple[Callable[[Net], Any], str]] = {
    "traffic to a node that is not there": (
        lambda net: net.traffic("host1", "mars").__enter__(),
        "there is no node 'mars', only 'venus', 'host1', 'host3'",
    ),
    "traffic from a node that is not there": (
        lambda net: net.traffic("mars", "host1").__enter__(),
        "there is no node 'mars', only",
    ),
    "traffic to a node without an address": (
        lambda net: net.traffic("host1", "venus").__enter__(),
        "node 'venus' has no address that traffic could go to",
    ),
    "a ping to a node that is not there": (
        lambda net: net.ping("host1", "mars"),
        "there is no node 'mars', only",
    ),
    "a program on a node that is not there": (
        lambda net: net.run("mars", "true"),
        "there is no node 'mars', only",
    ),
    "a wire that is not there": (
        lambda net: net.wire("lan"),
        "there is no wire 'lan', only 'wan'",
    ),
    "a gateway that is not there": (
        lambda net: net.mars,
        "this network has no gateway 'mars'; it has none",
    ),
    "datagrams that are too small to be numbered": (
        lambda net: net.traffic("host1", "host3", size=1).__enter__(),
        "a flow of 1 bytes every 0.05 s cannot be: 28 to 65507 bytes",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_a_network_has_not_is_one_sentence_with_what_it_has(lab: Lab, case: str) -> None:
    ask, sentence = UNKNOWN[case]
    net = lab.up(LONELY)
    with pytest.raises(REFUSED, match=re.escape(sentence)) as caught:
        ask(net)
    assert "\n" not in str(caught.value)
