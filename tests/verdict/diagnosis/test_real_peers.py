# SPDX-License-Identifier: GPL-2.0-or-later
"""Real daemons that do not agree: the diagnosis, and that they come up once one side is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Certificate, Connection, PreSharedKey, Side
from harness.peers.contract import Peer
from harness.peers.credentials import Authority
from harness.plugin.options import DEFAULT_PEER, PEERS
from harness.verdict.diagnosis.alternatives import Alternative
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy
from harness.verdict.diagnosis.strongswan_proposals import write_proposal
from harness.verdict.diagnosis.wishes import Setting
from scenarios.agreements import AUTHORITY, MOON, NET_NET, SUN

V1 = NET_NET.with_ike(version=1, proposals=("aes256-sha256-modp1536",)).with_child(
    proposals=("aes256-sha256",)
)
V2 = NET_NET
STRANGER = Authority("another CA", AUTHORITY.now)
LONG_AGO = AUTHORITY.now - timedelta(days=365)
WITHIN = 10.0


def end(connection: Connection, node: str, which: str, **changes: Any) -> Connection:
    """The connection with one end other than it is, in the configuration of one node."""
    side = connection.sides[node]
    changed = replace(side, **{which: replace(getattr(side, which), **changes)})
    return replace(connection, sides={**connection.sides, node: changed})


def certified(connection: Connection, moon: Certificate, *, trusted: str = "") -> Connection:
    """The connection with RSA certificates, moon's is this one; sun may trust another authority."""
    own = AUTHORITY.certify(SUN.identity, kind="rsa")
    own = replace(own, authority=trusted or own.authority)
    return connection.authenticated_by(moon, on="moon").authenticated_by(own, on="sun")


def of_moon(authority: Authority = AUTHORITY, **changes: Any) -> Certificate:
    """Moon's certificate of an authority; what moon trusts is the one of the lab."""
    issued = authority.certify(MOON.identity, kind="rsa", **changes)
    return replace(issued, authority=AUTHORITY.pem)


OF_ANOTHER = replace(AUTHORITY.certify("mars.strongswan.org", kind="rsa"), authority=AUTHORITY.pem)


def between_hosts(connection: Connection) -> Connection:
    """The connection for the gateways' own traffic, which transport mode can protect."""
    for node in connection.sides:
        connection = connection.with_subnets(on=node, local=(), remote=())
    return connection


@dataclass(frozen=True)
class Case:
    """Two sides that do not agree, the cause, and the rows in which they differ.

    `only` is the node on which it can be mended, where that is not both.
    """

    connection: Connection
    cause: Cause
    differing: tuple[str, ...]
    only: str = ""


