# SPDX-License-Identifier: GPL-2.0-or-later
from harness.lab.lab import Lab
from harness.network.topologies import NAT_IN_PATH
from harness.peers.contract import Peer
from scenarios.nat.test_nat_in_path import FROM_INSIDE, seen_from_outside


def test_a_mapping_is_there_until_the_router_forgets_it(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=seen_from_outside(FROM_INSIDE))
    router = net.router("nat")
    router.timeouts(unreplied=1, stream=3600)
    net.moon.initiate("net-net")
    assert {one.inside[0] for one in router.mappings()} == {"172.16.0.10"}
    router.expire()
    assert router.mappings() == []
