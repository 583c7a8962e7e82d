# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a real strongSwan stops by itself, without a word to its peer: said, mended as told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.capture.exchanges import MainMode, QuickMode
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Certificate, Connection
from harness.peers.contract import NativeFile, Peer
from harness.peers.strongswan.connections import ipsec_conf, swanctl_conf
from harness.plugin.options import DEFAULT_PEER, PEERS
from harness.verdict.diagnosis.findings import Cause, Remedy
from scenarios.agreements import AUTHORITY, NET_NET

V1 = NET_NET.with_ike(version=1, proposals=("aes256-sha256-modp1536",)).with_child(
    proposals=("aes256-sha256",)
)
WRITERS = {"ipsec.conf": ipsec_conf, "swanctl.conf": swanctl_conf}
WITHIN = 10.0
Files = tuple[NativeFile, ...]


def with_rsa(connection: Connection) -> Connection:
    """The connection with a certificate at each end that both versions of IKE can sign with."""
    for node, side in connection.sides.items():
        own = AUTHORITY.certify(side.local.identity, kind="rsa")
        connection = connection.authenticated_by(own, on=node)
    return connection


def without_key(files: Files) -> Files:
    """The files of a strongSwan whose key nobody has put there."""
    return tuple(one for one in files if not {"private", "ipsec.secrets"} & {*one.path.split("/")})


def as_told(files: Files, remedies: Sequence[Remedy], key: str) -> Files:
    """The files and what is to be added: a key, and the line that names it."""
    added = []
    for one in (each.spelled for each in remedies):
        place = re.search(r"the private key of .* as (?:a file in )?(/\S+)$", one.text)
        if place is None:
            added.append(NativeFile(f"/etc/{one.where}", one.text + "\n"))
        else:
            name = "any.pem" if place[1].endswith("/") else ""
            added.append(NativeFile(place[1] + name, key))
    return (*files, *added)


@pytest.mark.parametrize("dialect", WRITERS)
@pytest.mark.parametrize("node", ["moon", "sun"])
@pytest.mark.parametrize("connection", [V1, NET_NET], ids=["v1", "v2"])
def test_a_missing_private_key_is_named_and_the_two_come_up_once_it_is_put_as_told(
    lab: Lab,
    another_lab: Lab,
    moon: Peer,
    sun: Peer,
    connection: Connection,
    node: str,
    dialect: str,
) -> None:
    connection = with_rsa(connection)
    files = {name: tuple(WRITERS[dialect](side)) for name, side in connection.sides.items()}
    files[node] = without_key(files[node])
    given = {"connection": connection, "dialect": dialect, "moon": moon, "sun": sun}
    net = lab.up(MOON_SUN, native=files, **given)
    assert net.moon.fails_to_initiate("net-net", WITHIN)
    found = net.diagnosis()
    assert (found.cause, found.proved) == (Cause.PRIVATE_KEY, True)
    assert f"{node} has no private key for its certificate CN={node}.strongswan.org" in (
        found.sentence
    )
    assert [row.what for row in found.differing] == ["private key"]
    assert {one.node for one in found.remedies} == {node}
    own = connection.sides[node].authentication
    assert isinstance(own, Certificate)
    files[node] = as_told(files[node], found.remedies, own.private_key)
    again = another_lab.up(MOON_SUN, native=files, **given)
    assert again.moon.initiate("net-net", WITHIN)
    assert again.diagnoses() == ()


MODP_NULL = ("esp=aes256-sha256!", "esp=aes256-sha256-modpnull!")
"""A group that strongSwan has a name for, and no code."""


@pytest.mark.parametrize("responder", ["ikelabd", DEFAULT_PEER])
def test_a_strongswan_that_never_begins_quick_mode_is_told_what_its_peer_would_take(
    lab: Lab, another_lab: Lab, pytestconfig: pytest.Config, moon: Peer, responder: str
) -> None:
    sun = pytestconfig.stash[PEERS][responder]
    conf, *others = ipsec_conf(V1.sides["moon"])
    assert MODP_NULL[0] in conf.text
    broken = replace(conf, text=conf.text.replace(*MODP_NULL))

    def up(where: Lab, file: NativeFile) -> Net:
        return where.up(
            MOON_SUN,
            moon=moon,
            sun=sun,
            connection=V1,
            dialect={"moon": "ipsec.conf"},
            native={"moon": (file, *others)},
        )

    net = up(lab, broken)
    assert net.moon.fails_to_initiate("net-net", WITHIN)
    exchanges = net.wire("wan").exchanges
    assert exchanges[0] == MainMode()
    assert not any(isinstance(one, QuickMode) for one in exchanges)
    found = net.diagnosis()
    assert (found.cause, found.exchange, found.proved) == (Cause.PROPOSAL, "Quick Mode", False)
    assert "moon never began a Quick Mode after Main Mode" in found.sentence
    assert found.difference("proposals for IPsec") == ("aes256-sha256-modpnull", "aes256-sha256")
    (told,) = found.remedies
    assert (told.node, told.spelled.instead) == ("moon", MODP_NULL[1])
    mended = broken.text.replace(told.spelled.instead, told.spelled.text)
    again = up(another_lab, replace(broken, text=mended))
    assert again.moon.initiate("net-net", WITHIN)
    assert again.diagnoses() == ()
