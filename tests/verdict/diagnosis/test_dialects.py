# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of each dialect, and how its settings are spelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.peers.connection import Connection
from harness.peers.credentials import Kind
from harness.peers.ikelabd.native import native_file
from harness.peers.strongswan.connections import ipsec_conf, load_conn, swanctl_conf
from harness.verdict.diagnosis.alternatives import Alternative, Aspect, SaKind
from harness.verdict.diagnosis.configurations import Given, wishes_in, wishes_of
from harness.verdict.diagnosis.ipsec_conf import read_ipsec_conf
from harness.verdict.diagnosis.seil import read_seil_file
from harness.verdict.diagnosis.strongswan_proposals import (
    UnknownProposal,
    read_proposal,
    write_proposal,
)
from harness.verdict.diagnosis.swanctl_conf import read_swanctl_conf, read_tree
from harness.verdict.diagnosis.wishes import Setting, Value, Wishes
from scenarios.agreements import AUTHORITY, NET_NET

SEEDS_CONF = """\
conn %default
        authby=secret
        keyexchange=ikev1
conn seil
        left=10.0.0.2
        leftsubnet=192.168.2.0/24
        right=10.0.0.1
        rightsubnet=192.168.1.0/24
        ike=aes256-sha256-modp1536!
        auto=add
"""
SEEDS_SECRETS = "10.0.0.1 : PSK xeeB5gohvaYi\n"
SEIL = """\
interface.ipsec0.preshared-key            : xeeB5gohvaYi
interface.ipsec0.ipv4.source              : 10.0.0.1
interface.ipsec0.ipv4.destination         : 10.0.0.2
"""


def only(found: tuple[Wishes, ...]) -> Wishes:
    (one,) = found
    return one


def test_the_seeds_ipsec_conf_is_read_with_what_it_leaves_to_the_daemon() -> None:
    found = only(read_ipsec_conf(SEEDS_CONF, "sun", secrets=SEEDS_SECRETS))
    assert (found.addresses, found.peer_addresses) == (("10.0.0.2",), ("10.0.0.1",))
    assert (found.local_identity, found.remote_identity) == ("10.0.0.2", "10.0.0.1")
    assert (found.local_subnets, found.remote_subnets) == (
        ("192.168.2.0/24",),
        ("192.168.1.0/24",),
    )
    assert (found.versions, found.method, found.mode) == ((1,), "psk", "tunnel")
    assert found.secret == b"xeeB5gohvaYi"
    (ike,) = found.alternatives(SaKind.ISAKMP_SA)
    assert ike[Aspect.GROUP] == ("MODP_1536",)
    assert ike[Aspect.AUTHENTICATION] == ("pre-shared key",)
    assert found.defaults == {SaKind.IPSEC_SA}
    assert "HMAC_SHA1_96" in found.alternatives(SaKind.IPSEC_SA)[1][Aspect.INTEGRITY]
    place = found.place(Setting.IKE_PROPOSALS)
    assert place is not None
    assert place.where == "ipsec.conf line 9"


def test_the_own_side_is_right_where_that_has_the_own_address() -> None:
    found = only(read_ipsec_conf(SEEDS_CONF, "seil", own_addresses=("10.0.0.1",)))
    assert (found.addresses, found.local_subnets) == (("10.0.0.1",), ("192.168.1.0/24",))
    (spelled,) = found.spelling.spell(found, Setting.LOCAL_SUBNETS, ("192.168.9.0/24",))
    assert spelled.text == "rightsubnet=192.168.9.0/24"
    assert spelled.where == "ipsec.conf line 8"


def test_a_distinguished_name_is_quoted_in_an_ipsec_conf() -> None:
    found = only(read_ipsec_conf(SEEDS_CONF, "sun"))
    (spelled,) = found.spelling.spell(found, Setting.REMOTE_IDENTITY, "CN=moon,O=ikelab")
    assert spelled.text == 'rightid="CN=moon,O=ikelab"'
    mended = SEEDS_CONF + f"        {spelled.text}\n"
    assert only(read_ipsec_conf(mended, "sun")).remote_identity == "CN=moon,O=ikelab"


