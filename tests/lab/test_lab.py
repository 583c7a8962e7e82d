# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario asks for and cannot have is one sentence, before anything waits for it."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.errors import NetworkError
from harness.network.topologies import HOST_TO_HOST, MOON_SUN
from harness.network.topology import NodeSpec, Topology
from harness.peers.contract import ConfigurationRefused, NativeFile, Peer, PeerError
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


def test_a_second_network_of_a_run_leaves_the_evidence_of_the_first_alone(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    damaged = [NativeFile("/etc/ipsec.conf", "conn net\n    lefft=192.168.0.1\n")]
    with pytest.raises(ConfigurationRefused, match=r"/etc/ipsec\.conf:2: unknown keyword 'lefft'"):
        lab.up(MOON_SUN, moon=moon, native={"moon": damaged}, dialect="ipsec.conf")
    # What the first one complained of is not in the log of the second.
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET, dialect="ipsec.conf")
    net.moon.initiate("net-net")
    lab.keep_evidence()
    first, second = lab.folder, lab.folder / "network-2"
    assert "lefft" in (first / "moon" / "charon-keys.log").read_text()
    assert "lefft" not in (second / "moon" / "charon-keys.log").read_text()
    assert (second / "capture.pcapng").stat().st_size > (first / "capture.pcapng").stat().st_size
    assert (second / "sad.json").exists()
    assert not (first / "sad.json").exists()


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
