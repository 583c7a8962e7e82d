# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.gathering import secrets_in
from harness.peers.connection import Connection, End, PreSharedKey
from harness.peers.strongswan.connections import ipsec_conf, swanctl_conf

AGREED = Connection.between(
    End("moon", "192.0.2.1", "moon.example"),
    End("sun", "192.0.2.2", "sun.example"),
    name="net",
    authentication=PreSharedKey("a secret, with a comma"),
)


def configured(folder: Path, node: str, name: str, text: str) -> None:
    path = folder / node / "configuration" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("write", [ipsec_conf, swanctl_conf])
def test_the_keys_of_each_dialect_are_found_with_their_holder(write, tmp_path: Path) -> None:
    for node in ("moon", "sun"):
        for file in write(AGREED.sides[node]):
            configured(tmp_path, node, file.path.lstrip("/"), file.text)
    reading = secrets_in(tmp_path)
    assert reading.problems == ()
    assert [(one.holder, one.secret) for one in reading.secrets.shared] == [
        ("moon", b"a secret, with a comma"),
        ("sun", b"a secret, with a comma"),
    ]


def test_the_keys_of_ikelabd_and_of_a_seil_router_are_found(tmp_path: Path) -> None:
    toml = '[connection."net"]\nsecret = "own"\n[connection."other"]\nversion = 2\n'
    configured(tmp_path, "moon", "run/ikelabd.native", toml)
    line = "interface.ipsec0.preshared-key      : xeeB5gohvaYi\nhostname : seil\n"
    configured(tmp_path, "seil", "run/seil.conf", line)
    shared = secrets_in(tmp_path).secrets.shared
    assert [(one.holder, one.secret) for one in shared] == [
        ("moon", b"own"),
        ("seil", b"xeeB5gohvaYi"),
    ]


def test_every_spelling_of_a_secret_is_read(tmp_path: Path) -> None:
    text = '# a : PSK "no"\na b : PSK 0x0aff\n : PSK 0sAAEC\nc : PSK plain\nd : RSA own.pem\n'
    configured(tmp_path, "moon", "etc/ipsec.secrets", text)
    shared = secrets_in(tmp_path).secrets.shared
    assert [one.secret for one in shared] == [b"\x0a\xff", b"\0\1\2", b"plain"]


def test_only_secrets_of_ike_are_taken_from_swanctl_conf(tmp_path: Path) -> None:
    text = "secrets {\n  eap-1 {\n    secret = no\n  }\n  ike-1 {\n    secret = yes\n  }\n}\n"
    configured(tmp_path, "moon", "etc/swanctl/swanctl.conf", text + "x {\n secret = no\n}\n")
    assert [one.secret for one in secrets_in(tmp_path).secrets.shared] == [b"yes"]


def test_a_configuration_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    configured(tmp_path, "moon", "load-shared.json", "{}")
    configured(tmp_path, "sun", "etc/ipsec.secrets", " : PSK 0xno")
    one, other = secrets_in(tmp_path).problems
    assert one.startswith(f"{tmp_path}/moon/configuration/load-shared.json cannot be read")
    assert "neither hexadecimal nor base64" in other


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    configured(tmp_path, "moon", "etc/ipsec.secrets", ' : PSK "very secret"')
    assert "very" not in repr(secrets_in(tmp_path))


@given(text=st.text(max_size=200))
@pytest.mark.parametrize(
    "name",
    [
        "load-shared.json",
        "etc/ipsec.secrets",
        "etc/swanctl/swanctl.conf",
        "run/ikelabd.native",
        "run/seil.conf",
    ],
)
def test_no_configuration_is_an_error(
    name: str, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    configured(folder, "moon", name, text.encode(errors="replace").decode())
    secrets_in(folder)