def agreement(connection: Connection) -> dict[str, Wishes]:
    """One side of a connection as each dialect of each peer has it."""
    side = connection.sides["moon"]
    secret = getattr(side.authentication, "secret", None)
    tree = {"connections": load_conn(side)}
    if secret is not None:
        tree["secrets"] = {"ike": {"secret": secret}}
    toml = native_file(side, "kernel")
    return {
        "vici": only(read_tree(tree, "moon")),
        "ipsec.conf": only(wishes_of(given_files(ipsec_conf(side)))),
        "swanctl.conf": only(wishes_of(given_files(swanctl_conf(side)))),
        "native": only(wishes_of(Given("moon", {toml.path: toml.text}))),
    }


def test_each_child_of_a_connection_is_read_and_spelled_by_its_name() -> None:
    side = NET_NET.sides["moon"]
    (swanctl, *_), toml = swanctl_conf(side), native_file(side, "kernel")
    begin = "    children {\n"
    assert begin in swanctl.text
    with_guests = {
        swanctl.path: swanctl.text.replace(
            begin, f"{begin}      guests {{\n        local_ts = 10.9.0.0/16\n      }}\n"
        ),
        toml.path: toml.text
        + '[connection."net-net".child.guests]\nlocal = ["10.9.0.0/16"]\nremote = ["10.2.0.0/16"]\n'
        + 'proposals = ["aes128gcm16"]\n',
    }
    for path, text in with_guests.items():
        both = wishes_of(Given("moon", {path: text}))
        by_subnet = {one.local_subnets: one for one in both}
        assert set(by_subnet) == {("10.9.0.0/16",), ("10.1.0.0/16",)}
        guests = by_subnet[("10.9.0.0/16",)]
        (spelled,) = guests.spelling.spell(guests, Setting.MODE, "transport")
        assert ".guests.mode = " in spelled.text


def given_files(files) -> Given:
    return Given("moon", {one.path: one.text for one in files})


def certified(kind: Kind) -> Connection:
    connection = NET_NET
    for node, side in connection.sides.items():
        credentials = AUTHORITY.certify(side.local.identity, kind=kind)
        connection = connection.authenticated_by(credentials, on=node)
    return connection


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "connection", [NET_NET, certified("rsa"), certified("ecdsa")], ids=["psk", "rsa", "ecdsa"]
)
def test_every_dialect_says_the_same_of_one_side(connection: Connection, version: int) -> None:
    ike = {"version": version}
    if version == 1:
        ike |= {"proposals": ("aes256-sha256-modp2048", "aes256-sha384-modp2048")}
    found = agreement(connection.with_ike(**ike).with_child(proposals=("aes256-sha256",)))
    seen = {
        name: (
            one.versions,
            one.method,
            one.mode,
            one.secret,
            one.local_identity,
            one.remote_identity,
            one.local_subnets,
            one.remote_subnets,
            one.addresses,
            one.peer_addresses,
            {
                kind: tuple(each.only(set(Aspect) - {Aspect.LIFETIME, Aspect.PFS}) for each in all_)
                for kind, all_ in one.proposals.items()
            },
            len(one.trusted),
        )
        for name, one in found.items()
    }
    assert all(one == seen["vici"] for one in seen.values()), seen


def test_a_seil_that_is_refused_says_nothing() -> None:
    assert read_seil_file(SEIL + "interface.ipsec0.mtu : 1400\n", "seil", "seil.conf") == ()
    assert len(read_seil_file(SEIL, "seil", "seil.conf")) == 1


@pytest.mark.parametrize(
    ("lines", "setting", "value", "texts"),
    [
        ("", Setting.LOCAL_IDENTITY, "a.example", ["my-identifier : a.example"]),
        (
            "interface.ipsec0.ike.my-identifier.type : fqdn\n"
            "interface.ipsec0.ike.my-identifier.fqdn : b.example\n",
            Setting.LOCAL_IDENTITY,
            "a.example",
            ["my-identifier.fqdn : a.example"],
        ),
        (
            "interface.ipsec0.ike.peers-identifier.type : fqdn\n"
            "interface.ipsec0.ike.peers-identifier.fqdn : b.example\n",
            Setting.REMOTE_IDENTITY,
            "10.0.0.2",
            ["peers-identifier.type : address", "peers-identifier.address : 10.0.0.2"],
        ),
        ("", Setting.MODE, "transport", []),
        ("", Setting.VERSION, 2, []),
    ],
)
def test_a_seil_has_its_own_lines_for_what_it_can_do(lines, setting, value, texts) -> None:
    found = only(read_seil_file(SEIL + lines, "seil", "seil.conf"))
    spelled = found.spelling.spell(found, setting, value)
    assert [one.text for one in spelled] == [f"interface.ipsec0.ike.{one}" for one in texts]
    replaced = {one.instead for one in spelled}
    kept = [line for line in lines.splitlines() if line not in replaced]
    again = SEIL + "".join(f"{one}\n" for one in (*kept, *(each.text for each in spelled)))
    assert not texts or len(read_seil_file(again, "seil", "seil.conf")) == 1


