# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that do not agree: what is refused, with which words, and that nothing is left of it."""

from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import PreSharedKey
from harness.peers.contract import Peer
from harness.scenario import scenario
from scenarios.agreements import NET_NET


@scenario(
    "proposal-mismatch-ike",
    "An IKE SA whose proposals have nothing in common is refused with NO_PROPOSAL_CHOSEN.",
    rfc="7296 2.7",
)
def test_proposal_mismatch_ike(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.with_ike(on="moon", proposals=("aes128-sha256-x25519",)).with_ike(
        on="sun", proposals=("aes256-sha384-ecp384",)
    )
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.fails_to_initiate("net-net")
    request, response = net.wire("wan").ike
    assert (request.sender, response.sender) == ("moon", "sun")
    assert net.wire("wan").exchanges == [IkeSaInit(error="NO_PROPOSAL_CHOSEN")]
    no_ike_sa_is_left(net)
    nothing_was_protected(net)


@scenario(
    "proposal-mismatch-child",
    "A CHILD_SA whose proposals have nothing in common is refused, and the IKE SA stays.",
    rfc="7296 2.7",
)
def test_proposal_mismatch_child(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.with_child(on="moon", proposals=("aes128gcm16",)).with_child(
        on="sun", proposals=("aes256-sha256",)
    )
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.fails_to_initiate("net-net")
    assert [str(message) for message in net.wire("wan").ike] == [
        "moon: IKE_SA_INIT request 0",
        "sun: IKE_SA_INIT response 0",
        "moon: IKE_AUTH request 1",
        "sun: IKE_AUTH response 1",
    ]
    # sun proves who it is all the same: the IKE SA is up, only its first CHILD_SA is refused.
    assert net.wire("wan").exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org", error="NO_PROPOSAL_CHOSEN"),
    ]
    for gateway in (net.moon, net.sun):
        (ike,) = gateway.sas()
        assert ike.children == ()
    nothing_was_protected(net)


@scenario(
    "auth-failure",
    "A peer that does not know the pre-shared key gets no SA.",
    rfc="7296 2.21.2",
)
def test_auth_failure(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.authenticated_by(PreSharedKey("another secret than moon's"), on="sun")
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.fails_to_initiate("net-net")
    assert [str(message) for message in net.wire("wan").ike] == [
        "moon: IKE_SA_INIT request 0",
        "sun: IKE_SA_INIT response 0",
        "moon: IKE_AUTH request 1",
        "sun: IKE_AUTH response 1",
    ]
    # sun does not say who it is to somebody who does not know the secret.
    assert net.wire("wan").exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", error="AUTHENTICATION_FAILED"),
    ]
    no_ike_sa_is_left(net)
    nothing_was_protected(net)


def no_ike_sa_is_left(net: Net) -> None:
    assert list(net.moon.sas()) == []
    assert list(net.sun.sas()) == []


def nothing_was_protected(net: Net) -> None:
    for gateway in (net.moon, net.sun):
        assert [sa for sa in gateway.sad() if sa.established] == []
    assert net.wire("wan").esp == []
