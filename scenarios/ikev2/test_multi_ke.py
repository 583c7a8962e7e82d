# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys from two key exchanges, of which whoever wants to read along would have to break both."""

from harness.capture.exchanges import (
    Delete,
    DeleteIke,
    Exchange,
    IkeAuth,
    IkeSaInit,
    Intermediate,
    Other,
    Rekey,
    RekeyIke,
)
from harness.ike.payload import first
from harness.ike.payloads_v2 import KeyExchange
from harness.ike.transforms import key_exchange
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET

FOLLOWUP = Other("IKE_FOLLOWUP_KE")
"""An exchange that goes on with CREATE_CHILD_SA (RFC 9370 2.2.4)."""


@scenario(
    "multi-ke",
    "Every SA has keys from two key exchanges, the second in an exchange of its own.",
    rfc="9370 2.2",
)
def test_multi_ke(lab: Lab, moon: Peer, sun: Peer) -> None:
    agree_on_two(lab, moon, sun, "x25519-ke1_ecp384", ("X25519", "ECP_384"))


@scenario(
    "multi-ke-ml-kem",
    "Every SA has keys from X25519 and from ML-KEM-768, which no quantum computer breaks.",
    rfc="9370 2.2",
)
def test_multi_ke_ml_kem(lab: Lab, moon: Peer, sun: Peer) -> None:
    agree_on_two(lab, moon, sun, "x25519-ke1_mlkem768", ("X25519", "ML_KEM_768"))


def agree_on_two(lab: Lab, moon: Peer, sun: Peer, methods: str, names: tuple[str, str]) -> None:
    """Make SAs and replace them, each time with both key exchanges; nothing is lost."""
    connection = NET_NET.with_ike(proposals=(f"aes128-sha256-{methods}",)).with_child(
        proposals=(f"aes128gcm16-{methods}",), keep_rekeyed=1
    )
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    wan = net.wire("wan")
    child = net.moon.initiate("net-net")
    (ike,) = net.moon.sas()
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)
        net.moon.rekey_child("net-net")
        net.moon.await_rekeyed(child)
        wan.await_ike("INFORMATIONAL", sender="sun")
        flow.await_crossed(5)
        before = len(wan.frames)
        net.moon.rekey_ike("net-net")
        net.moon.await_ike_rekeyed(ike)
        wan.await_ike("INFORMATIONAL", sender="sun", since=before)
        flow.await_crossed(5)
    assert flow.lost == 0
    told = wan.exchanges
    assert told == [
        IkeSaInit(),
        Intermediate(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org"),
        Rekey(child.inbound),
        FOLLOWUP,
        Delete(child.inbound),
        RekeyIke(),
        FOLLOWUP,
        DeleteIke(),
    ]
    wanted = [(method, method) for method in (key_exchange(name).id for name in names)]
    for begun in (0, 3, 6):
        assert [methods_of(one) for one in told[begun : begun + 2]] == wanted


def methods_of(exchange: Exchange) -> tuple[int, int]:
    """The key exchange methods whose public values a request and its response have."""
    request, response = (
        first(payloads, KeyExchange)
        for payloads in (exchange.about.request, exchange.about.response)
    )
    assert request is not None
    assert response is not None
    return request.group, response.group
