# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that does not answer any more is found to be dead (RFC 7296 2.4)."""

from harness.capture.exchanges import NO_ANSWER, Liveness
from harness.ike.retransmission import Retransmission
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

DELAY = 3
"""Seconds of silence after which moon asks whether sun is alive; sun asks a second later."""
# Two retransmissions: an answer is given up after 0.5 + 0.9 + 1.62 seconds.
IMPATIENT = Retransmission(first=0.5, factor=1.8, tries=2)
GIVEN_UP = 0.5 + 0.9 + 1.62


@scenario(
    "dpd-dead-peer",
    "A peer behind a cut wire is found dead, and its SAs are removed.",
    rfc="7296 2.4",
)
def test_dpd_dead_peer(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(
        MOON_SUN,
        moon=moon,
        sun=sun,
        connection=NET_NET.with_ike(retransmission=IMPATIENT)
        .with_ike(dpd_delay=DELAY, on="moon")
        .with_ike(dpd_delay=DELAY + 1, on="sun"),
    )
    child = net.moon.initiate("net-net")
    wan = net.wire("wan")
    wan.await_ike("INFORMATIONAL", sender="sun", within=DELAY + 2)
    assert wan.exchanges[-1] == Liveness()
    wan.cut()
    last_answer = wan.frames[-1].number
    net.moon.await_ike_down("net-net", within=DELAY + GIVEN_UP + 1)
    net.sun.await_ike_down("net-net", within=DELAY + GIVEN_UP + 1)
    net.moon.await_deleted(child)
    net.sun.await_deleted(child.mirrored())
    asked = [m for m in wan.ike if m.number > last_answer and m.sender == "moon"]
    assert [str(m) for m in asked] == [str(asked[0])] * 3
    # A retransmission is the same message, octet for octet (RFC 7296 2.1).
    assert len({m.data for m in asked}) == 1
    unanswered = wan.exchanges[-2:]
    assert unanswered == [Liveness(error=NO_ANSWER)] * 2
    assert {one.about.sender for one in unanswered} == {"moon", "sun"}
