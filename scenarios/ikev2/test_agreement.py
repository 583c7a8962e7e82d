# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that want different things and find what they have in common."""

from collections.abc import Sequence

from harness.capture.exchanges import CreateChild, Exchange, IkeAuth, IkeSaInit
from harness.ike.constants_v2 import PayloadType, TransformType
from harness.ike.payload import Payload, every
from harness.ike.sa_v2 import SecurityAssociation
from harness.ike.traffic_selectors import TrafficSelector, TrafficSelectors
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

EXTENDED = 1
"""The sequence numbers of 64 bits among the transforms of that type (RFC 7296 3.3.2)."""


@scenario(
    "ts-narrowing",
    "A responder narrows traffic selectors to what it has, and both ends use what it chose.",
    rfc="7296 2.9",
)
def test_ts_narrowing(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = up(lab, moon, sun, NET_NET.with_subnets(on="moon", remote=("10.2.0.0/15",)))
    child = net.moon.initiate("net-net")
    auth = net.wire("wan").exchanges[-1]
    assert auth == IkeAuth("moon.strongswan.org", "sun.strongswan.org")
    assert selectors(auth.about.request) == (["10.1.0.0-10.1.255.255"], ["10.2.0.0-10.3.255.255"])
    assert selectors(auth.about.response) == (["10.1.0.0-10.1.255.255"], ["10.2.0.0-10.2.255.255"])
    is_used(net, child)


@scenario(
    "invalid-ke-retry",
    "An initiator that guesses the wrong group is told the right one, and begins again with it.",
    rfc="7296 1.2",
)
def test_invalid_ke_retry(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.with_ike(on="moon", proposals=("aes128-sha256-x25519-ecp256",)).with_ike(
        on="sun", proposals=("aes128-sha256-ecp256",)
    )
    net = up(lab, moon, sun, connection)
    child = net.moon.initiate("net-net")
    assert net.wire("wan").exchanges == [
        IkeSaInit(error="INVALID_KE_PAYLOAD"),
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
    ]
    is_used(net, child)


@scenario(
    "childless",
    "An IKE SA is made without a CHILD_SA, which then has an exchange of its own.",
    rfc="6023 3",
)
def test_childless(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = up(lab, moon, sun, NET_NET.with_ike(childless=True))
    child = net.moon.initiate("net-net")
    wan = net.wire("wan")
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        CreateChild(),
    ]
    auth, create = wan.exchanges[1:]
    assert not {PayloadType.SA, PayloadType.TSi, PayloadType.TSr} & kinds(auth)
    assert isinstance(create, CreateChild)
    assert create.made == (child.inbound, child.outbound)
    is_used(net, child)


@scenario(
    "esn",
    "Both ends agree on extended sequence numbers, and the traffic of a CHILD_SA has them.",
    rfc="7296 3.3.2",
    needs=("esp",),
)
def test_esn(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = up(lab, moon, sun, NET_NET.with_child(proposals=("aes128gcm16-esn",)))
    child = net.moon.initiate("net-net")
    (answer,) = every(net.wire("wan").exchanges[-1].about.response, SecurityAssociation)
    (chosen,) = answer.proposals
    assert EXTENDED in [one.id for one in chosen.transforms if one.type == TransformType.SN]
    for gateway in (net.moon, net.sun):
        assert [sa.esn for sa in gateway.sad()] == [True, True]
    is_used(net, child)


def up(lab: Lab, moon: Peer, sun: Peer, connection: Connection) -> Net:
    return lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)


def is_used(net: Net, child: ChildSa) -> None:
    """Traffic crosses, in the CHILD_SA that was agreed on and in no other."""
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    sent = {(packet.sender, packet.spi) for packet in net.wire("wan").esp}
    assert sent == {("moon", child.outbound), ("sun", child.inbound)}


def selectors(payloads: Sequence[Payload]) -> tuple[list[str], list[str]]:
    """What TSi and TSr say, as ranges of addresses."""
    found = {
        one.payload_type: [
            f"{each.start_address}-{each.end_address}"
            for each in one.selectors
            if isinstance(each, TrafficSelector)
        ]
        for one in every(payloads, TrafficSelectors)
    }
    return found[PayloadType.TSi], found[PayloadType.TSr]


def kinds(exchange: Exchange) -> set[int]:
    """The types of all payloads of an exchange."""
    return {one.payload_type for one in (*exchange.about.request, *exchange.about.response)}
