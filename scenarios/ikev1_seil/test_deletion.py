# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs that one end takes down are deleted at the other: the IPsec SAs first, then the ISAKMP SA."""

from __future__ import annotations

from ipaddress import ip_network

from harness.capture.exchanges import Delete, DeleteIke
from harness.ike.constants_v1 import PayloadType, ProtocolId
from harness.ike.payloads_v1 import Delete as DeletePayload
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.leaks import in_clear
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.ikev1_seil.agreements import CONN, TUNNEL, up
from scenarios.ikev1_seil.front_ends import either_front_end
from scenarios.ikev1_seil.observed import crosses, established, messages

SITES = (ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
GONE = "when the tunnel is gone the routers of this topology forward its traffic as it is"


@either_front_end
@scenario(
    "delete-on-shutdown",
    "A SEIL whose tunnel is taken away tells strongSwan, and nothing of it is left.",
    rfc="2408 3.15",
    seed="002",
)
def test_delete_on_shutdown(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, without={"clear": GONE})
    child = established(net)
    crosses(net)
    assert not in_clear(net.wire("wan").frames, inner=SITES)
    net.seil.delete_ike(TUNNEL)
    net.sun.await_ike_down(CONN)
    net.sun.await_deleted(child.mirrored())
    is_deleted(net, "seil", child.inbound)


@either_front_end
@scenario(
    "delete-on-stop",
    "A strongSwan that is stopped tells the SEIL, and nothing of the tunnel is left.",
    rfc="2408 3.15",
    seed="002",
)
def test_delete_on_stop(lab: Lab, seil: Peer, sun: Peer) -> None:
    net = up(lab, seil, sun, without={"clear": GONE})
    child = established(net)
    crosses(net)
    assert not in_clear(net.wire("wan").frames, inner=SITES)
    net.sun.stop()
    net.seil.await_ike_down(TUNNEL)
    net.seil.await_deleted(child)
    is_deleted(net, "sun", child.outbound)


def is_deleted(net: Net, by: str, inbound: int) -> None:
    """The deletes of a node, and that nothing is protected after them, though there is traffic."""
    wan = net.wire("wan")
    assert wan.exchanges[-2:] == [Delete(inbound), DeleteIke()]
    deletes = messages(net)[-2:]
    for message, protocol, size in zip(
        deletes, (ProtocolId.IPSEC_ESP, ProtocolId.ISAKMP), (4, 16), strict=True
    ):
        assert message.sender == by
        assert message.sealed
        assert message.kinds == [PayloadType.HASH, PayloadType.D]
        said = message.only(DeletePayload)
        assert said.protocol == protocol
        assert [len(spi) for spi in said.spis] == [size]
    assert deletes[0].only(DeletePayload).spis == (inbound.to_bytes(4, "big"),)
    assert deletes[1].only(DeletePayload).spis == (deletes[1].cookies,)
    for gateway in (net.seil, net.sun):
        assert list(gateway.sas()) == []
        assert len(gateway.sad()) == 0
    crosses(net)
    assert in_clear(wan.frames, inner=SITES)
    assert [packet for packet in wan.esp if packet.number > wan.ike[-1].number] == []
