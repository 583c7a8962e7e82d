# SPDX-License-Identifier: GPL-2.0-or-later
"""Rekeying by hand with ``ip xfrm``: the way that loses nothing, and the way that fails."""

from itertools import groupby

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.errors import CommandFailed
from harness.network.topologies import HOST_TO_HOST
from harness.peers.manual import IpXfrm
from harness.scenario import scenario

KEYS = {
    1: "auth sha256 0xd3413c31c7d19c93d04db1c6ae8d73d9a64910c2e76297129acde44aaa9de5c5"
    " enc aes 0xcd191fac520878852e15647dce3456ba9857e2dfd6ed56421eb50cb58d7a1e5a",
    2: "auth sha256 0xed2ac9c739894c73bae1a9fe477631add20398b0bbc906c5ec486f27ddbb84ac"
    " enc aes 0x2bdfbfbee5aab7be4f4ccfe202e6f1d5e363503140441fe8aba77c3b784e65bd",
}
HOST1_TO_HOST3 = "src 10.0.0.1 dst 10.0.0.3"
HOST3_TO_HOST1 = "src 10.0.0.3 dst 10.0.0.1"
DIRECTIONS = {
    "host1": {"out": HOST1_TO_HOST3, "in": HOST3_TO_HOST1},
    "host3": {"out": HOST3_TO_HOST1, "in": HOST1_TO_HOST3},
}
SECOND = 25
"""Datagrams in a bit more than a second: of two SAs the kernel takes the one a second younger."""


@scenario(
    "manual-rekey-hitless",
    "A new SA with the old reqid takes over without a lost packet.",
    rfc="4301 4.5.1",
    seed="000",
    needs=("esp",),
)
def test_manual_rekey_hitless(lab: Lab) -> None:
    net = lab.up(HOST_TO_HOST, host1=IpXfrm(), host3=IpXfrm())
    keyed_by_hand(net)
    with net.traffic("host1", "host3", every=0.05) as flow:
        flow.await_crossed(SECOND)
        for host in DIRECTIONS:
            add_sa(net, host, "in", spi=2, reqid=1)
        flow.await_crossed(SECOND)
        for host in DIRECTIONS:
            add_sa(net, host, "out", spi=2, reqid=1)
        flow.await_crossed(SECOND)
        for host in DIRECTIONS:
            for direction in ("out", "in"):
                delete_sa(net, host, direction, spi=1)
        flow.await_crossed(SECOND)
    assert flow.lost == 0
    for host in DIRECTIONS:
        assert spis_in_order(net, host) == [1, 2]
        assert {sa.spi for sa in net.gateway(host).sad()} == {2}


@scenario(
    "manual-rekey-new-reqid",
    "A new SA with a reqid of its own is refused by the old policies, and loses packets.",
    rfc="4301 4.4.1",
    seed="000",
    needs=("esp",),
)
def test_manual_rekey_new_reqid(lab: Lab) -> None:
    net = lab.up(HOST_TO_HOST, host1=IpXfrm(), host3=IpXfrm())
    keyed_by_hand(net)
    with net.traffic(
        "host1", "host3", may_lose="the two hosts disagree on the reqid on purpose"
    ) as flow:
        flow.await_crossed(SECOND)
        for host in DIRECTIONS:
            for direction in ("out", "in"):
                add_sa(net, host, direction, spi=2, reqid=2)
                second_policy_is_refused(net, host, direction)
        flow.await_crossed(SECOND)
        mismatches = {host: template_mismatches(net, host) for host in DIRECTIONS}
        for direction in ("out", "in"):
            set_policy(net, "host1", direction, reqid=2, priority=5)
        assert priorities(net, "host1") == {"out": [5], "in": [5]}
        # Each end now sends what the other one's policy does not take.
        net.wire("wan").await_esp(sender="host3", spi=1, count=SECOND)
        net.wire("wan").await_esp(sender="host1", spi=2, count=SECOND)
        for host in DIRECTIONS:
            assert template_mismatches(net, host) > mismatches[host]
        for direction in ("out", "in"):
            set_policy(net, "host1", direction, reqid=1, priority=0)
        flow.await_crossed(SECOND)
    assert flow.lost > 0
    for direction in ("out", "in"):
        delete_policy(net, "host1", direction)
        with pytest.raises(CommandFailed, match="No such file or directory"):
            delete_policy(net, "host1", direction)


def second_policy_is_refused(net: Net, host: str, direction: str) -> None:
    """A policy with the selector of another one is EEXIST, at whatever priority.

    Linux before 5.9 took it at another priority; since then only another mark makes it another.
    """
    for priority in (0, 5):
        with pytest.raises(CommandFailed, match="File exists"):
            add_policy(net, host, direction, reqid=2, priority=priority)
    assert priorities(net, host)[direction] == [0]


def template_mismatches(net: Net, host: str) -> int:
    """How many packets a host refused because their SA was not the one of its policy."""
    return net.gateway(host).statistic("XfrmInTmplMismatch")


def keyed_by_hand(net: Net) -> None:
    for host in DIRECTIONS:
        for direction in ("out", "in"):
            add_sa(net, host, direction, spi=1, reqid=1)
    for host in DIRECTIONS:
        for direction in ("out", "in"):
            add_policy(net, host, direction, reqid=1, priority=0)


def add_sa(net: Net, host: str, direction: str, *, spi: int, reqid: int) -> None:
    ends = DIRECTIONS[host][direction]
    net.gateway(host).ip_xfrm(
        f"state add {ends} proto esp spi {spi} reqid {reqid} mode transport {KEYS[spi]}"
    )


def delete_sa(net: Net, host: str, direction: str, *, spi: int) -> None:
    net.gateway(host).ip_xfrm(f"state del {DIRECTIONS[host][direction]} proto esp spi {spi}")


def add_policy(net: Net, host: str, direction: str, *, reqid: int, priority: int) -> None:
    net.gateway(host).ip_xfrm(f"policy add {policy(host, direction, reqid, priority)}")


def set_policy(net: Net, host: str, direction: str, *, reqid: int, priority: int) -> None:
    """Put a policy in the place of the one with the same selector, with no gap between them."""
    net.gateway(host).ip_xfrm(f"policy update {policy(host, direction, reqid, priority)}")


def policy(host: str, direction: str, reqid: int, priority: int) -> str:
    ends = DIRECTIONS[host][direction]
    return (
        f"{ends} dir {direction} priority {priority}"
        f" tmpl {ends} proto esp reqid {reqid} mode transport"
    )


def delete_policy(net: Net, host: str, direction: str) -> None:
    net.gateway(host).ip_xfrm(f"policy del {DIRECTIONS[host][direction]} dir {direction}")


def priorities(net: Net, host: str) -> dict[str, list[int]]:
    policies = net.gateway(host).spd()
    return {
        direction: sorted(p.priority for p in policies if p.direction == direction)
        for direction in ("out", "in")
    }


def spis_in_order(net: Net, sender: str) -> list[int]:
    """The SPIs that a host sent with, one for each run of packets with the same."""
    sent = (packet.spi for packet in net.wire("wan").esp if packet.sender == sender)
    return [spi for spi, _ in groupby(sent)]
