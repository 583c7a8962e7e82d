# SPDX-License-Identifier: GPL-2.0-or-later
"""When a CHILD_SA is rekeyed: lifetime - (margintime + random(0, margintime * rekeyfuzz))."""

from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

LIFE, MARGIN = 60, 20
ALWAYS, REKEYS = 5, 10
"""How often a CHILD_SA is rekeyed where its lifetime is to be the same, and where it is drawn."""


@scenario(
    "rekey-fuzz",
    "Without fuzz every CHILD_SA is to be rekeyed at the same age, with 50 or 100 % of it up to "
    "half a margin or a margin earlier.",
    rfc="7296 2.8",
    seed="001",
    needs=("esp",),
)
def test_rekey_fuzz(lab: Lab, moon: Peer, sun: Peer) -> None:
    assert set(rekey_times(lab, moon, sun, ALWAYS, fuzz=0)) == {LIFE - MARGIN}
    are_spread_over(rekey_times(lab, moon, sun, REKEYS, fuzz=50), MARGIN // 2)
    are_spread_over(rekey_times(lab, moon, sun, REKEYS, fuzz=100), MARGIN)


def rekey_times(lab: Lab, moon: Peer, sun: Peer, rekeys: int, *, fuzz: int) -> list[int]:
    """The soft lifetimes, in seconds, that moon gave to one CHILD_SA after the other."""
    connection = NET_NET.with_child(
        life=LIFE, rekey=LIFE - MARGIN, jitter=MARGIN * fuzz // 100, keep_rekeyed=1
    )
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, dialect="ipsec.conf")
    child = net.moon.initiate("net-net")
    times = []
    for _ in range(rekeys):
        sa = net.moon.sad().find(spi=child.inbound)
        assert sa is not None
        times.append(sa.lifetimes.soft_seconds)
        net.moon.rekey_child("net-net")
        old, child = child, net.moon.await_rekeyed(child)
        net.moon.await_deleted(old)
    return times


def are_spread_over(times: list[int], spread: int) -> None:
    latest = LIFE - MARGIN
    # charon draws from [0, spread + 1) and rounds what is left down: a second earlier at most.
    assert latest - spread - 1 <= min(times)
    assert max(times) <= latest
    # By chance alone ten times would hardly all lie in one third.
    assert max(times) - min(times) > spread / 3
