# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs whose length ci/bench/lab.py measures; scenarios in every other respect."""

from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

REKEY = 5
HOUR = 3600


@scenario("first-ping", "From nothing to the first answer through the tunnel.")
def test_first_ping(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    net.moon.initiate("net-net")
    assert net.ping("alice", "bob").received == 1


@scenario("hour-of-rekeys", "A CHILD_SA is rekeyed every five seconds for an hour.", needs=("esp",))
def test_hour_of_rekeys(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.with_child(on="moon", life=2 * REKEY, rekey=REKEY)
    delay = {"charon.delete_rekeyed_delay": 1}
    net = lab.up(
        MOON_SUN, moon=moon, sun=sun, connection=connection, options={"moon": delay, "sun": delay}
    )
    child = net.moon.initiate("net-net")
    for _ in range(HOUR // REKEY):
        child = net.moon.await_rekeyed(child, within=REKEY + 2)
    assert net.ping("alice", "bob").received == 1
