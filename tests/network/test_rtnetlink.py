# SPDX-License-Identifier: GPL-2.0-or-later
from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from harness.network.rtnetlink import (
    link_settings,
    link_up,
    new_address,
    new_route,
    new_veth,
    no_address,
)


def pyroute2_reads(kind: type, data: bytes) -> Any:
    message = kind(data)
    message.decode()
    assert message["header"]["length"] == len(data)
    return message


def test_the_settings_of_a_link_are_read_as_they_were_meant() -> None:
    link = pyroute2_reads(ifinfmsg, link_settings(7, "02:00:00:00:00:1f", 1400, 10_000))
    assert (link["header"]["type"], link["index"], link["change"]) == (RTM_NEWLINK, 7, 0)
    assert [link.get(name) for name in ("address", "mtu", "txqlen")] == [
        "02:00:00:00:00:1f",
        1400,
        10_000,
    ]


def test_a_link_is_set_up_and_nothing_else_is_changed() -> None:
    link = pyroute2_reads(ifinfmsg, link_up(7))
    assert (link["index"], link["flags"], link["change"]) == (7, IFF_UP, IFF_UP)
    assert link["attrs"] == []


def test_a_veth_pair_has_its_peer_in_another_network() -> None:
    link = pyroute2_reads(ifinfmsg, new_veth("eth0", "eth12", 33))
    assert link.get("ifname") == "eth0"
    assert link.get(("linkinfo", "kind")) == "veth"
    peer = link.get(("linkinfo", "data")).get_attr("VETH_INFO_PEER")
    assert (peer.get("ifname"), peer.get("net_ns_fd")) == ("eth12", 33)


@pytest.mark.parametrize(
    ("text", "prefix", "flags"), [("192.168.0.1", 24, 0), ("fd01::1", 64, IFA_F_NODAD)]
)
def test_an_address_is_added_and_taken_away(text: str, prefix: int, flags: int) -> None:
    for request, kind in ((new_address, RTM_NEWADDR), (no_address, RTM_DELADDR)):
        address = pyroute2_reads(ifaddrmsg, request(3, ip_address(text), prefix))
        assert (address["header"]["type"], address["index"]) == (kind, 3)
        assert (address["prefixlen"], address["flags"]) == (prefix, flags)
        assert (address.get("local"), address.get("address")) == (text, text)


@pytest.mark.parametrize(
    ("destination", "prefix", "gateway"),
    [("10.2.0.0", 16, "192.168.0.2"), ("fd02::", 64, "2001:db8::2"), ("0.0.0.0", 0, "10.1.0.1")],
)
def test_a_route_leads_over_its_gateway(destination: str, prefix: int, gateway: str) -> None:
    request = new_route(ip_address(destination), prefix, ip_address(gateway))
    route = pyroute2_reads(rtmsg, request)
    assert (route["header"]["type"], route["dst_len"]) == (RTM_NEWROUTE, prefix)
    assert (route.get("dst"), route.get("gateway")) == (destination, gateway)
    assert route["family"] == (2 if ":" not in gateway else 10)
