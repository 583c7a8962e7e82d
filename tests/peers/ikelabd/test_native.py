# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace
from pathlib import Path

import pytest

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.credentials import Credentials
from harness.daemon.native.dialect import read_toml
from harness.ike.retransmission import Retransmission
from harness.ike.v1.configuration import Lifetime
from harness.ike.v2.connection import Anchors, SharedKey, Signer
from harness.peers.connection import Connection, PreSharedKey
from harness.peers.contract import Configuration, NativeFile, Unsupported
from harness.peers.ikelabd.native import files_of, native_file
from scenarios.agreements import HOST_HOST, NET_NET, with_certificates


def read(connection: Connection, node: str) -> DaemonConfiguration:
    file = native_file(connection.sides[node], "kernel")
    return read_toml(file.text, file.path, Credentials(Path("/")))


def test_a_side_is_what_ikelabd_reads() -> None:
    connection = NET_NET.with_ike(
        dpd_delay=3, mobike=True, force_encapsulation=True, rekey=100, overrun=20, jitter=7
    ).with_child(life=10, rekey=5, jitter=1, keep_rekeyed=2)
    connection = connection.with_ike(reauth=90)
    found = read(connection.with_ike(retransmission=Retransmission(0.5, 1.8, 2)), "moon")
    assert found.keep_rekeyed == 2
    assert found.settings.retransmission == Retransmission(0.5, 1.8, 2)
    (ike,) = found.v2
    assert ike.remote is not None
    assert ike.local is not None
    assert (ike.local.host, ike.remote.host) == ("192.168.0.1", "192.168.0.2")
    assert (str(ike.local_id), str(ike.remote_id)) == ("moon.strongswan.org", "sun.strongswan.org")
    assert (ike.dpd_after, ike.mobike, ike.force_encapsulation) == (3, True, True)
    assert (ike.rekey_after, ike.lifetime, ike.jitter) == (100, 120, 7)
    assert ike.reauthenticate_after == 90
    (child,) = ike.children
    assert (child.rekey_after, child.lifetime, child.jitter) == (5, 10, 1)
    assert str(child.local[0].start_address) == "10.1.0.0"
    assert str(child.remote[0].end_address) == "10.2.255.255"
    assert not child.transport


def test_an_end_without_subnets_protects_its_address_in_transport_mode() -> None:
    ((child,),) = (ike.children for ike in read(HOST_HOST, "host1").v2)
    assert (child.local, child.remote, child.transport) == ((), (), True)


def test_times_of_0_are_never() -> None:
    connection = NET_NET.with_ike(rekey=0).with_child(life=0, rekey=0)
    (ike,) = read(connection, "moon").v2
    (child,) = ike.children
    assert (ike.rekey_after, ike.lifetime, ike.dpd_after) == (None, None, None)
    assert ike.reauthenticate_after is None
    assert (child.rekey_after, child.lifetime) == (None, None)


def test_certificates_and_their_key_arrive() -> None:
    (ike,) = read(with_certificates(NET_NET), "sun").v2
    assert isinstance(ike.local_auth, Signer)
    assert isinstance(ike.remote_auth, Anchors)
    assert len(ike.local_auth.chain) == len(ike.remote_auth.certificates) == 1


@pytest.mark.parametrize("secret", ['"quoted" \\ and #more', "Grüße\t\x7f", "'''"])
def test_any_secret_arrives_as_it_is(secret: str) -> None:
    (ike,) = read(NET_NET.authenticated_by(PreSharedKey(secret)), "moon").v2
    assert ike.local_auth == ike.remote_auth == SharedKey(secret.encode())


def test_a_side_of_ikev1_is_rekeyed_at_the_times_of_the_side() -> None:
    connection = NET_NET.with_ike(
        version=1, proposals=("aes256-sha256-modp2048",), rekey=60
    ).with_child(life=10, rekey=5, keep_rekeyed=2, proposals=("aes256-sha256-modp2048",))
    (ike,) = read(connection, "moon").v1
    assert ike.rekey_at == 0.5
    assert ike.phase1.lifetime == Lifetime(120)
    assert ike.delete_superseded_after == 2
    (child,) = ike.children
    assert child.lifetime == Lifetime(10)
    assert child.pfs is not None


def test_files_that_are_given_go_before_what_the_driver_would_write() -> None:
    given = NativeFile("/run/mine.toml", "")
    configuration = Configuration(NET_NET.sides["moon"], "native", (given,))
    assert files_of(configuration) == (given,)
    with pytest.raises(Unsupported, match="writes no racoon configuration by itself"):
        files_of(replace(configuration, dialect="racoon", files=()))
