# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAT between a SEIL and strongSwan (RFC 3947, RFC 3948), or one that is only pretended."""

from __future__ import annotations

from harness.capture.frames import NatKeepalive, dissect
from harness.capture.recording import Frame
from harness.ike.constants_v1 import PayloadType
from harness.ike.payloads_v1 import Identification, NatDetection
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.nat import PORTS
from harness.network.topologies import SEIL_NAT, SEIL_NAT_NAT
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, RESPONDER_ONLY, seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    FLOATED,
    PLAIN,
    crosses,
    esp,
    established,
    installed,
    is_about,
    messages,
    with_kernel_esp,
)

INNER, SEIL_INNER = "172.16.0.10", "172.17.0.10"
KEEPALIVE = 20
"""Seconds of silence after which strongSwan keeps its mapping alive."""
NEW_PORTS = (31000, 31999)
REMAPPED = "the router forgot a mapping, and what is sent to the old one goes nowhere"


@either_front_end
@scenario(
    "nat-traversal",
    "strongSwan behind a NAPT: it is detected, and everything floats to port 4500 from message 5.",
    rfc="3947 3",
    seed="002",
)
def test_nat_traversal(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = behind_nat(lab, seil, sun)
    established(net)
    crosses(net)
    nat_is_detected(net)
    inside, outside = messages(net, "inside"), messages(net)
    assert {one.ports for one in inside[:4]} == {PLAIN}
    assert {one.ports for one in inside[4:]} == {FLOATED}
    assert not any(one.marked for one in inside[:4])
    assert all(one.marked for one in inside[4:])
    assert [one.marked for one in outside] == [one.marked for one in inside]
    for said, port in ((outside[:4], 500), (outside[4:], 4500)):
        ephemeral = {one.ports[0] for one in said if one.sender == "nat"}
        assert len(ephemeral) == 1
        assert [one for one in ephemeral if not PORTS[0] <= one <= PORTS[1]] == []
        assert {one.ports[1] for one in said if one.sender == "nat"} == {port}
    # Main Mode's message 5 is the one in which strongSwan says who it is: where it really is.
    assert outside[4].only(Identification).data == address(INNER)
    is_encapsulated(net)


@either_front_end
@scenario(
    "nat-keepalive",
    "strongSwan behind a NAPT keeps its mapping alive when it has nothing to say.",
    rfc="3948 4",
    seed="002",
    long=True,
)
def test_nat_keepalive(lab: Lab, seil: Peer, sun: Peer) -> None:
    # Else the SEIL would ask every 20 s whether strongSwan is there.
    net = behind_nat(lab, seil, sun, "interface.ipsec0.ike.dpd : disable")
    established(net)
    wan = net.wire("wan")
    since = len(wan.frames)
    first = wan.await_frame(is_keepalive, "keepalive", since=since, within=2 * KEEPALIVE)
    since = len(wan.frames)
    again = wan.await_frame(is_keepalive, "keepalive", since=since, within=2 * KEEPALIVE)
    assert {first.sender, again.sender} == {"nat"}
    assert is_about(lab, (again.time_ns - first.time_ns) / 1e9, KEEPALIVE)
    ports = dissect(first.data).ports
    assert ports is not None
    assert ports[1] == 4500
    crosses(net)


@either_front_end
@scenario(
    "nat-remapped",
    "The NAPT gives strongSwan another port under traffic, and the SEIL follows.",
    rfc="3947 6",
    seed="002",
)
def test_nat_remapped(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = behind_nat(lab, seil, sun)
    child = established(net)
    crosses(net)
    wan = net.wire("wan")
    with net.traffic("left", "right", may_lose=REMAPPED) as flow:
        flow.await_crossed(5)
        since = len(wan.frames)
        net.router("nat").remap(NEW_PORTS)
        wan.await_frame(to_new_port, "the SEIL's ESP to the new port", since=since)
        flow.await_crossed(5)
    crosses(net)
    late = [frame for frame in wan.frames if frame.sender == "nat"][-1]
    ports = dissect(late.data).ports
    assert ports is not None
    assert NEW_PORTS[0] <= ports[0] <= NEW_PORTS[1]
    same_sas(net, child)


@either_front_end
@scenario(
    "nat-force-encapsulation",
    "strongSwan with forceencaps pretends a NAT, and ESP goes in UDP between ports 4500.",
    rfc="3947 3",
    seed="002",
)
def test_nat_force_encapsulation(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, swan={"forceencaps": "yes"})
    established(net)
    crosses(net)
    nat_is_detected(net)
    said = messages(net)
    assert {one.ports for one in said[:4]} == {PLAIN}
    assert {one.ports for one in said[4:]} == {FLOATED}
    assert [one.marked for one in said] == [False] * 4 + [True] * (len(said) - 4)
    is_encapsulated(net)


@either_front_end
@scenario(
    "nat-on-both-sides",
    "Both ends are behind a NAPT; the SEIL's lets strongSwan in.",
    rfc="3947 3",
    seed="002",
)
def test_nat_on_both_sides(lab: Lab, seil: Peer, sun: Peer) -> None:
    router = seil_file(
        RESPONDER_ONLY, **{"ge0.ipv4.address": f"{SEIL_INNER}/24", "ipv4.source": SEIL_INNER}
    )
    net = up(
        lab,
        seil,
        sun,
        router=router,
        swan={"left": INNER, "rightid": SEIL_INNER},
        secret_for=f"10.0.0.1 {SEIL_INNER}",
        topology=SEIL_NAT_NAT,
    )
    net.router("seil-nat").forward(SEIL_INNER, 500, 4500)
    net.sun.initiate(CONN)
    established(net)
    crosses(net)
    nat_is_detected(net)
    said = messages(net)
    assert {one.sender for one in said} == {"seil-nat", "nat"}
    assert {one.ports for one in messages(net, "inside")[4:]} == {FLOATED}
    ours = [one for one in messages(net, "seil-inside") if one.sender == "seil"]
    # Its own port is as it is sent, that of the other router is as it is translated.
    assert [one.ports[0] for one in ours] == [500] * 2 + [4500] * (len(ours) - 2)
    assert said[4].only(Identification).data == address(INNER)
    assert said[5].only(Identification).data == address(SEIL_INNER)
    is_encapsulated(net)


def behind_nat(lab: Lab, seil: Peer, sun: Peer, *more: str) -> Net:
    """strongSwan behind a NAPT has brought the tunnel up: nobody else can reach it first."""
    net = up(
        lab,
        seil,
        sun,
        router=seil_file(RESPONDER_ONLY, *more),
        swan={"left": INNER},
        topology=SEIL_NAT,
    )
    net.sun.initiate(CONN)
    return net


def nat_is_detected(net: Net) -> None:
    """Messages 3 and 4 have the hashes of both addresses, and only they have any."""
    for number, message in enumerate(messages(net), 1):
        hashes = message.all(NatDetection)
        assert len(hashes) == (2 if number in (3, 4) else 0)
        assert {one.payload_type for one in hashes} <= {PayloadType.NAT_D}


def is_encapsulated(net: Net) -> None:
    """All ESP is in UDP, on the wire and in the kernels."""
    packets = esp(net)
    assert packets
    assert all(packet.encapsulated for _, packet in packets)
    for node in with_kernel_esp(net):
        kinds = [sa.encapsulation.type for sa in installed(net, node) if sa.encapsulation]
        assert kinds == ["espinudp"] * 2


def same_sas(net: Net, child: ChildSa) -> None:
    (ike,) = net.seil.sas()
    assert ike.children == (child,)


def is_keepalive(frame: Frame) -> bool:
    """Whether a frame is a NAT-keepalive."""
    return isinstance(dissect(frame.data).carried, NatKeepalive)


def to_new_port(frame: Frame) -> bool:
    """Whether a frame is the SEIL's to where the router has moved strongSwan."""
    ports = dissect(frame.data).ports
    return frame.sender == "seil" and bool(ports) and NEW_PORTS[0] <= ports[1] <= NEW_PORTS[1]


def address(text: str) -> bytes:
    """An IPv4 address as an identity has it."""
    return bytes(int(part) for part in text.split("."))
