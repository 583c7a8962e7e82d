# SPDX-License-Identifier: GPL-2.0-or-later
"""A SEIL configuration becomes connections with a SEIL's defaults, or names what is wrong."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.configuration import ConfigurationError
from harness.daemon.seil.dialect import read_seil
from harness.daemon.seil.keys import KEYS
from harness.ike.constants_v1 import IdType
from harness.ike.v1.configuration import (
    Child,
    Connection,
    DeadPeerDetection,
    Lifetime,
    LifetimeCheck,
    NatTraversal,
    Phase1,
    Phase1Mode,
)
from harness.ike.v1.identity import ANYTHING, address_identity, name_identity, subnet_identity
from tests.daemon.seil_files import MINIMAL, PHASE1, PHASE2, SIXTEEN, WITHOUT_PROXY_ID


def only(text: str) -> Connection:
    (connection,) = read_seil(text, "seil.conf").v1
    return connection


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read_seil(text, "seil.conf")
    return str(refused.value).splitlines()


def names(algorithms) -> list[str]:
    return [one.name for one in algorithms]


def test_the_smallest_configuration_has_every_default_of_a_seil():
    configuration = read_seil(MINIMAL, "seil.conf")
    connection = only(MINIMAL)
    assert (connection.local.host, connection.remote.host) == ("10.0.0.1", "10.0.0.2")
    assert connection.credentials.secret == b"xeeB5gohvaYi"
    assert connection.local_identity == address_identity("10.0.0.1", 17)
    assert connection.remote_identity is None
    assert connection.phase1 == Phase1()
    assert connection.children == (
        Child("ipsec0", subnet_identity("192.168.1.0/24"), subnet_identity("192.168.2.0/24")),
    )
    assert connection.dpd == DeadPeerDetection(interval=20.0)
    assert connection.nat == NatTraversal(enabled=True, force=False)
    assert connection.initial_contact
    assert not connection.responder_only
    assert configuration.startup == {"ipsec0": "start"}
    assert configuration.listen == ("10.0.0.1",)
    assert configuration.interfaces == {"ge0": ("10.0.0.1/24",), "ge1": ("192.168.1.1/24",)}
    assert configuration.routes == {"192.168.2.0/24": "ipsec0"}


def test_without_proxy_id_everything_is_asked_for_twice():
    (child,) = only(WITHOUT_PROXY_ID).children
    assert (child.local, child.remote) == (ANYTHING, ANYTHING)


def test_sixteen_transforms_come_from_four_by_four_algorithms_in_order():
    phase1 = only(MINIMAL + SIXTEEN).phase1
    assert names(phase1.encryptions) == ["AES_CBC_256", "AES_CBC_192", "AES_CBC_128", "3DES"]
    assert names(phase1.hashes) == ["HMAC_SHA2_512", "HMAC_SHA2_384", "HMAC_SHA2_256", "HMAC_SHA1"]


def test_a_list_is_in_the_order_of_its_numbers_whatever_the_order_of_lines():
    lines = "".join(reversed((MINIMAL + SIXTEEN).splitlines(keepends=True)))
    assert only(lines).phase1 == only(MINIMAL + SIXTEEN).phase1


TUNNEL = "interface.ipsec0."

SETTINGS = [
    ("responder-only : enable", lambda c: c.responder_only, True),
    ("responder-only : disable", lambda c: c.responder_only, False),
    ("ike.exchange-mode : main", lambda c: c.phase1.mode, Phase1Mode.MAIN),
    ("ike.exchange-mode : aggressive", lambda c: c.phase1.mode, Phase1Mode.AGGRESSIVE),
    ("ike.exchange-mode : aggressive", lambda c: c.phase1.accept_aggressive_psk, True),
    ("ike.exchange-mode : main", lambda c: c.phase1.accept_aggressive_psk, False),
    *((f"ike.check-level : {one}", lambda c: c.phase1.check, one) for one in LifetimeCheck),
    *((f"ike.check-level : {one}", lambda c: c.children[0].check, one) for one in LifetimeCheck),
    ("ike.initial-contact : disable", lambda c: c.initial_contact, False),
    ("ike.dpd : disable", lambda c: c.dpd.interval, 0.0),
    ("nat-traversal : disable", lambda c: c.nat, NatTraversal(enabled=False)),
    ("nat-traversal : force", lambda c: c.nat, NatTraversal(force=True)),
    ("ike.my-identifier : 10.9.9.9", lambda c: c.local_identity, address_identity("10.9.9.9", 17)),
    ("ike.my-identifier : seil.example.org", lambda c: str(c.local_identity), "seil.example.org"),
    ("ike.my-identifier : a@example.org", lambda c: c.local_identity.id_type, IdType.USER_FQDN),
    ("ike.my-identifier.type : address", lambda c: str(c.local_identity), "10.0.0.1"),
    (
        "ike.my-identifier.type : fqdn\ninterface.ipsec0.ike.my-identifier.fqdn : a.example",
        lambda c: (c.local_identity.id_type, c.local_identity.data),
        (IdType.FQDN, b"a.example"),
    ),
    (
        "ike.my-identifier.type : user-fqdn\n"
        "interface.ipsec0.ike.my-identifier.user-fqdn : me@a.example",
        lambda c: (c.local_identity.id_type, c.local_identity.data),
        (IdType.USER_FQDN, b"me@a.example"),
    ),
    ("ike.peers-identifier : 10.9.9.9", lambda c: c.remote_identity, address_identity("10.9.9.9")),
    ("ike.peers-identifier : b.example", lambda c: c.remote_identity, name_identity("b.example")),
    ("ike.peers-identifier.type : address", lambda c: str(c.remote_identity), "10.0.0.2"),
    (
        "ike.peers-identifier.type : address\n"
        "interface.ipsec0.ike.peers-identifier.address : 192.168.9.9",
        lambda c: str(c.remote_identity),
        "192.168.9.9",
    ),
    ("ike.proposal.phase1.lifetime : 60", lambda c: c.phase1.lifetime, Lifetime(60)),
    (
        "ike.proposal.phase2.lifetime-of-time : 60",
        lambda c: c.children[0].lifetime,
        Lifetime(60),
    ),
    (
        "ike.proposal.phase2.lifetime-of-byte : 2M",
        lambda c: c.children[0].lifetime,
        Lifetime(28800, 2048),
    ),
    (
        "ike.proposal.phase2.lifetime-of-byte : none",
        lambda c: c.children[0].lifetime,
        Lifetime(28800),
    ),
    ("ike.proposal.phase2.pfs-group : modp1536", lambda c: c.children[0].pfs.name, "MODP_1536"),
    ("ike.proposal.phase2.pfs-group : none", lambda c: c.children[0].pfs, None),
    *(
        (f"ike.proposal.phase1.dh-group : modp{n}", lambda c: c.phase1.groups[0].name, f"MODP_{n}")
        for n in (768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
    ),
    *(
        (
            f"ike.proposal.phase2.authentication.0.algorithm : hmac-{word}",
            lambda c: names(c.children[0].integrities),
            [name],
        )
        for word, name in (
            ("sha512", "HMAC_SHA2_512_256"), ("sha384", "HMAC_SHA2_384_192"),
            ("sha256", "HMAC_SHA2_256_128"), ("sha1", "HMAC_SHA1_96"), ("md5", "HMAC_MD5_96"),
        )
    ),
    *(
        (
            f"ike.proposal.phase2.encryption.0.algorithm : {word}",
            lambda c: names(c.children[0].encryptions),
            [name],
        )
        for word, name in (("aes192", "AES_CBC_192"), ("des", "DES"), ("null", "NULL"))
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "value", "wanted"), SETTINGS, ids=[one[0] for one in SETTINGS])
def test_a_key_sets_its_part_of_the_connection(lines, value, wanted):
    assert value(only(f"{MINIMAL}{TUNNEL}{lines}\n")) == wanted


def test_dead_peer_detection_is_set_for_all_tunnels_at_once():
    connection = only(MINIMAL + "ike.dpd-interval : 7\nike.dpd-maxfail : 2\n")
    assert (connection.dpd.interval, connection.dpd.limit) == (7.0, 2)


def test_a_source_may_be_an_interface_with_an_address():
    text = MINIMAL.replace(
        "ipv4.source                              : 10.0.0.1", "ipv4.source : ge0"
    )
    assert only(text) == only(MINIMAL)


def test_the_default_route_has_a_name():
    text = MINIMAL + "route.ipv4.0.destination : default\nroute.ipv4.0.gateway : 10.0.0.254\n"
    assert read_seil(text, "x").routes["0.0.0.0/0"] == "10.0.0.254"


def test_two_tunnels_are_two_connections_of_their_names():
    second = (
        MINIMAL.split("ipsec0\n", 1)[1].split("192.168.1.1/24\n")[1].replace("ipsec0", "ipsec7")
    )
    found = read_seil(MINIMAL + second.replace("10.0.0.2", "10.0.0.3"), "x")
    assert [one.name for one in found.v1] == ["ipsec0", "ipsec7"]
    assert [one.children[0].name for one in found.v1] == ["ipsec0", "ipsec7"]
    assert found.v1[1].remote.host == "10.0.0.3"


def test_a_responder_only_tunnel_is_not_started():
    found = read_seil(MINIMAL + "interface.ipsec0.responder-only : enable\n", "x")
    assert found.startup == {"ipsec0": "none"}


def test_comments_blank_lines_and_other_line_ends_do_not_matter():
    text = "\ufeff# SEIL config\n\n  # more\n" + MINIMAL.replace("\n", "\r\n")
    assert only(text) == only(MINIMAL)


def test_a_key_may_hold_colons_and_blanks():
    text = MINIMAL.replace("xeeB5gohvaYi", "a : b # c")
    assert only(text).credentials.secret == b"a : b # c"


LONG = "interface.ipsec0.ike.proposal.phase1."

REFUSED = [
    ("interface.ipsec0.mtu : 1400", "ikelabd leaves the MTU to the data plane; remove the line"),
    (f"{LONG}lifetimes : 60", "there is no such key; did you mean "
     "interface.ipsec[].ike.proposal.phase1.lifetime?"),
    ("interface.wlan0.ssid : x", "there is no such key"),
    ("nat.ipv4.napt.global : enable", "ikelabd is no router beyond IPsec and knows nothing of"
     " this; remove the line"),
    ("ipsec.security-association.sa0.address-type : static", "ikelabd has no IPsec by policy for a"
     " SEIL; configure interface.ipsec[] instead"),
    ("hostname : seil", "ikelabd takes its name from the host that it runs on; remove the line"),
    (f"{LONG}lifetime : 1d", "'1d' is no number of seconds from 1 to 4294967295"),
    (f"{LONG}lifetime : 0", "'0' is no number of seconds from 1 to 4294967295"),
    (f"{LONG}lifetime : ６０", "'６０' is no number of seconds from 1 to 4294967295"),
    (f"{LONG}dh-group : modp1234", "'modp1234' is not one of modp768, modp1024, modp1536,"
     " modp2048, modp3072, modp4096, modp6144, modp8192"),
    (f"{LONG}encryption.0.algorithm : null", "'null' is not one of aes128, aes192, aes256,"
     " 3des, des"),
    (f"{LONG}hash.0.algorithm : sha3", "'sha3' is not one of sha256, sha384, sha512, sha1, md5"),
    ("interface.ipsec0.responder-only : yes", "'yes' is not one of enable, disable"),
    ("interface.ipsec0.ike.exchange-mode : base", "'base' is not one of main, aggressive"),
    ("interface.ipsec0.ike.check-level : loose", "'loose' is not one of obey, strict, claim,"
     " exact"),
    ("interface.ge2.ipv4.address : 10.0.0.9", "10.0.0.9 has no prefix length; write one, such as"
     " 10.0.0.9/24"),
    ("interface.ge2.ipv4.address : fe80::1/64", "'fe80::1/64' is no address such as"
     " 192.168.1.1/24"),
    ("interface.ipsec0.ike.proposal.phase2.lifetime-of-byte : 1000", "'1000' is no amount such as"
     " 512K, 100M or 4G, and not none"),
    ("interface.ipsec0.ike.my-identifier : 10.0.0", "'10.0.0' is no IPv4 address such as"
     " 10.0.0.1"),
    ("interface.ipsec0.ike.my-identifier : a b", "'a b' is no host name such as"
     " router.example.org"),
    ("interface.ipsec0.ike.my-identifier : @b", "'@b' is no name such as user@example.org"),
    ("interface.ipsec0.ike.my-identifier.fqdn : b", "this needs a line"
     " interface.ipsec0.ike.my-identifier.type : fqdn"),
    ("interface.ipsec0.ike.my-identifier.type : fqdn", "this needs a line"
     " interface.ipsec0.ike.my-identifier.fqdn as well"),
    ("interface.ipsec0.preshared-key : again", "line 5 sets this already; keep one of them"),
    ("interface.ipsec0.nat-traversal :", "this has no value; write one after the colon"),
    ("route.ipv4.2.gateway : ipsec0", "this is missing; add a line"),
    ("route.ipv4.1.gateway.x : ipsec0", "there is no such key; did you mean"
     " route.ipv4.[].gateway?"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "text"), REFUSED, ids=[one[0] for one in REFUSED])
def test_a_wrong_line_is_refused_by_number_and_key_with_what_would_be_right(line, text):
    said = complaints(f"{MINIMAL}{line}\n")
    key = "route.ipv4.2.destination" if "missing" in text else line.split(" ")[0]
    assert said == [f"seil.conf:10: {key}: {text}"]


def test_a_route_into_a_tunnel_that_is_not_there_is_refused():
    (said,) = complaints(MINIMAL.replace(": ipsec0\n", ": ipsec1\n"))
    assert said == "seil.conf:2: route.ipv4.1.gateway: ipsec1 is not configured in this file"


def test_what_a_tunnel_needs_is_named():
    said = complaints("interface.ipsec3.responder-only : enable\n")
    assert said == [
        f"seil.conf:1: interface.ipsec3.{key}: this is missing; add a line"
        for key in ("ipv4.destination", "ipv4.source", "preshared-key")
    ]


def test_a_source_without_an_address_is_refused():
    (said,) = complaints(
        MINIMAL.replace("source                              : 10.0.0.1", "source : ge5")
    )
    assert said.endswith(
        "interface.ipsec0.ipv4.source: ge5 has no address; add a line"
        " interface.ge5.ipv4.address or write the address here"
    )


def test_a_line_that_is_wrong_does_not_count_as_missing():
    (said,) = complaints(MINIMAL.replace(": 10.0.0.2\n", ": router\n"))
    assert said == (
        "seil.conf:7: interface.ipsec0.ipv4.destination:"
        " 'router' is no IPv4 address such as 10.0.0.1"
    )


def test_a_network_with_bits_of_a_host_is_refused_with_the_network():
    (said,) = complaints(MINIMAL.replace(": 192.168.2.0/24", ": 192.168.2.1/24", 1))
    assert said.endswith(
        ".destination: 192.168.2.1/24 has bits of a host; the network is 192.168.2.0/24"
    )


def test_every_wrong_line_is_named_at_once_in_the_order_of_the_file():
    said = complaints("nonsense\n" + MINIMAL.replace("10.0.0.1/24", "10.0.0.1") + "a.b : c\n")
    assert [one.split(":")[1] for one in said] == ["1", "4", "11"]


def test_a_file_that_is_something_else_does_not_flood():
    said = complaints("x\n" * 1000)
    assert len(said) == 21
    assert said[-1] == "seil.conf: 980 more lines are wrong"


def test_a_router_may_have_no_tunnel():
    without = "".join(one for one in MINIMAL.splitlines(keepends=True) if "ipsec0" not in one)
    found = read_seil(without.replace("route", "# route"), "seil.conf")
    assert (found.v1, found.startup) == ((), {})
    assert found.interfaces["ge0"] == ("10.0.0.1/24",)


def test_a_preshared_key_stands_in_no_message():
    text = MINIMAL + "interface.ipsec0.preshared-key : other\n"
    assert not any(
        "xeeB5gohvaYi" in one or "other" in one.split("already")[0] for one in complaints(text)
    )
    assert "xeeB5gohvaYi" not in repr(read_seil(MINIMAL, "x"))


WORDS = st.sampled_from(
    [*MINIMAL.split(), *(one.split(".")[-1] for one in KEYS), ":", "::", "#", "\u0000", "\u2028"]
)
NOISE = st.one_of(WORDS, st.text(string.printable, max_size=30), st.text(max_size=8))


def found_or_refused(text: str) -> bool:
    """Whether there is a connection, or nothing but short sentences about lines of the file."""
    try:
        return isinstance(read_seil(text, "seil.conf").v1, tuple)
    except ConfigurationError as refused:
        said = str(refused).split("\n")
        return all(
            one.startswith("seil.conf:") and len(one) < 500 and one.isprintable() for one in said
        )


@given(st.integers(0, len(MINIMAL)), st.integers(0, 40), NOISE)
def test_a_mangled_file_is_read_or_refused_in_sentences(at, cut, noise):
    text = MINIMAL + PHASE1 + PHASE2
    assert found_or_refused(text[:at] + noise + text[at + cut :])


@given(st.sampled_from(sorted(KEYS)), st.text(max_size=80))
def test_any_value_of_any_key_is_read_or_refused(shape, value):
    key = shape.replace("ge[]", "ge0").replace("ipsec[]", "ipsec0").replace("[]", "0")
    assert found_or_refused(f"{MINIMAL}{key} : {value}\n")


def test_the_page_on_dialects_has_every_key():
    page = (Path(__file__).parents[3] / "docs/dialects.md").read_text()
    keys = {shape.removeprefix("interface.ipsec[].") for shape in KEYS}
    # Two that differ in their last part share a row: `x.local`, `.remote`.
    shared = (".remote", ".fqdn", ".user-fqdn")
    missing = [
        key
        for key in keys
        if f"`{key}`" not in page
        and not any(key.endswith(one) and f", `{one}`" in page for one in shared)
    ]
    assert missing == []
