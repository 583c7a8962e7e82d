# SPDX-License-Identifier: GPL-2.0-or-later
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from harness.daemon.configuration import ConfigurationError, DaemonConfiguration
from harness.daemon.credentials import Credentials
from harness.daemon.dialects import read_file
from harness.daemon.native.dialect import read_toml
from harness.daemon.native.lines import lines_of
from harness.ike.v1.configuration import Lifetime, LifetimeCheck, Phase1Mode
from harness.ike.v1.identity import address_identity, subnet_identity
from harness.ike.v2.connection import Identity, SharedKey
from scenarios.agreements import AUTHORITY

VALID = """\
keep-rekeyed = 2
listen = ["192.0.2.1"]
fragment-size = 576
retransmission = { first = 0.5, factor = 1.5, tries = 3 }

[connection.gw]
local = "192.0.2.1"
remote = "192.0.2.2"
local-id = "@moon.example"
remote-id = "sun@example"
secret = "0x00ff"
proposals = [
  "aes256-sha384-ecp384",
  "aes128gcm16-prfsha256-x25519-ke1_mlkem768",
]
mobike = true
encapsulate = true
dpd = 30
rekey = 3600
life = 4000
jitter = 60

[connection.gw.child.net]
local = ["10.1.0.0/16", "10.9.0.0/16"]
remote = "10.2.0.1/32[tcp/80]"
proposals = ["aes256gcm16-x25519-esn"]
rekey = 100
life = 200
jitter = 5
start = "route"

[connection.old]
version = 1
exchange = "aggressive"
accept-aggressive-psk = true
check = "claim"
local = "192.0.2.1"
remote = "192.0.2.3"
secret = "known to both"
proposals = ["aes256-3des-sha256-sha1-modp1536"]
life = 600
life-kilobytes = 1000
rekey-at = 0.7
responder-only = true

[connection.old.child.lan]
local = "10.1.0.0/16"
mode = "transport"
proposals = ["3des-md5-modp1024"]
life = 60
"""


def read(text: str) -> DaemonConfiguration:
    return read_toml(text, "a.toml", Credentials(Path("/nowhere")))


def test_every_key_has_its_effect() -> None:
    found = read(VALID)
    assert (found.keep_rekeyed, found.listen) == (2.0, ("192.0.2.1",))
    assert found.settings.fragment_size == 576
    again = found.settings.retransmission
    assert (again.first, again.factor, again.tries) == (0.5, 1.5, 3)
    assert found.startup == {"net": "route", "lan": "none"}
    (gw,) = found.v2
    assert gw.local_auth == gw.remote_auth == SharedKey(b"\x00\xff")
    assert gw.local_id == Identity(2, b"moon.example")
    assert gw.remote_id == Identity(3, b"sun@example")
    assert (gw.mobike, gw.force_encapsulation, gw.childless) == (True, True, False)
    assert (gw.dpd_after, gw.rekey_after, gw.lifetime, gw.jitter) == (30, 3600, 4000, 60)
    assert [one.additional != () for one in gw.proposals] == [False, True]
    (net,) = gw.children
    assert len(net.local) == 2
    assert (net.remote[0].protocol, net.remote[0].start_port) == (6, 80)
    assert (net.rekey_after, net.lifetime, net.jitter) == (100, 200, 5)
    assert net.proposals[0].esn == (True,)


def test_an_ike_sa_that_is_made_anew_outlives_that() -> None:
    (gw,) = read(VALID.replace("life = 4000", "reauth = 5000")).v2
    assert (gw.reauthenticate_after, gw.lifetime) == (5000, 5500)


def test_every_key_of_ikev1_has_its_effect() -> None:
    (old,) = read(VALID).v1
    assert old.responder_only
    assert old.rekey_at == 0.7
    assert old.phase1.mode is Phase1Mode.AGGRESSIVE
    assert old.phase1.check is LifetimeCheck.CLAIM
    assert old.phase1.accept_aggressive_psk
    assert old.phase1.lifetime == Lifetime(600, 1000)
    assert [one.name for one in old.phase1.encryptions] == ["AES_CBC_256", "3DES"]
    assert [one.name for one in old.phase1.hashes] == ["HMAC_SHA2_256", "HMAC_SHA1"]
    (lan,) = old.children
    assert (lan.local, lan.remote) == (
        subnet_identity("10.1.0.0/16"),
        address_identity("192.0.2.3"),
    )
    assert lan.transport
    assert lan.pfs is not None
    assert lan.pfs.name == "MODP_1024"


