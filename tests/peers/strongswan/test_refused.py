# SPDX-License-Identifier: GPL-2.0-or-later
"""Native configurations with an error: the daemon's own complaint, with file and line."""

from pathlib import Path

import pytest

from harness.lab.background import Background
from harness.lab.lab import Roots
from harness.network.spawner import Spawner
from harness.peers.contract import ConfigurationRefused, NativeFile, PeerError, Unsupported
from tests.peers.strongswan.charons import PEERS, started_with

pytestmark = pytest.mark.needs("tun")

IPSEC = "/etc/ipsec.conf"
SECRETS = "/etc/ipsec.secrets"
SWANCTL = "/etc/swanctl/swanctl.conf"

IPSEC_CONF = """\
config setup

conn net
    left=192.168.0.1
    right=192.168.0.2
    authby=secret
    auto=add
"""
SWANCTL_CONF = """\
connections {
  other {
    version = 2
  }
  net {
    version = 2
    remote_addrs = 192.168.0.2
    local {
      auth = psk
    }
    children {
      net {
        esp_proposals = aes128gcm16-x25519
      }
    }
  }
}
secrets {
  ike-a {
    secret = x
  }
}
"""
PSK = ': PSK "x"\n'
NO_KEY = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"


def ipsec(text: str, secrets: str = PSK) -> list[NativeFile]:
    return [NativeFile(IPSEC, text), NativeFile(SECRETS, secrets)]


def swanctl(old: str, new: str) -> list[NativeFile]:
    """The good file with the last `old` replaced."""
    head, found, tail = SWANCTL_CONF.rpartition(old)
    assert found
    return [NativeFile(SWANCTL, head + new + tail)]


IPSEC_ERRORS = {
    "a keyword": (
        ipsec(IPSEC_CONF + "    lefft=192.168.0.1\n"),
        f"{IPSEC}:8: unknown keyword 'lefft'",
    ),
    "a time": (
        ipsec(IPSEC_CONF + "    lifetime=ten\n"),
        f"{IPSEC}:8: bad duration value: lifetime=ten",
    ),
    "a word": (
        ipsec(IPSEC_CONF.replace("auto=add", "auto=perhaps")),
        f"{IPSEC}:7: bad value: auto=perhaps",
    ),
    "an ESP proposal": (
        ipsec(IPSEC_CONF + "    esp=aes129-sha1!\n"),
        f"{IPSEC}:8: skipped invalid proposal string: aes129-sha1",
    ),
    "an IKE proposal": (
        ipsec(IPSEC_CONF + "    ike=rot13!\n"),
        f"{IPSEC}:8: algorithm 'rot13' not recognized",
    ),
    "a section without a name": (ipsec(IPSEC_CONF + "conn\n"), f"{IPSEC}:9: section name missing"),
    "no syntax": (ipsec("confg setup\n" + IPSEC_CONF), f"{IPSEC}:1: syntax error, unexpected"),
    "an include": (
        ipsec("include /etc/none.conf\n" + IPSEC_CONF),
        f"{IPSEC}:1: no files found matching '/etc/none.conf'",
    ),
    "another section": (
        ipsec(IPSEC_CONF + "    also=nothing\n"),
        f"{IPSEC}:8: section 'nothing' referenced in section 'net' not found",
    ),
    "a certificate": (
        ipsec(IPSEC_CONF + "    leftcert=none.pem\n"),
        f"{IPSEC}:8: loading certificate from 'none.pem' failed",
    ),
    "a secret of no kind": (
        ipsec(IPSEC_CONF, "# ours\n: PKS x\n"),
        f"{SECRETS}:2: token must be either RSA, ECDSA",
    ),
    "a secret without an end": (
        ipsec(IPSEC_CONF, ': PSK "x\n'),
        f"{SECRETS}:1: malformed secret: missing second delimiter",
    ),
}
SWANCTL_ERRORS = {
    "an option": (
        swanctl("version", "versoin"),
        f"{SWANCTL}:6: loading connection 'net' failed: unknown option: versoin",
    ),
    "an option of a child": (
        swanctl("esp_proposals", "esp_proposal"),
        f"{SWANCTL}:13: loading connection 'net' failed: unknown option: esp_proposal,",
    ),
    "a value": (
        swanctl("version = 2", "version = two"),
        f"{SWANCTL}:6: loading connection 'net' failed: invalid value for: version",
    ),
    "a proposal": (
        swanctl("aes128gcm16-x25519", "aes129"),
        f"{SWANCTL}:13: loading connection 'net' failed: invalid value for: esp_proposals",
    ),
    "an authentication": (
        swanctl("auth = psk", "auth = pks"),
        f"{SWANCTL}:9: loading connection 'net' failed: invalid value for: auth",
    ),
    "a certificate": (
        swanctl("auth = psk", "certs = none.pem"),
        f"{SWANCTL}:9: loading certs certificate '/etc/swanctl/x509/none.pem' failed: No such file",
    ),
    # The daemon's own number is that of the last line at the top.
    "a brace too few": (swanctl("  }\n}\n", ""), f"{SWANCTL}:4: syntax error, unexpected end of"),
    "a brace too many": (swanctl("}\n", "}\n}\n"), f"{SWANCTL}:23: syntax error, unexpected '}}'"),
    "no syntax": (swanctl("version = 2", "version 2"), f"{SWANCTL}:6: syntax error, unexpected"),
    "a secret": (swanctl("secret = x", "secrte = x"), f"{SWANCTL}:19: missing secret in 'ike-a'"),
    "an include": (
        swanctl("connections {", "include none.conf\nconnections {"),
        f"{SWANCTL}:1: no files found matching '/etc/swanctl/none.conf'",
    ),
    "a section": (
        swanctl("connections {", "conections {"),
        f"swanctl found no connections in {SWANCTL}",
    ),
    "a key": (
        [*swanctl("x", "x"), NativeFile("/etc/swanctl/private/own.pem", NO_KEY)],
        "loading '/etc/swanctl/private/own.pem' failed: parsing ANY private key failed",
    ),
}
ERRORS = {
    **{f"ipsec.conf, {what}": ("ipsec.conf", *case) for what, case in IPSEC_ERRORS.items()},
    **{f"swanctl.conf, {what}": ("swanctl.conf", *case) for what, case in SWANCTL_ERRORS.items()},
}