def test_no_secret_is_spelled_or_shown_in_its_place() -> None:
    for one in (
        *agreement(NET_NET).values(),
        only(read_ipsec_conf(SEEDS_CONF, "sun", secrets=SEEDS_SECRETS)),
        only(read_seil_file(SEIL, "seil", "seil.conf")),
    ):
        secret = one.secret
        assert secret is not None
        told = [one.spelling.spell(one, Setting.SECRET, "the secret of sun"), repr(one)]
        assert all(secret.decode() not in str(each) for each in told)


def test_the_configurations_of_a_run_are_found_by_node(tmp_path: Path) -> None:
    for node, path, text in (
        ("sun", "etc/ipsec.conf", SEEDS_CONF),
        ("sun", "etc/ipsec.secrets", SEEDS_SECRETS),
        ("sun", "etc/strongswan.conf", "charon {\n i_dont_care = 3\n}\n"),
        ("seil", "run/some-name", SEIL),
        ("other", "etc/unknown", "nothing that anybody knows"),
    ):
        file = tmp_path / node / "configuration" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = {one.node: one for one in wishes_in(tmp_path)}
    assert set(found) == {"sun", "seil"}
    assert found["sun"].secret == found["seil"].secret == b"xeeB5gohvaYi"
    assert found["sun"].accepts_aggressive is False
    assert wishes_in(tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    "text", ["", "aes999-sha256", "modp1", "aes128-sha256-ke8_mlkem768x", "aes128--sha256", "!"]
)
def test_a_word_that_is_no_algorithm_is_refused(text: str) -> None:
    with pytest.raises(UnknownProposal, match="no algorithm"):
        read_proposal(text, SaKind.IKE_SA)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("aes256-sha256-modp1536", SaKind.ISAKMP_SA),
        ("3des-md5-modp1024", SaKind.ISAKMP_SA),
        ("aes128-sha256-x25519-ecp256", SaKind.IKE_SA),
        ("aes128-sha256-prfsha384-ecp384", SaKind.IKE_SA),
        ("aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke1_none", SaKind.IKE_SA),
        ("aes256-aesxcbc-modp2048", SaKind.IKE_SA),
        ("aes256-md5", SaKind.IPSEC_SA),
        ("aes128gcm16-x25519-esn-noesn", SaKind.LATER_CHILD_SA),
        ("null-sha1", SaKind.CHILD_SA),
    ],
)
def test_a_proposal_is_written_as_it_was_read(text: str, kind: SaKind) -> None:
    assert write_proposal(read_proposal(text, kind)) == text


ANYTHING = st.text(st.characters(codec="utf-8"), max_size=200) | st.sampled_from(
    [SEEDS_CONF, SEIL, "connections {\n a {\n proposals = x\n }\n}\n", "conn x\n also=x\n"]
)


