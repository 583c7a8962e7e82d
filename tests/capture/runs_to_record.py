# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of decryption are tried on: two charons that rekey what there is, and end.

These are scenarios in form, so that `ikelab run` makes them; `tests.capture.runs` does once.
"""

from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Connection
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET, with_certificates

PACKETS = 6
"""Datagrams each way that cross with each CHILD_SA."""
SHA256 = ("aes128-sha256-x25519",)
V1 = NET_NET.with_ike(version=1, proposals=("aes128-sha1-modp2048",)).with_child(
    proposals=("aes256-sha256-modp2048",)
)


@scenario("ikev1-psk", "IKEv1 with a pre-shared key.")
def test_ikev1_psk(lab: Lab, moon: Peer, sun: Peer) -> None:
    replaced_from_both_ends(lab, moon, sun, V1)


@scenario("ikev1-certificates", "IKEv1 with certificates.")
def test_ikev1_certificates(lab: Lab, moon: Peer, sun: Peer) -> None:
    replaced_from_both_ends(lab, moon, sun, with_certificates(V1))


@scenario("ikev2-psk", "IKEv2 with a pre-shared key.")
def test_ikev2_psk(lab: Lab, moon: Peer, sun: Peer) -> None:
    replaced_from_both_ends(lab, moon, sun, NET_NET)


@scenario("ikev2-certificates", "IKEv2 with certificates.")
def test_ikev2_certificates(lab: Lab, moon: Peer, sun: Peer) -> None:
    replaced_from_both_ends(lab, moon, sun, with_certificates(NET_NET))


@scenario("ikev2-kernel", "IKEv2 whose ESP is the kernel's, in IP.", needs=("esp",))
def test_ikev2_kernel(lab: Lab, moon: Peer, sun: Peer) -> None:
    replaced_from_both_ends(lab, moon, sun, NET_NET, forced=False)


def replaced_from_both_ends(
    lab: Lab, moon: Peer, sun: Peer, connection: Connection, *, forced: bool = True
) -> None:
    connection = connection.with_ike(force_encapsulation=forced)
    # The logs are compared with what the kernels tell, and charon's says such keys only if asked.
    options = {node: {"charon.filelog.keys.chd": 4} for node in ("moon", "sun")}
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection, options=options)
    wan = net.wire("wan")
    child = net.moon.initiate("net-net")
    # The responder of IKEv1 has its SAs one message later, and would send in clear until then.
    net.sun.await_up("net-net")
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(PACKETS)
        net.moon.rekey_child("net-net")
        child = net.moon.await_rekeyed(child)
        flow.await_crossed(PACKETS)
        if connection.sides["sun"].ike.version == 2:
            net.sun.rekey_ike("net-net")
            # The old IKE SA goes by a DELETE that moon answers, in its second exchange with sun.
            wan.await_ike("INFORMATIONAL", sender="moon", message_id=1)
            flow.await_crossed(PACKETS)
        net.sun.rekey_child("net-net")
        net.sun.await_rekeyed(child.mirrored())
        flow.await_crossed(PACKETS)
    net.moon.delete_ike("net-net")
    net.sun.await_ike_down("net-net")
