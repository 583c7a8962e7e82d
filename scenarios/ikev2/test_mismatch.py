# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that do not agree: what is refused, with which words, and that nothing is left of it."""

from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import PreSharedKey
from harness.peers.contract import Peer
from harness.scenario import scenario
from harness.verdict.diagnosis.findings import Cause
from harness.verdict.diagnosis.wishes import Setting
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
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.PROPOSAL, "moon", "sun")
    assert {row.what: (row.offered, row.wanted) for row in found.differing} == {
        "key length": ("AES_CBC_128", "AES_CBC_256"),
        "integrity": ("HMAC_SHA2_256_128", "HMAC_SHA2_384_192"),
        "PRF": ("HMAC_SHA2_256", "HMAC_SHA2_384"),
        "DH group": ("X25519", "ECP 384"),
    }
    assert {one.node: one.setting for one in found.remedies} == {
        "moon": Setting.IKE_PROPOSALS,
        "sun": Setting.IKE_PROPOSALS,
    }
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
    found = net.diagnosis()
    assert (found.cause, found.exchange, found.proved) == (Cause.PROPOSAL, "IKE_AUTH", True)
    assert found.difference("encryption") == ("AES_GCM_16_128", "AES_CBC_256")
    assert found.difference("integrity") == ("none", "HMAC_SHA2_256_128")
    assert [row.what for row in found.differing] == ["encryption", "integrity"]
    no_child_sa_is_left(net)
    nothing_was_protected(net)


@scenario(
    "ts-mismatch",
    "A CHILD_SA for traffic that the peer does not want is refused with TS_UNACCEPTABLE.",
    rfc="7296 2.9",
)
def test_ts_mismatch(lab: Lab, moon: Peer, sun: Peer) -> None:
    connection = NET_NET.with_subnets(on="moon", remote=("10.3.0.0/16",))
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.fails_to_initiate("net-net")
    assert net.wire("wan").exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", "sun.strongswan.org", error="TS_UNACCEPTABLE"),
    ]
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.SELECTORS, "moon", "sun")
    assert found.difference("traffic of sun") == ("10.3.0.0/16", "10.2.0.0/16")
    assert [row.what for row in found.differing] == ["traffic of sun"]
    assert [(one.node, one.setting, one.value) for one in found.remedies] == [
        ("moon", Setting.REMOTE_SUBNETS, ("10.2.0.0/16",)),
        ("sun", Setting.LOCAL_SUBNETS, ("10.3.0.0/16",)),
    ]
    no_child_sa_is_left(net)
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
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.SECRET, "moon", "sun")
    assert found.proved
    assert [(one.node, one.setting) for one in found.remedies] == [
        ("moon", Setting.SECRET),
        ("sun", Setting.SECRET),
    ]
    no_ike_sa_is_left(net)
    nothing_was_protected(net)


def no_child_sa_is_left(net: Net) -> None:
    for gateway in (net.moon, net.sun):
        (ike,) = gateway.sas()
        assert ike.children == ()


def no_ike_sa_is_left(net: Net) -> None:
    assert list(net.moon.sas()) == []
    assert list(net.sun.sas()) == []


def nothing_was_protected(net: Net) -> None:
    for gateway in (net.moon, net.sun):
        assert [sa for sa in gateway.sad() if sa.established] == []
    assert net.wire("wan").esp == []