CASES = {
    "v1 DH group": Case(
        V1.with_ike(on="moon", proposals=("aes256-sha256-modp1024",)),
        Cause.PROPOSAL,
        ("DH group",),
    ),
    "v1 hash and cipher": Case(
        V1.with_ike(on="sun", proposals=("aes128-sha1-modp1536",)),
        Cause.PROPOSAL,
        ("key length", "hash"),
    ),
    "v1 integrity": Case(
        V1.with_child(on="moon", proposals=("aes256-md5",)), Cause.PROPOSAL, ("integrity",)
    ),
    "v1 PFS": Case(
        V1.with_child(on="sun", proposals=("aes256-sha256-modp2048",)),
        Cause.PROPOSAL,
        ("PFS group",),
    ),
    "v1 proxy-id": Case(
        V1.with_subnets(on="moon", remote=("10.3.0.0/16",)), Cause.SELECTORS, ("traffic of sun",)
    ),
    "v1 initiator's identity": Case(
        end(V1, "moon", "local", identity="mars.strongswan.org"),
        Cause.IDENTITY,
        ("identity of moon",),
    ),
    "v1 responder's identity": Case(
        end(V1, "moon", "remote", identity="mars.strongswan.org"),
        Cause.IDENTITY,
        ("identity of sun",),
    ),
    "v2 everything": Case(
        V2.with_ike(on="sun", proposals=("aes256-sha384-ecp384",)),
        Cause.PROPOSAL,
        ("key length", "integrity", "PRF", "DH group"),
    ),
    "v2 second of two": Case(
        V2.with_ike(on="moon", proposals=("aes256-sha512-modp2048", "aes128-sha256-ecp256")),
        Cause.PROPOSAL,
        ("DH group",),
    ),
    "v2 child": Case(
        V2.with_child(on="sun", proposals=("aes256-sha256",)),
        Cause.PROPOSAL,
        ("encryption", "integrity"),
    ),
    "v2 selectors": Case(
        V2.with_subnets(on="sun", remote=("10.4.0.0/16",)), Cause.SELECTORS, ("traffic of moon",)
    ),
    "v2 identity": Case(
        end(V2, "sun", "remote", identity="mars.strongswan.org"),
        Cause.IDENTITY,
        ("identity of moon",),
    ),
    "v1 secret": Case(
        V1.authenticated_by(PreSharedKey("another"), on="sun"), Cause.SECRET, ("pre-shared key",)
    ),
    "v1 method": Case(V1.authenticated_by(of_moon(), on="moon"), Cause.METHOD, ("authentication",)),
    "v2 method": Case(V2.authenticated_by(of_moon(), on="moon"), Cause.METHOD, ("authentication",)),
    "v1 authority": Case(certified(V1, of_moon(STRANGER)), Cause.CERTIFICATE, ("issuer",)),
    "v2 authority": Case(certified(V2, of_moon(STRANGER)), Cause.CERTIFICATE, ("issuer",)),
    "v1 trust": Case(
        certified(V1, of_moon(), trusted=STRANGER.pem), Cause.CERTIFICATE, ("issuer",)
    ),
    "v2 trust": Case(
        certified(V2, of_moon(), trusted=STRANGER.pem), Cause.CERTIFICATE, ("issuer",)
    ),
    "v1 expired": Case(
        certified(V1, of_moon(now=LONG_AGO)), Cause.CERTIFICATE, ("valid",), only="moon"
    ),
    "v2 expired": Case(
        certified(V2, of_moon(now=LONG_AGO)), Cause.CERTIFICATE, ("valid",), only="moon"
    ),
    "v1 certificate of another": Case(
        certified(V1, OF_ANOTHER), Cause.CERTIFICATE, ("certificate for",), only="moon"
    ),
    "v2 certificate of another": Case(
        certified(V2, OF_ANOTHER), Cause.CERTIFICATE, ("certificate for",), only="moon"
    ),
    "v2 secret": Case(
        V2.authenticated_by(PreSharedKey("another"), on="sun"), Cause.SECRET, ("pre-shared key",)
    ),
}
OF_SUN = {
    "v1 against v2": Case(V1.with_ike(on="sun", version=2), Cause.VERSION, ("IKE version",)),
    "v2 against v1": Case(V1.with_ike(on="moon", version=2), Cause.VERSION, ("IKE version",)),
    "an unknown address": Case(
        end(V2, "sun", "remote", address="192.168.0.77"),
        Cause.NO_CONNECTION,
        ("initiator's address",),
    ),
}
"""What one strongSwan does not take from another, changed on sun."""
IN_TRANSPORT_MODE = Case(
    between_hosts(V1).with_child(on="moon", mode="transport"), Cause.MODE, ("mode",)
)
RUNS = [
    (DEFAULT_PEER, DEFAULT_PEER, "sun"),
    ("ikelabd", DEFAULT_PEER, "moon"),
    (DEFAULT_PEER, "ikelabd", "sun"),
]
"""Moon, sun, and which of them is changed."""


def initiated(net: Net) -> Diagnosis | None:
    """Why the connection does not come up, None when it does."""
    try:
        net.moon.initiate("net-net", WITHIN)
    except Exception:
        return net.diagnosis()
    return None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("run", RUNS, ids="-".join)
def test_a_mismatch_is_named_and_the_two_come_up_once_one_side_is_changed_as_told(
    lab: Lab,
    another_lab: Lab,
    pytestconfig: pytest.Config,
    run: tuple[str, str, str],
    case: Case,
) -> None:
    *names, changed = run
    peers = [pytestconfig.stash[PEERS][name] for name in names]
    is_mended(lab, another_lab, peers, case, case.only or changed)


@pytest.mark.parametrize("case", OF_SUN.values(), ids=OF_SUN)
def test_a_peer_that_is_refused_as_a_whole_is_told_from_one_with_other_proposals(
    lab: Lab, another_lab: Lab, moon: Peer, sun: Peer, case: Case
) -> None:
    is_mended(lab, another_lab, [moon, sun], case, "sun")


def test_transport_mode_is_named_where_the_answer_is_about_identities(
    lab: Lab, another_lab: Lab, pytestconfig: pytest.Config
) -> None:
    peers = [pytestconfig.stash[PEERS][name] for name in ("ikelabd", DEFAULT_PEER)]
    is_mended(lab, another_lab, peers, IN_TRANSPORT_MODE, "moon")


