# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends that prove themselves anew: an IKE SA from scratch in the place of the one they have."""

from harness.capture.exchanges import DeleteIke, IkeAuth, IkeSaInit
from harness.ike.constants_v2 import NotifyType
from harness.ike.payload import every
from harness.ike.payloads_v2 import Notify
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import IkeSa, Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

AFTER = 4
"""Seconds after which moon makes a new IKE SA; it would do so again after as long."""
REAUTH = NET_NET.with_ike(on="moon", reauth=AFTER, rekey=0)
MAY_LOSE = "a responder may send with its new CHILD_SA before the initiator knows of it"
AUTH = IkeAuth("moon.strongswan.org", "sun.strongswan.org")


@scenario(
    "reauth",
    "An initiator makes a new IKE SA with its CHILD_SA from scratch, and then deletes the old one.",
    rfc="7296 2.8.3",
)
def test_reauth(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=REAUTH)
    wan = net.wire("wan")
    first = net.moon.initiate("net-net")
    (old,) = net.moon.sas()
    with net.traffic("alice", "bob", may_lose=MAY_LOSE) as flow:
        ended = [one.await_ike_down("net-net", within=AFTER + 10) for one in (net.moon, net.sun)]
        flow.await_crossed(5)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
    assert flow.lost == 0
    assert [spis(one) for one in ended] == [spis(old), spis(old)]
    told = wan.exchanges[:5]
    assert told == [IkeSaInit(), AUTH, IkeSaInit(), AUTH, DeleteIke()]
    anew, delete = told[3:]
    # The old one is deleted within itself, and by whoever made the new one.
    deleting = wan.await_ike("INFORMATIONAL", sender="moon", initiator_spi=old.initiator_spi)
    assert deleting.number in delete.about.frames
    assert [one.about.sender for one in told] == ["moon"] * 5
    said = {one.notify_type for one in every(anew.about.request, Notify)}
    assert not {NotifyType.REKEY_SA, NotifyType.INITIAL_CONTACT} & said
    assert isinstance(anew, IkeAuth)
    assert len(anew.made) == 2
    assert not {first.inbound, first.outbound} & set(anew.made)


def spis(ike: IkeSa) -> tuple[int, int]:
    """What an IKE SA is known by at both ends."""
    return ike.initiator_spi, ike.responder_spi
