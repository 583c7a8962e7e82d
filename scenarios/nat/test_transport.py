# SPDX-License-Identifier: GPL-2.0-or-later
"""Transport mode with a NAT in between, where the two ends know moon by different addresses."""

import pytest

from harness.capture.exchanges import Delete, IkeAuth, IkeSaInit, Rekey
from harness.ike.constants_v2 import NotifyType, PayloadType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Notify, TrafficSelectors
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import NAT_IN_PATH
from harness.peers.connection import Child, Connection, End
from harness.peers.contract import Peer
from harness.peers.planes import on_plane
from harness.scenario import scenario
from scenarios.agreements import SECRET
from scenarios.nat.test_nat_in_path import esp_is_in_udp

INSIDE, OUTSIDE, SUN = "172.16.0.10", "192.168.0.1", "192.168.0.2"
CONNECTION = Connection.between(
    End("moon", INSIDE, "moon.strongswan.org"),
    End("sun", SUN, "sun.strongswan.org"),
    name="host-host",
    authentication=SECRET,
    child=Child("host-host", mode="transport", keep_rekeyed=1),
).with_address("moon", OUTSIDE, on="sun")


@pytest.mark.parametrize("esp", ["kernel", "userspace"])
@scenario(
    "transport-behind-nat",
    "In transport mode each end protects the addresses that it sees, and either can rekey.",
    rfc="7296 2.23.1",
    needs=("esp",),
)
def test_transport_behind_nat(lab: Lab, moon: Peer, sun: Peer, esp: str) -> None:
    if esp == "userspace":
        # strongSwan's own ESP has no transport mode: there it is the kernel's.
        moon, sun = (
            on_plane(one, "userspace" if one.name == "ikelabd" else "kernel") for one in (moon, sun)
        )
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=CONNECTION)
    first = net.moon.initiate("host-host")
    crosses(net)
    net.moon.rekey_child("host-host")
    second = net.moon.await_rekeyed(first)
    crosses(net)
    net.sun.rekey_child("host-host")
    third = net.sun.await_rekeyed(second.mirrored())
    net.moon.await_deleted(second)
    crosses(net)
    esp_is_in_udp(net)
    wan = net.wire("wan")
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        Rekey(first.inbound),
        Delete(first.inbound),
        Rekey(second.outbound),
        Delete(second.outbound),
    ]
    # Who asks and who answers writes the addresses as it sees them itself.
    said = {"moon": (INSIDE, SUN), "sun": (OUTSIDE, SUN)}
    for exchange, asker, answerer in zip(
        (wan.exchanges[1], wan.exchanges[2], wan.exchanges[4]),
        ("moon", "moon", "sun"),
        ("sun", "sun", "moon"),
        strict=True,
    ):
        about = exchange.about
        # An end that asks is TSi, one that answers TSr.
        asked, answered = selectors(about.request), selectors(about.response)
        in_order = slice(None, None, 1 if asker == "moon" else -1)
        assert asked == said[asker][in_order]
        assert answered in (said[answerer][in_order], asked)
        for payloads in (about.request, about.response):
            kinds = {one.notify_type for one in every(payloads, Notify)}
            assert NotifyType.USE_TRANSPORT_MODE in kinds
    assert {packet.spi for packet in wan.esp[-2:]} == {third.inbound, third.outbound}


def crosses(net: Net) -> None:
    with net.traffic("moon", "sun", seen={"moon": OUTSIDE}) as flow:
        flow.await_crossed(5)
    assert flow.lost == 0


def selectors(payloads: tuple[object, ...]) -> tuple[str, str]:
    """The one address in TSi and the one in TSr."""
    found = []
    for kind in (PayloadType.TSi, PayloadType.TSr):
        (offered,) = (one for one in every(payloads, TrafficSelectors) if one.payload_type == kind)
        ends = {(one.start_address, one.end_address) for one in offered.selectors}
        ((start, end),) = ends
        assert start == end
        found.append(str(start))
    return found[0], found[1]