@given(ANYTHING, ANYTHING)
def test_no_text_is_an_error_to_any_reader(one: str, other: str) -> None:
    for text in (one, one + other, one[: len(one) // 2] + other):
        read_ipsec_conf(text, "moon", secrets=other)
        read_swanctl_conf(text, "moon")
        read_seil_file(text, "moon", "seil.conf")
        for path in ("/run/ikelabd.native", "/run/racoon.conf", "/load-conn.json"):
            wishes_of(Given("moon", {path: text, "/load-shared.json": other}))


def test_another_method_is_spelled_with_all_that_it_changes() -> None:
    found = agreement(NET_NET)
    spelled = {
        dialect: [one.text for one in wishes.spelling.spell(wishes, Setting.METHOD, "pubkey")]
        for dialect, wishes in found.items()
    }
    both = [f"connections.net-net.{end}.auth = pubkey" for end in ("local", "remote")]
    path = "connection.net-net"
    assert spelled == {
        "vici": both,
        "swanctl.conf": both,
        "ipsec.conf": ["authby=pubkey"],
        "native": [f"no line {path}.secret, and {path}.private-key = <the key of the certificate>"],
    }


RACOON = """\
path certificate "/run/cert";
path pre_shared_key "/run/psk";
remote 10.0.0.2 {
    exchange_mode main;
    my_identifier fqdn "branch.example.org";
    proposal {
        authentication_method pre_shared_key;
        encryption_algorithm 3des;
        hash_algorithm sha1;
        dh_group 2 ;
    }
}
sainfo address 10.0.0.1 any address 10.0.0.2 any {
    lifetime time 30 sec;
    encryption_algorithm blowfish ;
    authentication_algorithm hmac_md5;
    compression_algorithm deflate ;
}
"""


def racoon_in(folder: Path, text: str) -> Wishes:
    """A racoon's configuration as a run's folder has it, with the file that it names."""
    given = folder / "seil" / "configuration" / "run"
    given.mkdir(parents=True, exist_ok=True)
    (given / "racoon.conf").write_text(text)
    (given / "psk").write_text("10.0.0.2 known\n")
    return only(wishes_in(folder))


def proposal(words: str, kind: SaKind) -> tuple[Alternative, ...]:
    return (read_proposal(words, kind),)


@pytest.mark.parametrize(
    ("setting", "value", "text", "line"),
    [
        (
            Setting.IKE_PROPOSALS,
            proposal("3des-sha1-modp1536", SaKind.ISAKMP_SA),
            ["dh_group modp1536;"],
            10,
        ),
        (
            Setting.IKE_PROPOSALS,
            proposal("aes256-sha1-modp1024", SaKind.ISAKMP_SA),
            ["encryption_algorithm aes 256;"],
            8,
        ),
        (
            Setting.CHILD_PROPOSALS,
            proposal("aes128-md5", SaKind.IPSEC_SA),
            ["encryption_algorithm blowfish, aes;"],
            15,
        ),
        (Setting.LOCAL_IDENTITY, "10.0.0.1", ["my_identifier address 10.0.0.1;"], 5),
        (Setting.METHOD, "pubkey", ["authentication_method rsasig;"], 7),
        (Setting.EXCHANGE, "aggressive", ["exchange_mode aggressive;"], 4),
        (Setting.CHILD_LIFETIME, 20, ["lifetime time 20 sec;"], 14),
        (
            Setting.REMOTE_SUBNETS,
            ("10.2.0.0/16",),
            ["sainfo address 10.0.0.1/32 any address 10.2.0.0/16 any"],
            13,
        ),
    ],
)
def test_a_racoon_is_mended_in_its_own_words(
    setting: Setting, value: Value, text: list[str], line: int, tmp_path: Path
) -> None:
    found = racoon_in(tmp_path, RACOON)
    spelled = found.spelling.spell(found, setting, value)
    assert [one.text for one in spelled] == text
    assert [one.where for one in spelled] == [f"racoon.conf line {line}"]
    # What is to be written there is taken.
    lines = RACOON.splitlines()
    lines[line - 1] = text[0] + (" {" if text[0].startswith("sainfo") else "")
    if setting is not Setting.METHOD:
        assert racoon_in(tmp_path, "\n".join(lines)) != found


def test_what_a_racoon_has_no_line_for_is_put_into_its_block(tmp_path: Path) -> None:
    found = racoon_in(tmp_path, RACOON)
    (spelled,) = found.spelling.spell(found, Setting.REMOTE_IDENTITY, "CN=sun,O=ikelab")
    assert spelled.text == 'peers_identifier asn1dn "CN=sun,O=ikelab";'
    assert spelled.where == "in remote 10.0.0.2 of racoon.conf"
    assert found.secret == b"known"
    place = found.place(Setting.CHILD_LIFETIME)
    assert place is not None
    assert (place.text, place.where) == ("lifetime time 30 sec;", "racoon.conf line 14")