@pytest.mark.needs("esp")
@pytest.mark.parametrize("wants", ["moon", "sun"])
@pytest.mark.parametrize("run", RUNS, ids=lambda run: "-".join(run[:2]))
def test_in_ikev2_transport_mode_on_one_side_alone_is_no_failure_but_tunnel_mode(
    lab: Lab, pytestconfig: pytest.Config, run: tuple[str, str, str], wants: str
) -> None:
    # Transport mode is asked for with a notify that the other end need not return (RFC 7296 1.3.1).
    moon, sun = (pytestconfig.stash[PEERS][name] for name in run[:2])
    connection = between_hosts(V2).with_child(on=wants, mode="transport")
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.moon.initiate("net-net", WITHIN)
    net.sun.await_up("net-net")
    for gateway in (net.moon, net.sun):
        assert {one.mode for one in gateway.sad().established} == {"tunnel"}
    assert net.diagnoses() == ()


def is_mended(lab: Lab, another_lab: Lab, peers: Sequence[Peer], case: Case, changed: str) -> None:
    """See that the diagnosis is right, and that what it says on one node is enough."""
    moon, sun = peers
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=case.connection)
    found = initiated(net)
    assert found is not None
    assert found.cause is case.cause
    assert tuple(row.what for row in found.differing) == case.differing
    assert found.proved
    mended = case.connection
    for remedy in found.remedies:
        if remedy.node == changed:
            mended = applied(mended, remedy)
    assert mended != case.connection
    again = another_lab.up(MOON_SUN, moon=moon, sun=sun, connection=mended)
    assert again.moon.initiate("net-net", WITHIN)


def applied(connection: Connection, remedy: Remedy) -> Connection:
    """The connection with a setting of one side as the remedy says."""
    side = connection.sides[remedy.node]
    changed = CHANGES[remedy.setting](side, remedy.value, connection)
    return replace(connection, sides={**connection.sides, remedy.node: changed})


def proposals(value: Any) -> tuple[str, ...]:
    written = tuple(write_proposal(one) for one in value if isinstance(one, Alternative))
    assert all(written)
    return tuple(one for one in written if one)


def others_secret(side: Side, _: Any, connection: Connection) -> Side:
    (other,) = (one for node, one in connection.sides.items() if node != side.local.node)
    return replace(side, authentication=other.authentication)


def method(side: Side, value: Any, connection: Connection) -> Side:
    """With the other end's secret, or with a certificate of its own."""
    if value == "psk":
        return others_secret(side, value, connection)
    issued = AUTHORITY.certify(side.local.identity, kind="rsa")
    return replace(side, authentication=issued)


def certificate(side: Side, _: Any, connection: Connection) -> Side:
    """With a certificate that the other end trusts now."""
    (other,) = (one for node, one in connection.sides.items() if node != side.local.node)
    assert isinstance(other.authentication, Certificate)
    assert isinstance(side.authentication, Certificate)
    known = {one.pem: one for one in (AUTHORITY, STRANGER)}[other.authentication.authority]
    issued = known.certify(side.local.identity, kind="rsa")
    return replace(side, authentication=replace(issued, authority=side.authentication.authority))


def authority(side: Side, value: Any, _: Connection) -> Side:
    """With trust in the authority of that name."""
    assert isinstance(side.authentication, Certificate)
    (named,) = (one for one in (AUTHORITY, STRANGER) if f"CN={one.name}" in value)
    return replace(side, authentication=replace(side.authentication, authority=named.pem))


CHANGES: dict[Setting, Callable[[Side, Any, Connection], Side]] = {
    Setting.IKE_PROPOSALS: lambda side, value, _: replace(
        side, ike=replace(side.ike, proposals=proposals(value))
    ),
    Setting.CHILD_PROPOSALS: lambda side, value, _: replace(
        side, child=replace(side.child, proposals=proposals(value))
    ),
    Setting.LOCAL_IDENTITY: lambda side, value, _: replace(
        side, local=replace(side.local, identity=value)
    ),
    Setting.REMOTE_IDENTITY: lambda side, value, _: replace(
        side, remote=replace(side.remote, identity=value)
    ),
    Setting.LOCAL_SUBNETS: lambda side, value, _: replace(
        side, local=replace(side.local, subnets=value)
    ),
    Setting.REMOTE_SUBNETS: lambda side, value, _: replace(
        side, remote=replace(side.remote, subnets=value)
    ),
    Setting.PEER_ADDRESS: lambda side, value, _: replace(
        side, remote=replace(side.remote, address=value)
    ),
    Setting.VERSION: lambda side, value, _: replace(side, ike=replace(side.ike, version=value)),
    Setting.SECRET: others_secret,
    Setting.METHOD: method,
    Setting.CERTIFICATE: certificate,
    Setting.AUTHORITY: authority,
    Setting.MODE: lambda side, value, _: replace(side, child=replace(side.child, mode=value)),
}
