# SPDX-License-Identifier: GPL-2.0-or-later
"""A CHILD_SA with a lifetime of ten seconds is rekeyed again and again, under traffic."""

from harness.capture.exchanges import Delete, IkeAuth, IkeSaInit, Rekey
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import ChildSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET, with_certificates

LIFE, REKEY = 10, 5
KEPT = 2
"""Seconds for which the inbound half of a rekeyed SA is kept, for packets still on their way.

The seed sets it on moon; sun gets it too, because its default is as long as the time between two
rekeyings, and the SAs of both ends would never come to rest.
"""
REKEYS = 10
FRONT_ENDS = ("ipsec.conf", "swanctl.conf")

SHORT_LIVED = NET_NET.with_child(on="moon", life=LIFE, rekey=REKEY, keep_rekeyed=KEPT).with_child(
    on="sun", life=1200, rekey=1020, keep_rekeyed=KEPT
)


@scenario(
    "net2net-rekey",
    "A CHILD_SA is replaced before it expires, and nothing is lost.",
    rfc="7296 2.8",
    seed="001",
    needs=("esp",),
)
def test_net2net_rekey(lab: Lab, moon: Peer, sun: Peer) -> None:
    rekeys_without_loss(lab, moon, sun, with_certificates(SHORT_LIVED), rekeys=REKEYS)


@scenario(
    "net2net-rekey-psk",
    "The same, authenticated by a pre-shared key.",
    rfc="7296 2.8",
    seed="001",
    needs=("esp",),
)
def test_net2net_rekey_psk(lab: Lab, moon: Peer, sun: Peer) -> None:
    rekeys_without_loss(lab, moon, sun, SHORT_LIVED)


@scenario(
    "net2net-rekey-native",
    "The same, from the files of a strongSwan: the legacy ipsec.conf, and then swanctl.conf.",
    rfc="7296 2.8",
    seed="001",
    needs=("esp",),
)
def test_net2net_rekey_native(lab: Lab, moon: Peer, sun: Peer) -> None:
    for dialect in FRONT_ENDS:
        rekeys_without_loss(lab, moon, sun, with_certificates(SHORT_LIVED), dialect)


def rekeys_without_loss(
    lab: Lab,
    moon: Peer,
    sun: Peer,
    connection: Connection,
    dialect: str | None = None,
    rekeys: int = 2,
) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, dialect=dialect)
    first = net.moon.initiate("net-net")
    with net.traffic("alice", "bob", every=0.2) as flow:
        has_its_lifetimes(net, first)
        second = is_rekeyed_in_time(net, first)
        exchanges_are_those_of_a_rekeying(net, first, second)
        is_deleted_half_by_half(net, first)
        assert second.reqid == first.reqid
        for _ in range(rekeys - 1):
            second = net.moon.await_rekeyed(second, within=REKEY + 2)
    assert flow.lost == 0


def has_its_lifetimes(net: Net, child: ChildSa) -> None:
    inbound = net.moon.sad().find(spi=child.inbound)
    outbound = net.moon.sad().find(spi=child.outbound)
    assert inbound is not None
    assert outbound is not None
    assert inbound.lifetimes.soft_seconds == REKEY
    assert inbound.lifetimes.hard_seconds == LIFE
    # The outbound half need not ask for a rekeying: the inbound one does.
    assert outbound.lifetimes.soft_seconds == 0
    assert outbound.lifetimes.hard_seconds == LIFE


def is_rekeyed_in_time(net: Net, old: ChildSa) -> ChildSa:
    expired = net.moon.await_soft_expire(old.inbound, within=REKEY + 2)
    # The kernel counts whole seconds of its clock.
    assert REKEY - 1 <= expired <= REKEY + 1
    return net.moon.await_rekeyed(old, within=2)


def exchanges_are_those_of_a_rekeying(net: Net, old: ChildSa, new: ChildSa) -> None:
    wan = net.wire("wan")
    wan.await_ike("INFORMATIONAL", sender="sun", message_id=3)
    assert [str(message) for message in wan.ike] == [
        "moon: IKE_SA_INIT request 0",
        "sun: IKE_SA_INIT response 0",
        "moon: IKE_AUTH request 1",
        "sun: IKE_AUTH response 1",
        "moon: CREATE_CHILD_SA request 2",
        "sun: CREATE_CHILD_SA response 2",
        "moon: INFORMATIONAL request 3",
        "sun: INFORMATIONAL response 3",
    ]
    # An SA is named by the SPI that the sender of the message receives on.
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        Rekey(old.inbound),
        Delete(old.inbound),
    ]
    rekey, delete = wan.exchanges[-2:]
    assert isinstance(rekey, Rekey)
    assert rekey.made == (new.inbound, new.outbound)
    assert isinstance(delete, Delete)
    assert delete.answered == (old.outbound,)


def is_deleted_half_by_half(net: Net, old: ChildSa) -> None:
    net.moon.await_deleted(old, within=KEPT + 3)
    assert net.moon.seconds_from_rekey_to_deletion(old, old.outbound) < 0.5
    assert KEPT - 0.1 <= net.moon.seconds_from_rekey_to_deletion(old, old.inbound) <= KEPT + 0.5
    net.sun.await_deleted(old.mirrored(), within=10)
