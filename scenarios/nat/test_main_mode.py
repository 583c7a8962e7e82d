# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAPT router in front of moon that Main Mode finds and floats past (RFC 3947)."""

from harness.capture.frames import dissect
from harness.capture.recording import Frame
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp, is_ike
from harness.network.nat import PORTS
from harness.network.topologies import NAT_IN_PATH
from harness.peers.connection import Connection
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

INSIDE, OUTSIDE = "172.16.0.10", "192.168.0.1"
BEHIND_NAT = NET_NET.with_address("moon", INSIDE, on="moon").with_address("moon", OUTSIDE, on="sun")
IKE, NAT_T = 500, 4500


@scenario(
    "nat-in-path-ikev1",
    "The end behind a NAPT is found to be there: from its fifth message on Main Mode floats.",
    rfc="3947 4",
)
def test_nat_in_path_ikev1(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=over_ikev1(BEHIND_NAT))
    net.moon.initiate("net-net")
    net.sun.await_up("net-net")
    crosses(net)
    ports_are_translated(net, first=4)


def over_ikev1(connection: Connection) -> Connection:
    return connection.with_ike(version=1, proposals=("aes256-sha256-modp2048",)).with_child(
        proposals=("aes256-sha256-modp2048",)
    )


def crosses(net: Net) -> None:
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)


def ports_are_translated(net: Net, first: int) -> None:
    """So many messages are on port 500 and all else on 4500, each from a port of the router."""
    inside = [frame for frame in net.wire("inside").frames if is_ike(frame)]
    assert [ports(frame) for frame in inside[:first]] == [(IKE, IKE)] * first
    assert {ports(frame) for frame in inside[first:]} == {(NAT_T, NAT_T)}
    outside = [frame for frame in net.wire("wan").frames if is_ike(frame) or is_esp(frame)]
    for frame in outside:
        source, destination = ports(frame)
        router = source if frame.sender == "nat" else destination
        assert PORTS[0] <= router <= PORTS[1]
    esp = [frame for frame in outside if is_esp(frame)]
    assert esp
    assert NAT_T in {port for frame in esp for port in ports(frame)}


def ports(frame: Frame) -> tuple[int, int]:
    """Source and destination port of the UDP datagram in a frame."""
    found = dissect(frame.data).ports
    assert found is not None, "neither IKE nor ESP goes without UDP here"
    return found