@pytest.mark.parametrize("version", PEERS)
@pytest.mark.parametrize("case", ERRORS)
def test_an_error_in_a_native_file_is_the_daemons_complaint_with_file_and_line(
    version: str,
    case: str,
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    dialect, files, complaint = ERRORS[case]
    with pytest.raises(ConfigurationRefused) as refused:
        background.run(started_with(spawner, roots, tmp_path, version, dialect, files))
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("version", PEERS)
@pytest.mark.parametrize(
    ("dialect", "files"),
    [("ipsec.conf", ipsec(IPSEC_CONF)), ("swanctl.conf", swanctl("x", "x")), ("vici", [])],
)
def test_a_native_file_without_an_error_is_taken(
    version: str,
    dialect: str,
    files: list[NativeFile],
    background: Background,
    spawner: Spawner,
    roots: Roots,
    tmp_path: Path,
) -> None:
    background.run(started_with(spawner, roots, tmp_path, version, dialect, files))
    kept = {path.name for path in (tmp_path / "configuration").rglob("*") if path.is_file()}
    assert kept == {"strongswan.conf", *(Path(file.path).name for file in files)}


def test_a_dialect_that_it_has_not_is_unsupported(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match=r"^strongswan@6\.0\.1 has no dialect 'racoon'; it has "):
        background.run(started_with(spawner, roots, tmp_path, "6.0.1", "racoon", []))


def test_a_daemon_that_ends_at_its_start_is_one_sentence_with_its_last_words(
    background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> None:
    # To charon this looks as if another one was running.
    broken = [NativeFile("/run/charon.pid", "1\n")]
    with pytest.raises(PeerError, match=r"^charon on moon ended with \d+ instead of starting: "):
        background.run(started_with(spawner, roots, tmp_path, "6.0.1", "vici", broken))
