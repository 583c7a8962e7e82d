# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs of a SEIL are replaced when four fifths of their lifetime are over, and nothing is lost."""

from __future__ import annotations

from harness.capture.exchanges import Delete, MainMode, QuickMode
from harness.ike.constants_v1 import LifeType, Phase1Attribute
from harness.ike.payloads_v1 import SecurityAssociation
from harness.ike.sa_v1 import encode_transform
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, seil_file, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    MAIN,
    QUICK,
    esp,
    established,
    installed,
    is_about,
    lives,
    messages,
)

LIFE = 60
AGAIN = 0.8 * LIFE
PHASE1 = f"interface.ipsec0.ike.proposal.phase1.lifetime : {LIFE}"
PHASE2 = "interface.ipsec0.ike.proposal.phase2"
KILOBYTES = 16
SIZE, EVERY = 1000, 0.8
"""Octets and seconds of a flow that fills an SA of so many kilobytes in thirteen seconds.

The fifth that is left when it is replaced lasts longer than that takes on a slow machine.
"""


@either_front_end
@scenario(
    "phase1-lifetime-60",
    "A lifetime of 60 s is in the offer, and a new phase 1 begins when 48 of them are over.",
    rfc="2409 5",
    seed="002",
    long=True,
)
def test_phase1_lifetime_60(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(PHASE1))
    child = established(net)
    wan = net.wire("wan")
    offer = messages(net)[0]
    assert {one.number_of(Phase1Attribute.LIFE_DURATION) for one in offer.transforms} == {LIFE}
    assert {len(encode_transform(one, more=False)) for one in offer.transforms} == {36, 32}
    assert (4 + len(offer.only(SecurityAssociation).body()), offer.size) == (228, 336)
    with net.traffic("left", "right", every=0.5) as flow:
        since = len(wan.frames)
        wan.await_ike("IDENTITY_PROTECTION", sender="seil", since=since, within=LIFE)
        # What the first phase 1 was for outlives it.
        net.sun.await_ike_down(CONN, within=LIFE)
        flow.await_crossed(10, within=10)
    assert flow.lost == 0
    said = messages(net, exchange=MAIN)
    assert len(said) == 12
    assert said[6].sender == "seil"
    assert is_about(lab, said[6].at - said[5].at, AGAIN)
    assert said[6].cookies[:8] != said[0].cookies[:8]
    assert [one for one in wan.exchanges if isinstance(one, MainMode | QuickMode)] == [
        MainMode(),
        QuickMode(),
        MainMode(),
    ]
    (ike,) = net.seil.sas()
    assert ike.children == (child,)


@either_front_end
@scenario(
    "phase2-lifetime-60",
    "IPsec SAs with a lifetime of 60 s are replaced when 48 of them are over.",
    rfc="2407 4.5",
    seed="002",
    long=True,
)
def test_phase2_lifetime_60(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(f"{PHASE2}.lifetime-of-time : {LIFE}"))
    old = established(net)
    for half in installed(net, "seil"):
        assert half.lifetimes.hard_seconds == LIFE
    with net.traffic("left", "right", every=0.5) as flow:
        new = net.seil.await_rekeyed(old, within=LIFE)
        net.seil.await_deleted(old)
        net.sun.await_deleted(old.mirrored())
        flow.await_crossed(10, within=10)
    assert flow.lost == 0
    assert new.reqid == old.reqid
    assert said_of_life(net) == {(LifeType.SECONDS, LIFE)}
    said = messages(net, exchange=QUICK)
    assert is_about(lab, said[3].at - said[2].at, AGAIN)
    assert said[3].sender == "seil"
    is_replaced_once(net, old.inbound)


@either_front_end
@scenario(
    "phase2-lifetime-bytes",
    "IPsec SAs with a limit of 16 KB are replaced when they have carried four fifths of that.",
    rfc="2407 4.5",
    seed="002",
    long=True,
)
def test_phase2_lifetime_bytes(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, router=seil_file(f"{PHASE2}.lifetime-of-byte : {KILOBYTES}K"))
    first = established(net)
    with net.traffic("left", "right", every=EVERY, size=SIZE) as flow:
        second = net.seil.await_rekeyed(first, within=20)
        net.seil.await_rekeyed(second, within=20)
        net.seil.await_deleted(first)
    assert flow.lost == 0
    assert len({one.message_id for one in messages(net, exchange=QUICK)}) == 3
    assert (LifeType.KILOBYTES, KILOBYTES) in said_of_life(net)
    for old in (first, second):
        carried = sum(len(packet.packet) for _, packet in esp(net) if packet.spi == old.inbound)
        assert 0.7 * 1024 * KILOBYTES < carried < 1.2 * 1024 * KILOBYTES


def said_of_life(net: Net) -> set[tuple[int, int]]:
    """The lifetimes in the SEIL's first offer of phase 2, each with its unit."""
    offer = messages(net, exchange=QUICK)[0]
    return {pair for one in offer.transforms for pair in lives(one)}


def is_replaced_once(net: Net, inbound: int) -> None:
    kinds = (QuickMode, Delete)
    seen = [one for one in net.wire("wan").exchanges if isinstance(one, kinds)]
    assert seen == [QuickMode(), QuickMode(), Delete(inbound)]
