# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario sees of a wire, decrypted while the lab runs."""

from harness.capture.entries import Ipsec, Status
from harness.capture.exchanges import CreateChild, Delete, IkeAuth, IkeSaInit, Rekey
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from scenarios.agreements import NET_NET

IDENTITIES = ("moon.strongswan.org", "sun.strongswan.org")


def test_exchanges_and_inner_packets_are_there_as_soon_as_they_were_on_the_wire(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    wan = net.wire("wan")
    assert wan.exchanges == []
    old = net.moon.initiate("net-net")
    assert wan.exchanges == [IkeSaInit(), IkeAuth(*IDENTITIES)]
    assert wan.inner == []
    pings = net.ping("alice", "bob", count=3)
    assert pings.received == 3
    inner = [packet for packet in wan.inner if packet.haslayer("ICMP")]
    assert [(packet["IP"].src, packet["ICMP"].seq) for packet in inner] == [
        (source, number) for number in (1, 2, 3) for source in ("10.1.0.10", "10.2.0.10")
    ]
    net.moon.rekey_child("net-net")
    new = net.moon.await_rekeyed(old)
    net.moon.await_deleted(old)
    assert wan.exchanges[2:] == [Rekey(old.inbound), Delete(old.inbound)]
    assert not any(isinstance(one, CreateChild) for one in wan.exchanges)
    net.ping("alice", "bob")
    last = wan.decryption.ipsec[-1].content
    assert isinstance(last, Ipsec)
    assert (last.status, last.authentic, last.spi) == (Status.DECRYPTED, True, new.inbound)
