# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway whose address changes, and whose SAs go along (MOBIKE)."""

from collections.abc import Callable

from harness.capture.exchanges import (
    Delete,
    IkeAuth,
    IkeSaInit,
    Informational,
    Liveness,
    Rekey,
    RekeyIke,
)
from harness.capture.frames import Esp, dissect
from harness.capture.recording import Frame
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import WireView
from harness.network.topologies import MOON_SUN, NAT_IN_PATH, TWO_WAYS
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import MOON, NET_NET, SUN
from scenarios.nat.test_nat_in_path import FROM_INSIDE, OTHER_PORTS, seen_from_outside

MOBIKE = NET_NET.with_ike(mobike=True)
MOON_LATER, SUN_LATER = "192.168.0.3", "192.168.0.4"
OUTSIDE = "192.168.1.1"
"""Where moon seems to be once it goes through the router."""
UPDATE = "UPDATE_SA_ADDRESSES"
DETECTION = {"NAT_DETECTION_SOURCE_IP", "NAT_DETECTION_DESTINATION_IP"}
LISTS = {"ADDITIONAL_IP4_ADDRESS", "NO_ADDITIONAL_ADDRESSES"}
MAY_LOSE = "one end sends to the old address until the other has its new one and could say so"

Ends = tuple[str, str]
"""The addresses of moon and sun on the wire between them, or those of a packet."""


@scenario(
    "mobike",
    "An initiator whose address changes takes the IKE SA and its CHILD_SA along.",
    rfc="4555 3.5",
    needs=("esp",),
)
def test_mobike(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=MOBIKE)
    wan = net.wire("wan")
    there = (MOON_LATER, SUN.address)
    follows(net, wan, there, lambda: net.readdress("moon", "wan", f"{MOON_LATER}/24"))
    updates_from(wan, there)
    assert in_udp(wan) == {False}


@scenario(
    "mobike-responder",
    "A responder whose address changes says so, and the initiator takes the SAs there.",
    rfc="4555 3.6",
    needs=("esp",),
)
def test_mobike_responder(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=MOBIKE)
    wan = net.wire("wan")
    there = (MOON.address, SUN_LATER)
    follows(net, wan, there, lambda: net.readdress("sun", "wan", f"{SUN_LATER}/24"))
    said = [one for one in informational(wan) if one.about.sender == "sun"]
    assert [one.error for one in said if LISTS & set(one.notifies)] == [""]
    assert in_udp(wan) == {False}


@scenario(
    "mobike-nat",
    "An initiator that goes behind a NAT takes its SAs along, and from then its ESP goes in UDP.",
    rfc="4555 3.5",
    needs=("esp",),
)
def test_mobike_nat(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(TWO_WAYS, moon=moon, sun=sun, connection=MOBIKE)
    outside = net.wire("outside")
    # Without an address on the wan moon has only the way through the router.
    there = (OUTSIDE, SUN.address)
    settled = follows(net, outside, there, lambda: net.readdress("moon", "wan"))
    updates_from(outside, there)
    assert in_udp(net.wire("wan")) == {False}
    assert in_udp(outside, settled) == {True}


@scenario(
    "mobike-remapped",
    "When a NAT gives an initiator that does MOBIKE another port, its SAs go along there.",
    rfc="4555 3.8",
    needs=("esp",),
)
def test_mobike_remapped(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = seen_from_outside(FROM_INSIDE).with_ike(mobike=True)
    # moon learns of it when it asks whether sun is alive, and compares that with the time before.
    connection = connection.with_ike(on="moon", dpd_delay=1)
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=connection)
    wan = net.wire("wan")
    net.moon.initiate("net-net")
    before = listed(net)
    wan.await_ike("INFORMATIONAL", sender="sun")
    with net.traffic("alice", "bob", may_lose="sun sends to the old port until told") as flow:
        flow.await_crossed(5)
        net.remap("nat", OTHER_PORTS)
        wan.await_frame(goes_to_another_port, "ESP from sun to another port")
        flow.await_crossed(5)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(20)
    assert flow.lost == 0
    assert listed(net) == before
    assert not any(isinstance(one, Delete | Rekey | RekeyIke) for one in wan.exchanges)
    net.sun.delete_ike("net-net")
    net.moon.await_ike_down("net-net")


def follows(net: Net, way: WireView, there: Ends, move: Callable[[], None]) -> int:
    """Make SAs, move one end, and see that they go along with it.

    `way` is the wire that packets take afterwards, with moon and sun at `there`. Returns after how
    many of its frames all that was sent arrived.
    """
    wan = net.wire("wan")
    net.moon.initiate("net-net")
    before = listed(net)
    with net.traffic("alice", "bob", may_lose=MAY_LOSE) as flow:
        flow.await_crossed(5)
        move()
        for ends in (there, there[::-1]):
            await_esp(way, ends)
        flow.await_crossed(5)
    settled = len(way.frames)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(20)
    assert flow.lost == 0
    used = {addresses(frame) for frame in way.frames[settled:] if isinstance(carried(frame), Esp)}
    assert used == {there, there[::-1]}
    assert listed(net) == before
    said = wan.exchanges + (way.exchanges if way.name != wan.name else [])
    assert said[:2] == [IkeSaInit(), IkeAuth("moon.strongswan.org", "sun.strongswan.org")]
    # Nothing was made anew.
    assert [one for one in said[2:] if not isinstance(one, Informational | Liveness)] == []
    return settled


def updates_from(way: WireView, there: Ends) -> None:
    """Check that moon asked for the update of its SAs, from its new address, and got it."""
    updates = [one for one in informational(way) if UPDATE in one.notifies]
    assert updates
    for update in updates:
        assert update.error == ""
        assert set(update.notifies) > DETECTION
        request = next(one for one in way.frames if one.number == update.about.frames[0])
        assert addresses(request) == there


def await_esp(way: WireView, ends: Ends) -> None:
    """Return when ESP goes from the first of two addresses to the second."""

    def matches(frame: Frame) -> bool:
        return isinstance(carried(frame), Esp) and addresses(frame) == ends

    way.await_frame(matches, f"ESP from {ends[0]} to {ends[1]}")


def listed(net: Net) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """The SPIs of the SAs that each end lists, of the IKE SA and of its CHILD_SAs."""
    return [
        (
            ike.initiator_spi,
            ike.responder_spi,
            [(child.inbound, child.outbound) for child in ike.children],
        )
        for gateway in (net.moon, net.sun)
        for ike in gateway.sas()
    ]


def informational(way: WireView) -> list[Informational]:
    """The exchanges of a wire in which one end tells the other something."""
    return [one for one in way.exchanges if isinstance(one, Informational)]


def in_udp(way: WireView, since: int = 0) -> set[bool]:
    """Whether ESP was in UDP, past a number of frames."""
    found = (carried(frame) for frame in way.frames[since:])
    return {one.encapsulated for one in found if isinstance(one, Esp)}


def goes_to_another_port(frame: Frame) -> bool:
    """Whether sun sends ESP to a port that the NAT has given after the first."""
    headers = dissect(frame.data)
    if headers.ports is None or not isinstance(headers.carried, Esp):
        return False
    return frame.sender == "sun" and OTHER_PORTS[0] <= headers.ports[1] <= OTHER_PORTS[1]


def carried(frame: Frame) -> object:
    """What is in the packet of a frame."""
    return dissect(frame.data).carried


def addresses(frame: Frame) -> Ends:
    """Where the packet of a frame is from and where it goes."""
    headers = dissect(frame.data)
    return headers.source, headers.destination
