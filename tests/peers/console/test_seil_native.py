# SPDX-License-Identifier: GPL-2.0-or-later
"""A side of a connection, written as a SEIL's configuration, reads as what was meant."""

from dataclasses import replace

import pytest

from harness.daemon.seil.dialect import read_seil
from harness.ike.v1.configuration import Lifetime
from harness.ike.v1.identity import address_identity, name_identity, subnet_identity
from harness.peers.connection import Certificate, Child, Connection, End, Ike, PreSharedKey, Side
from harness.peers.console.seil_native import seil_text
from harness.peers.contract import Unsupported

IKE = Ike(
    1, ("aes256-sha256-modp1536", "aes256-sha1-modp1536"), rekey=48, dpd_delay=20
)  # fmt: skip
CHILD = Child("net", proposals=("aes256-md5",), life=60, rekey=48)
CONNECTION = Connection.between(
    End("moon", "10.0.0.1", "10.0.0.1", ("192.168.1.0/24",)),
    End("sun", "10.0.0.2", "@sun.example.org", ("192.168.2.0/24",)),
    name="seil",
    authentication=PreSharedKey("xeeB5gohvaYi"),
    ike=IKE,
    child=CHILD,
)
SIDE = CONNECTION.sides["moon"]


def read(side: Side):
    (connection,) = read_seil(seil_text(side), "seil.conf").v1
    return connection


def test_everything_of_a_side_is_in_the_configuration():
    found = read(SIDE)
    assert (found.local.host, found.remote.host) == ("10.0.0.1", "10.0.0.2")
    assert found.credentials.secret == b"xeeB5gohvaYi"
    assert found.local_identity == address_identity("10.0.0.1", 17)
    assert found.remote_identity == name_identity("sun.example.org")
    assert [one.name for one in found.phase1.encryptions] == ["AES_CBC_256"]
    assert [one.name for one in found.phase1.hashes] == ["HMAC_SHA2_256", "HMAC_SHA1"]
    assert [one.name for one in found.phase1.groups] == ["MODP_1536"]
    assert found.phase1.lifetime == Lifetime(60)
    assert found.dpd.interval == 20.0
    (child,) = found.children
    assert (child.local, child.remote) == (
        subnet_identity("192.168.1.0/24"), subnet_identity("192.168.2.0/24"),
    )  # fmt: skip
    assert [one.name for one in child.integrities] == ["HMAC_MD5_96"]
    assert (child.lifetime, child.pfs) == (Lifetime(60), None)


def test_the_other_side_says_its_name_and_forces_what_it_is_told():
    side = CONNECTION.with_ike(force_encapsulation=True, dpd_delay=0).sides["sun"]
    found = read(side)
    assert found.local_identity == replace(name_identity("sun.example.org"), protocol=17)
    assert found.nat.force
    assert found.dpd.interval == 0


def test_perfect_forward_secrecy_is_a_third_word():
    side = CONNECTION.with_child(proposals=("aes128-sha256-modp2048",)).sides["moon"]
    assert read(side).children[0].pfs.name == "MODP_2048"


@pytest.mark.parametrize(
    ("side", "why"),
    [
        (CONNECTION.with_ike(version=2), "a SEIL has IKEv1 only; give the connection version 1"),
        (CONNECTION.with_child(mode="transport"), "no transport mode"),
        (CONNECTION.authenticated_by(Certificate("a", "b", "c")), "preshared keys only"),
        (CONNECTION.with_child(proposals=("aes128gcm16",)), "a SEIL has no proposal aes128gcm16"),
        (CONNECTION.with_child(proposals=("aes128ctr-sha1",)), "a SEIL has no AES_CTR_128"),
        (CONNECTION.with_ike(proposals=("aes128-sha1-x25519",)), "a SEIL has no X25519"),
        (CONNECTION.with_ike(proposals=("aes128-sha1",)), "exactly one Diffie-Hellman group"),
        (CONNECTION.with_ike(proposals=("aes256-sha256-modp1536", "aes128-sha1-modp1536")),
         "offers every encryption with every hash; its IKE proposals are no such list"),
    ],
)  # fmt: skip
def test_what_a_seil_does_not_have_is_unsupported(side, why):
    with pytest.raises(Unsupported, match=why):
        seil_text(side.sides["moon"])
