# SPDX-License-Identifier: GPL-2.0-or-later
"""A SEIL asks every 20 seconds whether its peer is there (RFC 3706)."""

from __future__ import annotations

from itertools import pairwise

from harness.capture.recording import Frame
from harness.ike.constants_v1 import NotifyType, ProtocolId
from harness.ike.payloads_v1 import Delete, Notification
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import TUNNEL, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import (
    INFORMATIONAL,
    Message,
    established,
    installed,
    is_about,
    messages,
)

EVERY, RETRY, LIMIT = 20, 5, 5
"""Seconds between two questions, and between unanswered ones; how many of those are too many."""
ROUNDS = 3
IPV4 = b"\x08\x00"
NOBODY_HEARS = "sun never hears that the SEIL has given it up"


@either_front_end
@scenario(
    "dpd",
    "R-U-THERE every 20 seconds is answered in kind; a peer that cannot be reached is found dead.",
    rfc="3706 5",
    seed="002",
    long=True,
)
def test_dpd(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, without={"mirror": NOBODY_HEARS})
    child = established(net)
    wan = net.wire("wan")
    for _ in range(ROUNDS):
        wan.await_ike("INFORMATIONAL", sender="sun", since=len(wan.frames), within=2 * EVERY)
    answers_each_question(lab, net)
    before = len(wan.frames)
    wan.drop(is_ip)
    net.seil.await_ike_down(TUNNEL, within=2 * (EVERY + RETRY * LIMIT))
    net.seil.await_deleted(child)
    assert installed(net, "seil") == []
    after = [one for one in liveness(net) if one.at > wan.frames[before - 1].time_ns / 1e9]
    assert [kind(one) for one in after] == [NotifyType.R_U_THERE] * LIMIT
    gaps = [later.at - one.at for one, later in pairwise(after)]
    assert all(is_about(lab, gap, RETRY) for gap in gaps), gaps
    deletes = [one.only(Delete).protocol for one in messages(net) if one.all(Delete)]
    assert deletes == [ProtocolId.IPSEC_ESP, ProtocolId.ISAKMP]


def is_ip(frame: Frame) -> bool:
    """Whether a frame has an IP packet in it: without ARP a kernel soon sends nothing at all."""
    return frame.data[12:14] == IPV4


def answers_each_question(lab: Lab, net: Net) -> None:
    said = liveness(net)
    assert [str(one) for one in said] == [f"seil: {INFORMATIONAL}", f"sun: {INFORMATIONAL}"] * 3
    questions, answers = said[::2], said[1::2]
    assert {kind(one) for one in questions} == {NotifyType.R_U_THERE} == {36136}
    assert {kind(one) for one in answers} == {NotifyType.R_U_THERE_ACK} == {36137}
    for one in said:
        assert one.sealed
        assert one.only(Notification).spi == one.cookies
        assert one.only(Notification).protocol == ProtocolId.ISAKMP
    asked = [sequence(one) for one in questions]
    assert asked == list(range(asked[0], asked[0] + ROUNDS))
    assert [sequence(one) for one in answers] == asked
    gaps = [later.at - one.at for one, later in pairwise(questions)]
    assert all(is_about(lab, gap, EVERY) for gap in gaps), gaps


def liveness(net: Net) -> list[Message]:
    """The messages with R-U-THERE or its answer."""
    kinds = (NotifyType.R_U_THERE, NotifyType.R_U_THERE_ACK)
    notices = messages(net, exchange=INFORMATIONAL)
    return [one for one in notices if one.all(Notification) and kind(one) in kinds]


def kind(message: Message) -> int:
    """The type of its notify."""
    return message.only(Notification).notify_type


def sequence(message: Message) -> int:
    """The sequence number of a question or an answer."""
    return int.from_bytes(message.only(Notification).data, "big")
