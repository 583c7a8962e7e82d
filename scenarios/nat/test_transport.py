# SPDX-License-Identifier: GPL-2.0-or-later
"""Transport mode with a NAT in between, where the two ends know moon by different addresses."""

from ipaddress import ip_address

import pytest

from harness.capture.exchanges import Delete, IkeAuth, IkeSaInit, QuickMode, Rekey
from harness.ike.constants_v1 import EncapsulationMode, IpsecAttribute
from harness.ike.constants_v2 import NotifyType, PayloadType
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v1 import Identification, NatOriginalAddress, SecurityAssociation
from harness.ike.payloads_v2 import Notify, TrafficSelectors
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import NAT_IN_PATH
from harness.peers.connection import Child, Connection, End
from harness.peers.contract import Peer
from harness.peers.planes import on_plane
from harness.scenario import scenario
from scenarios.agreements import SECRET
from scenarios.nat.test_main_mode import over_ikev1
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
    ends = own_esp(moon, sun) if esp == "userspace" else (moon, sun)
    net = lab.up(NAT_IN_PATH, moon=ends[0], sun=ends[1], connection=CONNECTION)
    made = net.moon.initiate("host-host")
    crosses(net)
    net.moon.rekey_child("host-host")
    second = net.moon.await_rekeyed(made)
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
        Rekey(made.inbound),
        Delete(made.inbound),
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


@pytest.mark.parametrize("esp", ["kernel", "userspace"])
@scenario(
    "transport-behind-nat-ikev1",
    "In transport mode each end protects the addresses that it sees, and says which, in NAT-OA.",
    rfc="3947 5.2",
    needs=("esp",),
)
def test_transport_behind_nat_ikev1(lab: Lab, moon: Peer, sun: Peer, esp: str) -> None:
    ends = own_esp(moon, sun) if esp == "userspace" else (moon, sun)
    net = lab.up(NAT_IN_PATH, moon=ends[0], sun=ends[1], connection=over_ikev1(CONNECTION))
    made = net.moon.initiate("host-host")
    net.sun.await_up("host-host")
    crosses(net)
    net.moon.rekey_child("host-host")
    second = net.moon.await_rekeyed(made)
    net.sun.await_rekeyed(made.mirrored())
    crosses(net)
    net.sun.rekey_child("host-host")
    third = net.sun.await_rekeyed(second.mirrored())
    net.moon.await_rekeyed(second)
    crosses(net)
    esp_is_in_udp(net)
    wan = net.wire("wan")
    assert {packet.spi for packet in wan.esp[-2:]} == {third.inbound, third.outbound}
    quick_modes = [one for one in wan.exchanges if isinstance(one, QuickMode)]
    assert quick_modes == [QuickMode()] * 3
    # Who asks and who answers writes the addresses as it sees them itself, the asker's first.
    said = {"moon": (INSIDE, SUN), "sun": (OUTSIDE, SUN)}
    for exchange, asker, answerer in zip(
        quick_modes, ("moon", "moon", "sun"), ("sun", "sun", "moon"), strict=True
    ):
        in_order = slice(None, None, 1 if asker == "moon" else -1)
        about = exchange.about
        for end, payloads in ((asker, about.request), (answerer, about.response)):
            assert mode(payloads) == EncapsulationMode.UDP_ENCAPSULATED_TRANSPORT
            assert addresses(payloads, NatOriginalAddress) == said[end][in_order]
        asked = addresses(about.request, Identification)
        assert asked == said[asker][in_order]
        assert addresses(about.response, Identification) in (asked, said[answerer][in_order])
    net.sun.delete_ike("host-host")
    net.moon.await_ike_down("host-host")
    # What strongSwan has replaced in IKEv1 is there until its lifetime ends, or its IKE SA.
    for one in (made, second, third):
        net.moon.await_deleted(one)
        net.sun.await_deleted(one.mirrored())


def own_esp(*peers: Peer) -> tuple[Peer, ...]:
    """ESP by ikelabd itself; strongSwan's own has no transport mode: there it is the kernel's."""
    return tuple(on_plane(one, "userspace" if one.name == "ikelabd" else "kernel") for one in peers)


def mode(payloads: tuple[Payload, ...]) -> int | None:
    """The encapsulation mode of the only transform that is offered, or chosen."""
    sa = first(payloads, SecurityAssociation)
    assert sa is not None
    ((transform,),) = (one.transforms for one in sa.proposals)
    return transform.number_of(IpsecAttribute.ENCAPSULATION_MODE)


def addresses(
    payloads: tuple[Payload, ...], kind: type[Identification | NatOriginalAddress]
) -> tuple[str, ...]:
    """The initiator's and the responder's address in payloads of a kind."""
    return tuple(str(ip_address(one.data)) for one in every(payloads, kind))


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
