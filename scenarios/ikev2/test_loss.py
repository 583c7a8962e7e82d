# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that the network loses or cannot carry whole."""

from harness.capture.exchanges import Delete, DeleteIke, IkeAuth, IkeSaInit, Rekey
from harness.capture.frames import dissect
from harness.capture.recording import Frame
from harness.ike.constants_v2 import PayloadType
from harness.ike.retransmission import Retransmission
from harness.lab.lab import Lab
from harness.lab.wire import is_ike
from harness.network.topologies import MOON_SUN, with_wire
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET, with_certificates

FIRST = 0.1
"""Seconds after which an unanswered request is sent again."""
IP_HEADER, ETHERNET_HEADER = 20, 14
NARROW, ITS_FRAGMENTS = 640, 576
"""Octets of an IP packet that a narrow wire carries, and that a fragment may have at most."""


@scenario(
    "retransmission",
    "Every IKE message is lost once, and all that was to be done is done, once.",
    rfc="7296 2.1",
)
def test_retransmission(lab: Lab, moon: Peer, sun: Peer) -> None:
    again = Retransmission(first=FIRST, factor=1.0, tries=50)
    connection = NET_NET.with_ike(retransmission=again).with_child(keep_rekeyed=1)
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    wan = net.wire("wan")
    lost: set[bytes] = set()
    senders = {"moon", "sun"}

    def for_the_first_time(frame: Frame) -> bool:
        known = len(lost)
        if is_ike(frame) and frame.sender in senders:
            lost.add(frame.data[ETHERNET_HEADER + IP_HEADER :])
        return len(lost) > known

    wan.drop(for_the_first_time)
    first = net.moon.initiate("net-net")
    net.sun.rekey_child("net-net")
    net.sun.await_rekeyed(first.mirrored())
    net.moon.await_deleted(first)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    # Who has answered that its IKE SA is deleted has none any more, and may not answer again.
    senders.remove("sun")
    net.moon.delete_ike("net-net")
    net.sun.await_ike_down("net-net")
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        Rekey(first.outbound),
        Delete(first.outbound),
        DeleteIke(),
    ]
    # Requests and responses are repeated octet for octet (RFC 7296 2.1).
    sent = {(str(message), message.initiator_spi) for message in wan.ike}
    assert len({message.data for message in wan.ike}) == len(sent)
    assert len(lost) == len(sent) - 1 == 9


@scenario(
    "fragmentation",
    "IKE_AUTH with certificates crosses a wire that is too narrow for it, in fragments of IKE.",
    rfc="7383 2.5",
)
def test_fragmentation(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = with_certificates(NET_NET).with_ike(fragment_size=ITS_FRAGMENTS)
    narrow = with_wire(MOON_SUN, "wan", mtu=NARROW)
    net = lab.up(narrow, moon=moon, sun=sun, connection=connection)
    net.moon.initiate("net-net")
    wan = net.wire("wan")
    assert wan.exchanges == [IkeSaInit(), IkeAuth("moon.strongswan.org", "sun.strongswan.org")]
    auth = [message for message in wan.ike if message.exchange == "IKE_AUTH"]
    for sender in ("moon", "sun"):
        fragments = [message for message in auth if message.sender == sender]
        assert len(fragments) > 1
        assert {message.data[NEXT_PAYLOAD] for message in fragments} == {PayloadType.SKF}
    assert not [frame for frame in wan.frames if dissect(frame.data).fragment is not None]
    assert max(len(f.data) for f in wan.frames if is_ike(f)) <= ITS_FRAGMENTS + ETHERNET_HEADER
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)


NEXT_PAYLOAD = 16
"""Where an IKE header says what comes first (RFC 7296 3.1)."""