MISTAKES = {
    "an unknown key": ("dpd = 30", "dpdd = 30", 18, "connection.gw.dpdd", "did you mean dpd?"),
    "an unknown algorithm": (
        '"aes256-sha384-ecp384"',
        '"aes256-sha385-ecp384"',
        12,
        "connection.gw.proposals",
        "'sha385'; did you mean sha384?",
    ),
    "a number in words": ("jitter = 60", 'jitter = "60"', 21, "connection.gw.jitter", "a number"),
    "a flag in words": ("mobike = true", 'mobike = "yes"', 16, "connection.gw.mobike", "true or"),
    "no address": ('remote = "192.0.2.2"', 'remote = "sun"', 8, "connection.gw.remote", "is no IP"),
    "no network": (
        '"10.9.0.0/16"',
        '"10.9.0.1/16"',
        24,
        "connection.gw.child.net.local",
        "'10.9.0.1/16' is no traffic; write a network such as",
    ),
    "a word too many": (
        'start = "route"',
        'start = "rout"',
        30,
        "connection.gw.child.net.start",
        "did you mean 'route'?",
    ),
    "no secret": ('secret = "0x00ff"', "", 6, "connection.gw.secret", "is missing; add secret ="),
    "a secret that is no hexadecimal": (
        '"0x00ff"',
        '"0x00fg"',
        11,
        "connection.gw.secret",
        "is not hexadecimal",
    ),
    "a key without a certificate": (
        'secret = "0x00ff"',
        'secret = "0x00ff"\nprivate-key = "a.pem"',
        12,
        "connection.gw.private-key",
        "is of no use without a certificate",
    ),
    "a file that is not there": (
        'secret = "0x00ff"',
        'secret-file = "a.key"',
        11,
        "connection.gw.secret-file",
        "/nowhere/a.key cannot be read: No such file",
    ),
    "an empty list": (
        'proposals = ["3des-md5-modp1024"]',
        "proposals = []",
        49,
        "connection.old.child.lan.proposals",
        "is missing; add proposals = [",
    ),
    "an algorithm that IKEv1 has not": (
        '"3des-md5-modp1024"',
        '"chacha20poly1305-mlkem768"',
        49,
        "connection.old.child.lan.proposals",
        "names what only IKEv2 has",
    ),
    "a version that there is not": (
        "version = 1",
        "version = 3",
        33,
        "connection.old.version",
        "is 1 or 2, not 3",
    ),
    "another child of the same name": (
        "[connection.old.child.lan]",
        "[connection.old.child.net]",
        46,
        "connection.old.child.net.start",
        "belongs to a second child of this name",
    ),
    "a table that is a value": (
        "[connection.gw.child.net]",
        "[connection.gw.child]\nnet = 1\n[connection.gw.child2]",
        24,
        "connection.gw.child.net",
        "is a table: write [connection.gw.child.net]",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_line_key_and_remedy(mistake: str) -> None:
    old, new, line, key, remedy = MISTAKES[mistake]
    assert old in VALID
    with pytest.raises(ConfigurationError) as refused:
        read(VALID.replace(old, new, 1))
    named = [one for one in str(refused.value).splitlines() if f": {key}: " in one]
    assert named
    assert re.match(rf"a\.toml:{line}: ", named[0]), named[0]
    assert remedy in named[0]


def test_all_mistakes_of_a_file_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(VALID.replace("dpd = 30", "dpdd = 30").replace("mobike = true", "mobike = 1"))
    assert len(str(refused.value).splitlines()) == 2


def test_a_file_that_is_no_toml_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^a\.toml:2: is no TOML: "):
        read("keep-rekeyed = 2\nthis is prose\n")
    with pytest.raises(ConfigurationError, match=r"^a\.toml:2: is no TOML: "):
        read("keep-rekeyed = 2\nprose")


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"keep-rekeyed = 2\n# \xff\n")
    with pytest.raises(ConfigurationError, match=r"a\.toml:2: is not UTF-8"):
        read_file(path, "native", Credentials(tmp_path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.toml: cannot be read: No such file"):
        read_file(tmp_path / "a.toml", "native", Credentials(tmp_path))


def test_a_secret_is_in_no_text_of_a_configuration() -> None:
    assert "known to both" not in repr(read(VALID))


def test_the_line_of_a_key_behind_values_of_many_lines_is_found() -> None:
    text = 'a = """\n[no.table]\nb = 1\n"""\nc = [\n  1,\n]\n[t."x.y"]\nd.e = 2\n'
    assert dict(lines_of(text)) == {
        ("a",): 1,
        ("c",): 5,
        ("t",): 8,
        ("t", "x.y"): 8,
        ("t", "x.y", "d"): 9,
        ("t", "x.y", "d", "e"): 9,
    }


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """The valid file with some of its lines changed, lost, doubled or exchanged."""
    lines = VALID.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                lines[at] = draw(st.text(max_size=40))
            case 3:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(st.text(max_size=5)) + lines[at][cut:]
            case _:
                key, line, _ = lines[at].partition("=")
                value = draw(
                    st.sampled_from(["-1", "true", '""', "[]", "{}", "1e99", "nan", '"x"'])
                )
                lines[at] = f"{key}= {value}" if line else lines[at]
    return "\n".join(lines)


@given(mangled())
def test_no_file_raises_anything_but_a_refusal_with_a_line(text: str) -> None:
    try:
        read(text)
    except ConfigurationError as refused:
        for line in str(refused).splitlines():
            assert re.match(r"a\.toml(:\d+)?: ", line), line


def test_a_key_that_ikev1_does_not_sign_with_is_named(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "cert.pem").write_text(AUTHORITY.pem)
    signed = 'certificate = "cert.pem"\nprivate-key = "key.pem"\nauthority = "cert.pem"'
    path = tmp_path / "moon.toml"
    path.write_text(VALID.replace('secret = "known to both"', signed, 1))
    with pytest.raises(ConfigurationError) as refused:
        read_file(path, "native", Credentials(tmp_path))
    assert (
        f"{path}:40: connection.old.private-key: is of no use here: IKEv1 signs with a key of RSA,"
        " or on P-256, P-384 or P-521." in str(refused.value)
    )
