# SPDX-License-Identifier: GPL-2.0-or-later
"""A racoon.conf becomes connections, negotiates as racoon does, or names what is wrong where."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.configuration import ConfigurationError
from harness.daemon.credentials import Credentials
from harness.daemon.dialects import read_text
from harness.daemon.racoon.dialect import read_racoon
from harness.ike.address import Address
from harness.ike.certificates import subject_dn
from harness.ike.retransmission import Retransmission
from harness.ike.transforms import encryption, integrity
from harness.ike.v1.configuration import (
    Child,
    Connection,
    DeadPeerDetection,
    Lifetime,
    LifetimeCheck,
    NatTraversal,
    Phase1Mode,
    Rekeying,
    Signer,
)
from harness.ike.v1.events import IsakmpSaEstablished
from harness.ike.v1.identity import (
    OWN_ADDRESS,
    address_identity,
    dn_identity,
    name_identity,
    subnet_identity,
)
from tests.daemon.racoon_files import ANONYMOUS, NAMED, PAIR, PRESHARED, TO_PEER, write_files
from tests.ike.v1.pair import Pair, mirrored, swan
from tests.ike.v1.test_signatures import EPOCH, RACOON, certificate, signer


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    return str(write_files(tmp_path_factory.mktemp("racoon")))


def only(text: str, file: str) -> Connection:
    (connection,) = read_racoon(text, file).v1
    return connection


def complaints(text: str, file: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read_racoon(text, file)
    return [one.replace(file, "racoon.conf") for one in str(refused.value).splitlines()]


def names(algorithms) -> list[str]:
    return [one.name for one in algorithms]


def test_the_anonymous_configuration_is_a_responder_with_a_certificate(file):
    found = read_racoon(ANONYMOUS, file)
    (connection,) = found.v1
    assert (connection.local.host, connection.remote) == ("0.0.0.0", None)
    assert connection.credentials == Signer(
        (certificate("moon"),), connection.credentials.key, (certificate("ca", "ca"),)
    )
    assert connection.local_identity == dn_identity(subject_dn(certificate("moon")))
    assert connection.remote_identity is None
    phase1 = connection.phase1
    assert (phase1.encryptions, phase1.hashes, phase1.groups) == (
        tuple(RACOON.encryptions), tuple(RACOON.hashes), tuple(RACOON.groups),
    )  # fmt: skip
    assert phase1.mode is Phase1Mode.MAIN
    assert phase1.accept_aggressive_psk
    (child,) = connection.children
    assert (child.local, child.remote, child.transport) == (OWN_ADDRESS, OWN_ADDRESS, True)
    assert child.lifetime == Lifetime(180)
    assert (names(child.encryptions), names(child.integrities)) == (["3DES"], ["HMAC_SHA1_96"])
    assert found.startup == {"anonymous": "none"}


def test_a_pair_of_addresses_is_a_child_in_transport_mode_that_waits_for_traffic(file):
    found = read_racoon(TO_PEER, file)
    (connection,) = found.v1
    assert (connection.local.host, connection.remote.host) == ("10.0.0.1", "10.0.0.2")
    (child,) = connection.children
    assert child == Child(
        "10.0.0.1/32-10.0.0.2/32",
        address_identity("10.0.0.1"),
        address_identity("10.0.0.2"),
        (encryption("BLOWFISH_128"),),
        (integrity("HMAC_MD5_96"),),
        transport=True,
        lifetime=Lifetime(30),
        check=LifetimeCheck.STRICT,
    )
    assert found.startup == {child.name: "route"}


def test_ipv6_addresses_work_as_those_of_version_4_do(file):
    one, other = "2001:240:7:101:290:99ff:fe2a:1139", "2001:240:7:101:280:4cff:fe20:5450"
    text = TO_PEER.replace("10.0.0.1", one).replace("10.0.0.2", other)
    connection = only(text, file)
    assert (connection.local.host, connection.remote.host) == (one, other)
    assert connection.children[0].local == address_identity(one)
    assert connection.children[0].transport


def test_a_preshared_key_and_two_networks_are_a_tunnel(file):
    found = read_racoon(PRESHARED, file)
    (connection,) = found.v1
    assert connection.credentials.secret == b"xeeB5gohvaYi"
    assert connection.local_identity == address_identity("10.0.0.1")
    assert names(connection.phase1.encryptions) == ["AES_CBC_256"]
    (child,) = connection.children
    assert (child.local, child.remote) == (
        subnet_identity("192.168.1.0/24"), subnet_identity("192.168.2.0/24"),
    )  # fmt: skip
    assert not child.transport
    assert names(child.encryptions) == ["AES_CBC_256", "AES_CBC_128", "3DES"]
    assert names(child.integrities) == ["HMAC_SHA2_256_128", "HMAC_SHA1_96"]
    assert child.pfs.name == "MODP_1536"
    assert found.listen == ("10.0.0.1",)


IN_REMOTE = [
    ("exchange_mode aggressive,main;", lambda c: c.phase1.mode, Phase1Mode.AGGRESSIVE),
    ("exchange_mode main;", lambda c: c.phase1.accept_aggressive_psk, False),
    ("lifetime time 24 hours;", lambda c: c.phase1.lifetime, Lifetime(86400)),
    ("lifetime time 1 minute;", lambda c: c.phase1.lifetime, Lifetime(60)),
    ("nonce_size 32;", lambda c: c.nonce_size, 32),
    ("initial_contact off;", lambda c: c.initial_contact, False),
    ("passive on;", lambda c: c.responder_only, True),
    *((f"proposal_check {one};", lambda c: c.phase1.check, one) for one in LifetimeCheck),
    ("nat_traversal on;", lambda c: c.nat, NatTraversal()),
    ("nat_traversal force;", lambda c: c.nat, NatTraversal(force=True)),
    ("doi ipsec_doi;", lambda c: c.nat, NatTraversal(enabled=False)),
    ("dpd_delay 20;", lambda c: c.dpd, DeadPeerDetection(20.0)),
    ("dpd_delay 7; dpd_retry 2; dpd_maxfail 3;", lambda c: c.dpd, DeadPeerDetection(7.0, 2.0, 3)),
    ("situation identity_only;", lambda c: c.dpd.interval, 0.0),
    ("rekey off;", lambda c: c.rekeying, Rekeying.NEVER),
    ("my_identifier fqdn \"a.example\";", lambda c: c.local_identity, name_identity("a.example")),
    ("my_identifier user_fqdn \"u@a\";", lambda c: str(c.local_identity), "u@a"),
    ("my_identifier address 10.0.0.7;", lambda c: str(c.local_identity), "10.0.0.7"),
    ("peers_identifier address;", lambda c: str(c.remote_identity), "10.0.0.2"),
    ("peers_identifier fqdn sun;", lambda c: c.remote_identity, name_identity("sun")),
    ("peers_identifier fqdn sun; verify_identifier off;", lambda c: c.remote_identity, None),
    ("peers_identifier asn1dn \"CN=sun\";", lambda c: c.remote_identity.is_who(
        dn_identity(subject_dn(certificate("sun")))), True),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "wanted"), IN_REMOTE, ids=[o[0] for o in IN_REMOTE])
def test_a_statement_of_a_remote_sets_its_part(line, value, wanted, file):
    text = PRESHARED.replace("exchange_mode main;", "")
    text = text.replace("remote 10.0.0.2 {", "remote 10.0.0.2 { " + line)
    assert value(only(text, file)) == wanted


def test_a_retransmission_timer_is_for_all(file):
    text = PRESHARED + "timer { counter 3; interval 10 sec; }\n"
    assert only(text, file).retransmission == Retransmission(first=10.0, tries=3)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("des", "DES"), ("3des", "3DES"), ("blowfish", "BLOWFISH_128"),
        ("blowfish 448", "BLOWFISH_448"), ("cast128", "CAST_128"), ("aes", "AES_CBC_128"),
        ("rijndael 256", "AES_CBC_256"), ("null_enc", "NULL"), ("camellia 192", "CAMELLIA_CBC_192"),
    ],
)  # fmt: skip
def test_a_cipher_has_the_name_and_the_default_length_of_racoon(word, name, file):
    text = TO_PEER.replace("encryption_algorithm blowfish ;", f"encryption_algorithm {word};")
    assert names(only(text, file).children[0].encryptions) == [name]


def test_proposals_are_offered_in_order(file):
    first = PRESHARED[PRESHARED.index("    proposal") : PRESHARED.index("}\nsainfo")]
    second = first.replace("sha256", "sha1")
    assert names(only(PRESHARED.replace(first, first + second), file).phase1.hashes) == [
        "HMAC_SHA2_256", "HMAC_SHA1",
    ]  # fmt: skip


def test_authorities_are_found_by_their_hash_or_by_name(file):
    by_name = ANONYMOUS.replace("my_identifier", 'ca_type x509 "cacert.pem"; my_identifier')
    assert only(by_name, file).credentials.anchors == only(ANONYMOUS, file).credentials.anchors


def test_two_remotes_have_each_the_children_of_their_address(file):
    second = TO_PEER[TO_PEER.index("remote") :].replace("10.0.0.2", "10.0.0.3")
    one, two = read_racoon(TO_PEER + second, file).v1
    assert [one.children[0].name, two.children[0].name] == [
        "10.0.0.1/32-10.0.0.2/32", "10.0.0.1/32-10.0.0.3/32",
    ]  # fmt: skip


MAIN = "exchange_mode main,aggressive;"

REFUSED = [
    ("exchange_mode main,aggressive;", "exchange_mode base;", 5, "base: ikelabd has no Base Mode;"
     " use main or aggressive"),
    ("exchange_mode main,aggressive;", "exchange_mode main agressive;", 5, "agressive: a ; is"
     " expected here"),
    ("exchange_mode main,aggressive;", "exchange_mode main,;", 5, ";: a mode is missing before"
     " this"),
    ("exchange_mode main,aggressive;", "exchange_mod main;", 5, "exchange_mod: there is no such"
     " statement in remote; did you mean exchange_mode?"),
    ("exchange_mode main,aggressive;", f"{MAIN} {MAIN}", 5, "exchange_mode: line 5 sets this"
     " already; keep one of them"),
    ("exchange_mode main,aggressive;", "mode_cfg on;", 5, "mode_cfg: ikelabd has no Mode Config"
     " for IKEv1; remove this"),
    ("exchange_mode main,aggressive;", "generate_policy on;", 5, "on: ikelabd has only off here"),
    ("encryption_algorithm 3des;", "encryption_algorithm 3des", 11, "hash_algorithm: a ; is"
     " expected here"),
    ("encryption_algorithm 3des;", "encryption_algorithm aes 100;", 10, "100: aes has keys of"
     " 128/192/256 bits"),
    ("encryption_algorithm 3des;", "encryption_algorithm rot13;", 10, "rot13: an encryption"
     " algorithm is one of aes, camellia, 3des, des, blowfish, cast128"),
    ("hash_algorithm sha1;", "hash_algorithm md4;", 11, "md4: a hash is one of sha256, sha384,"
     " sha512, sha1, md5"),
    ("dh_group 2 ;", "", 8, "proposal: this has no dh_group; add it"),
    ("rsasig", "gssapi_krb", 9, "gssapi_krb: a method is one of pre_shared_key, rsasig"),
    ("rsasig", "pre_shared_key", 4, "remote: ikelabd finds a preshared key by the peer's address;"
     " write it for anonymous"),
    ("3 min", "3 parsec", 16, "parsec: a unit of time is one of sec, min, hour"),
    ("3 min", "0 min", 16, "0: a number from 1 to 4294967295 is expected here"),
    ("authentication_algorithm hmac_sha1;", "", 15, "sainfo: this has no"
     " authentication_algorithm; add it"),
    ("compression_algorithm deflate", "compression_algorithm lzs", 19, "lzs: ikelabd has only"
     " deflate here"),
    ("sainfo anonymous", "sainfo asn1dn x any", 15, "asn1dn: ikelabd finds a sainfo by address"
     " only; write anonymous or address"),
    ("sainfo anonymous", "sainfo address 10.0.0.1/8 any address 10.0.0.2 any", 15, "10.0.0.1/8: an"
     " address or network is expected here, such as 10.1.0.0/16"),
    ("sainfo anonymous", "sainfo address 10.0.0.1 [80] tcp address 10.0.0.2 any", 15, "[: ikelabd"
     " protects all ports for racoon; write [any] or nothing"),
    ("sainfo anonymous", "sainfo address ::1 any address 10.0.0.2 any", 15, "sainfo: one end is"
     " IPv4 and the other IPv6; write one of them"),
    ("remote anonymous", "remote anonymous [4501]", 4, "[: ikelabd speaks to port 500; remove the"
     " port"),
    ("remote anonymous", "remote peer.example.org", 4, "peer.example.org: an address is expected"
     " here, such as 10.0.0.1"),
    ("host_priv.pem", "cacert.pem", 6, None),
    ("host_cert.pem", "none.pem", 6, None),
    ("remote anonymous", "padding { }\nremote anonymous", 4, "padding: ikelabd pads as racoon does"
     " without this; remove it"),
    ("remote anonymous", "frobnicate x;\nremote anonymous", 4, "frobnicate: there is no such"
     " statement; there is path, listen, timer, remote, sainfo"),
    ("path backupsa", "path backup", 3, "backup: a kind of path is one of include, certificate,"
     " pre_shared_key, backupsa"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "text"), REFUSED, ids=[f"{one[1][:40]} {one[2]}" for one in REFUSED]
)
def test_what_does_not_belong_is_refused_by_line_and_token(old, new, line, text, file):
    assert old in ANONYMOUS
    said = complaints(ANONYMOUS.replace(old, new, 1), file)
    assert said[0].startswith(f"racoon.conf:{line}: ")
    if text is not None:
        assert said == [f"racoon.conf:{line}: {text}"]


def test_a_key_that_cannot_be_read_is_named_with_its_path(file):
    folder = file.removesuffix("racoon.conf")
    (said,) = complaints(ANONYMOUS.replace("host_priv.pem", "none.pem"), file)
    assert said == (
        f'racoon.conf:6: "none.pem": {folder}cert/none.pem cannot be read:'
        " No such file or directory"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ANONYMOUS + "}", "racoon.conf:21: }: this closes nothing; remove it"),
        (ANONYMOUS[:-2], "racoon.conf:15: {: this is not closed; add a }"),
        (ANONYMOUS + 'path include "x', 'racoon.conf:21: ": this quote is not closed in its line'),
        (ANONYMOUS + ";", "racoon.conf:21: ;: there is no statement before this; remove it"),
        (ANONYMOUS + "listen", "racoon.conf:21: listen: a ; is missing after this"),
        ("{" * 50, "racoon.conf:1: {: there is no statement before this; remove it"),
        ("a {" * 50, "racoon.conf:1: {: blocks are nested more than 8 deep"),
    ],
)
def test_a_file_whose_braces_do_not_fit_is_refused_where_that_shows(text, said, file):
    assert said in complaints(text, file)


def test_an_empty_file_lacks_both_kinds_of_statement(file):
    assert complaints("", file) == [
        "racoon.conf:1: remote: there is none; add one",
        "racoon.conf:1: sainfo: there is none; add one",
    ]


def test_a_peer_without_a_preshared_key_is_named(file):
    (said,) = complaints(PRESHARED.replace("10.0.0.2", "10.0.0.4"), file)
    assert said == 'racoon.conf:1: "psk.txt": this file has no line 10.0.0.4 KEY'


def test_proposals_that_are_no_product_are_refused(file):
    first = PRESHARED[PRESHARED.index("    proposal") : PRESHARED.index("}\nsainfo")]
    second = first.replace("sha256", "sha1").replace("aes 256", "3des")
    (said,) = complaints(PRESHARED.replace(first, first + second), file)
    assert "every encryption with every hash and group" in said


def test_all_wrong_places_are_named_at_once(file):
    text = ANONYMOUS.replace("sha1;", "sha9;").replace("deflate", "zip").replace("main,", "base,")
    assert [one.split(":")[1] for one in complaints(text, file)] == ["5", "11", "18", "19"]


def test_the_same_file_read_again_is_the_same_configuration(file):
    credentials = Credentials(Path(file).parent)
    once, again = (read_text(ANONYMOUS, file, "racoon", credentials) for _ in range(2))
    assert once == again


# On the wire.


def racoon(text: str, file: str) -> Connection:
    """The connection with a clock that begins when the certificates of the tests are valid."""
    connection = only(text, file)
    if isinstance(connection.credentials, Signer):
        credentials = replace(connection.credentials, epoch=EPOCH)
        return replace(connection, credentials=credentials)
    return connection


def peer(child: Child, **changes: object) -> Connection:
    """A strongSwan with the certificate of sun."""
    own = replace(child, name="lan", local=child.remote, remote=child.local)
    return swan(
        credentials=signer("sun"),
        local_identity=name_identity("sun"),
        remote_identity=None,
        phase1=replace(RACOON, lifetime=Lifetime(28800)),
        children=(own,),
        **changes,
    )


def test_two_certificates_make_a_pair_of_sas_with_blowfish(file):
    connection = racoon(TO_PEER, file)
    pair = Pair(connection, peer(connection.children[0]))
    pair.initiate(connection.children[0].name)
    pair.run()
    assert mirrored(pair.a, pair.b)
    (sa,) = pair.a.sas
    assert (sa.encryption.name, sa.integrity.name) == ("BLOWFISH_128", "HMAC_MD5_96")
    assert sa.transport
    assert sa.lifetime == Lifetime(30)
    established = pair.b.only(IsakmpSaEstablished)
    assert established.peer == dn_identity(subject_dn(certificate("moon")))
    assert str(established.choice) == "3DES/HMAC_SHA1/MODP_1024/RSA_SIGNATURES"


def test_an_anonymous_racoon_answers_whoever_its_authority_knows(file):
    connection = racoon(ANONYMOUS, file)
    ends = Child(
        "lan", address_identity("10.0.0.2"), address_identity("10.0.0.1"),
        connection.children[0].encryptions, connection.children[0].integrities, transport=True,
        lifetime=Lifetime(180),
    )  # fmt: skip
    pair = Pair(connection, replace(peer(ends), children=(ends,)))
    pair.a.address = Address("10.0.0.1")
    pair.initiate("lan", end=pair.b)
    pair.run()
    assert len(pair.a.sas) == 1
    assert mirrored(pair.a, pair.b)
    assert pair.a.sas[0].local == address_identity("10.0.0.1")
    assert pair.a.sas[0].remote == address_identity("10.0.0.2")


def test_a_preshared_key_makes_a_tunnel_with_pfs(file):
    connection = racoon(PRESHARED, file)
    (child,) = connection.children
    own = replace(child, name="lan", local=child.remote, remote=child.local)
    pair = Pair(connection, swan(children=(own,), phase1=connection.phase1, remote_identity=None))
    pair.initiate(child.name)
    pair.run()
    assert mirrored(pair.a, pair.b)
    assert pair.a.sas[0].pfs.name == "MODP_1536"


WORDS = st.sampled_from([*ANONYMOUS.split(), "{", "}", ";", '"', "#", "[", "]", ",", "\n"])


@given(st.integers(0, len(TO_PEER)), st.integers(0, 30), st.one_of(WORDS, st.text(max_size=6)))
def test_a_mangled_file_is_read_or_refused_in_sentences(file, at, cut, noise):
    text = NAMED + PAIR
    mangled = text[:at] + noise + text[at + cut :]
    try:
        found = bool(read_racoon(mangled, file).v1)
    except ConfigurationError as refused:
        said = str(refused).split("\n")
        found = all(one.startswith(file + ":") and one.isprintable() for one in said)
    assert found
