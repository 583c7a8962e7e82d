# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic that wants an SA which is not there yet (RFC 4301 4.4.1)."""

from dataclasses import replace

from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from harness.peers.ikelabd.native import native_file
from harness.scenario import scenario
from scenarios.agreements import NET_NET


@scenario(
    "acquire",
    "The first packet of a protected flow brings its CHILD_SA up, and none leaves in clear.",
    rfc="4301 4.4.1",
)
def test_acquire(lab: Lab, sun: Peer) -> None:
    written = native_file(NET_NET.sides["moon"], lab.data_plane)
    waiting = replace(written, text=written.text + 'start = "route"\n')
    net = lab.up(MOON_SUN, moon=Ikelabd(), sun=sun, connection=NET_NET, native={"moon": [waiting]})
    assert list(net.moon.sas()) == []
    # Only alice speaks: sun waits for no traffic, and would answer in clear.
    net.ping("alice", "bob", within=1)
    net.moon.await_up("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(10)
    assert flow.lost == 0
    assert net.wire("wan").ike[0].sender == "moon"
