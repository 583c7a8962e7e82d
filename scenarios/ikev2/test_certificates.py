# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends that prove themselves with certificates, or cannot."""

from dataclasses import replace
from datetime import timedelta

from harness.capture.exchanges import IkeAuth, IkeSaInit
from harness.ike.constants_v2 import PayloadType
from harness.lab.lab import Lab
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Certificate, Connection
from harness.peers.contract import Peer
from harness.peers.credentials import Authority, Kind
from harness.scenario import scenario
from harness.verdict.diagnosis.findings import Cause, Diagnosis
from harness.verdict.diagnosis.wishes import Setting
from scenarios.agreements import AUTHORITY, MOON, NET_NET, SUN

STRANGER = Authority("another CA", AUTHORITY.now)
BELOW_MOON, BELOW_SUN = (
    Authority(f"ikelab CA of {node}", AUTHORITY.now, issuer=AUTHORITY) for node in ("moon", "sun")
)
LONG_AGO = AUTHORITY.now - timedelta(days=365)


@scenario(
    "certificates-ecdsa",
    "Ends with ECDSA certificates of one authority know each other.",
    rfc="7296 2.15",
)
def test_certificates_ecdsa(lab: Lab, moon: Peer, sun: Peer) -> None:
    know_each_other(lab, moon, sun, certified(AUTHORITY, AUTHORITY))


@scenario(
    "certificates-rsa",
    "Ends with RSA certificates of one authority know each other.",
    rfc="7296 2.15",
)
def test_certificates_rsa(lab: Lab, moon: Peer, sun: Peer) -> None:
    know_each_other(lab, moon, sun, certified(AUTHORITY, AUTHORITY, "rsa"))


@scenario(
    "certificates-chain",
    "An end sends the certificates between its own and the authority that the other trusts.",
    rfc="7296 3.6",
)
def test_certificates_chain(lab: Lab, moon: Peer, sun: Peer) -> None:
    know_each_other(lab, moon, sun, certified(BELOW_MOON, BELOW_SUN), certificates=2)


@scenario(
    "certificates-wrong-ca",
    "An end whose certificate is of an authority that nobody trusts is refused.",
    rfc="7296 2.21.2",
)
def test_certificates_wrong_ca(lab: Lab, moon: Peer, sun: Peer) -> None:
    of_stranger = STRANGER.certify(MOON.identity)
    credentials = replace(of_stranger, authority=AUTHORITY.pem)
    found = is_refused(lab, moon, sun, credentials)
    assert found.difference("issuer") == (name_of(STRANGER), name_of(AUTHORITY))
    assert [(one.node, one.setting) for one in found.remedies] == [
        ("moon", Setting.CERTIFICATE),
        ("sun", Setting.AUTHORITY),
    ]


@scenario(
    "certificates-expired",
    "An end whose certificate has expired is refused.",
    rfc="7296 2.21.2",
)
def test_certificates_expired(lab: Lab, moon: Peer, sun: Peer) -> None:
    found = is_refused(lab, moon, sun, AUTHORITY.certify(MOON.identity, now=LONG_AGO))
    assert [row.what for row in found.differing] == ["valid"]
    assert [(one.node, one.setting) for one in found.remedies] == [("moon", Setting.CERTIFICATE)]


def certified(of_moon: Authority, of_sun: Authority, kind: Kind = "ecdsa") -> Connection:
    """The connection with credentials of these two authorities."""
    connection = NET_NET
    for end, authority in ((MOON, of_moon), (SUN, of_sun)):
        credentials = authority.certify(end.identity, kind=kind)
        connection = connection.authenticated_by(credentials, on=end.node)
    return connection


def know_each_other(
    lab: Lab, moon: Peer, sun: Peer, connection: Connection, certificates: int = 1
) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.initiate("net-net")
    wan = net.wire("wan")
    assert wan.exchanges == [IkeSaInit(), IkeAuth("moon.strongswan.org", "sun.strongswan.org")]
    auth = wan.exchanges[-1].about
    for payloads in (auth.request, auth.response):
        kinds = [one.payload_type for one in payloads]
        assert kinds.count(PayloadType.CERT) == certificates
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(5)


def is_refused(lab: Lab, moon: Peer, sun: Peer, credentials: Certificate) -> Diagnosis:
    """Moon proves who it is with these, and sun, whose own are in order, does not believe it.

    Returns why.
    """
    connection = certified(AUTHORITY, AUTHORITY).authenticated_by(credentials, on="moon")
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.fails_to_initiate("net-net")
    wan = net.wire("wan")
    assert wan.exchanges == [
        IkeSaInit(),
        IkeAuth("moon.strongswan.org", error="AUTHENTICATION_FAILED"),
    ]
    for gateway in (net.moon, net.sun):
        assert list(gateway.sas()) == []
        assert [sa for sa in gateway.sad() if sa.established] == []
    assert wan.esp == []
    found = net.diagnosis()
    assert (found.cause, found.asker, found.refuser) == (Cause.CERTIFICATE, "moon", "sun")
    return found


def name_of(authority: Authority) -> str:
    """The subject of an authority's certificate."""
    return f"CN={authority.name},O=ikelab"
