# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts that protect what they say to each other, in transport mode."""

from harness.lab.lab import Lab
from harness.network.topologies import HOST_TO_HOST
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import HOST_HOST


@scenario(
    "transport-host2host",
    "Two hosts agree on transport mode, and only ESP is on the wire between them.",
    rfc="7296 1.3.1",
    needs=("esp",),
)
def test_transport_host2host(lab: Lab, moon: Peer, sun: Peer) -> None:
    net = lab.up(HOST_TO_HOST, host1=moon, host3=sun, connection=HOST_HOST)
    child = net.host1.initiate("host-host")
    with net.traffic("host1", "host3") as flow:
        flow.await_crossed(20)
    assert flow.lost == 0
    for gateway in (net.host1, net.host3):
        assert {sa.mode for sa in gateway.sad()} == {"transport"}
        assert {sa.spi for sa in gateway.sad()} == {child.inbound, child.outbound}
    sent = {(packet.sender, packet.spi) for packet in net.wire("wan").esp}
    assert sent == {("host1", child.outbound), ("host3", child.inbound)}
