# SPDX-License-Identifier: GPL-2.0-or-later
"""A `Side` as charon's `load-conn` wants it, and as the files of its two dialects."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from harness.peers.connection import Certificate, Mode, PreSharedKey, Side
from harness.peers.contract import ConfigurationRefused, NativeFile

MODES: dict[Mode, str] = {"tunnel": "tunnel", "transport": "transport"}

# What both files take as a name without a question; over VICI any name in ASCII will do.
_NAME = re.compile(r"(?!include$)[A-Za-z0-9_-]{1,63}")
# What means itself in both, without quotes.
_WORD = re.compile(r"[\w.:/%+*@!,-]+")
_SECRET = re.compile(r"(?!0[xs])[\w .,:;!?+*/=()@-]+", re.ASCII)


def load_conn(side: Side) -> dict[str, Any]:
    """The argument of VICI's ``load-conn``; times in seconds."""
    ike, child = side.ike, side.child
    local: dict[str, Any] = {"id": side.local.identity}
    remote: dict[str, Any] = {"id": side.remote.identity}
    if isinstance(side.authentication, Certificate):
        local |= {"auth": "pubkey", "certs": [side.authentication.certificate]}
        remote |= {"auth": "pubkey", "cacerts": [side.authentication.authority]}
    else:
        local["auth"] = remote["auth"] = "psk"
    return {
        side.name: {
            "version": ike.version,
            "local_addrs": [side.local.address],
            "remote_addrs": [side.remote.address],
            "proposals": list(ike.proposals),
            "rekey_time": ike.rekey,
            "reauth_time": ike.reauth,
            "over_time": ike.overrun,
            "rand_time": ike.jitter,
            "mobike": _yes(ike.mobike),
            "childless": "force" if ike.childless else "allow",
            "encap": _yes(ike.force_encapsulation),
            "dpd_delay": ike.dpd_delay,
            "keyingtries": 1,
            "local": local,
            "remote": remote,
            "children": {
                child.name: {
                    "mode": MODES[child.mode],
                    "local_ts": list(side.local.subnets) or ["dynamic"],
                    "remote_ts": list(side.remote.subnets) or ["dynamic"],
                    "esp_proposals": list(child.proposals),
                    "life_time": child.life,
                    "rekey_time": child.rekey,
                    "rand_time": child.jitter,
                    "dpd_action": "clear",
                }
            },
        }
    }


def load_shared(side: Side) -> dict[str, Any]:
    """The argument of VICI's ``load-shared``; nothing where the side has no pre-shared key."""
    if not isinstance(side.authentication, PreSharedKey):
        return {}
    owners = [side.local.identity, side.remote.identity]
    return {"type": "IKE", "data": side.authentication.secret, "owners": owners}


def swanctl_conf(side: Side) -> tuple[NativeFile, ...]:
    """The same as a ``swanctl.conf`` with its credentials; raises `ConfigurationRefused`."""
    _check_names("swanctl.conf", side)
    connection = load_conn(side)
    sections: dict[str, Any] = {"connections": connection}
    files: list[NativeFile] = []
    body = connection[side.name]
    if isinstance(side.authentication, Certificate):
        body["local"]["certs"] = ["own.pem"]
        body["remote"]["cacerts"] = ["authority.pem"]
        files += [
            NativeFile("/etc/swanctl/x509/own.pem", side.authentication.certificate),
            NativeFile("/etc/swanctl/private/own.pem", side.authentication.private_key),
            NativeFile("/etc/swanctl/x509ca/authority.pem", side.authentication.authority),
            *(
                NativeFile(f"/etc/swanctl/x509/intermediate{number}.pem", text)
                for number, text in enumerate(side.authentication.intermediates)
            ),
        ]
    else:
        sections["secrets"] = {
            "ike-psk": {
                "id-1": side.local.identity,
                "id-2": side.remote.identity,
                "secret": _secret(side.authentication.secret),
            }
        }
    return NativeFile("/etc/swanctl/swanctl.conf", _sections(sections) + "\n"), *files


def ipsec_conf(side: Side) -> tuple[NativeFile, ...]:
    """The same as a legacy ``ipsec.conf`` with its credentials; raises `ConfigurationRefused`."""
    _check_names("ipsec.conf", side)
    ike, child = side.ike, side.child
    margin = child.life - child.rekey if child.rekey else 0
    fuzz = round(100 * child.jitter / margin) if margin else 0
    own = isinstance(side.authentication, Certificate)
    settings: dict[str, str] = {
        "keyexchange": f"ikev{ike.version}",
        "ike": ",".join(ike.proposals) + "!",
        "esp": ",".join(child.proposals) + "!",
        "ikelifetime": f"{(ike.reauth or ike.rekey) + margin}s",
        "reauth": _yes(bool(ike.reauth)),
        "lifetime": f"{child.life}s",
        "margintime": f"{margin}s",
        "rekeyfuzz": f"{fuzz}%",
        "rekey": _yes(bool(child.rekey)),
        "keyingtries": "1",
        "mobike": _yes(ike.mobike),
        "forceencaps": _yes(ike.force_encapsulation),
        "dpddelay": f"{ike.dpd_delay}s",
        "dpdaction": "clear" if ike.dpd_delay else "none",
        "type": MODES[child.mode],
        "authby": "pubkey" if own else "secret",
        "left": side.local.address,
        "leftid": side.local.identity,
        "right": side.remote.address,
        "rightid": side.remote.identity,
        "auto": "add",
    }
    if side.local.subnets:
        settings["leftsubnet"] = ",".join(side.local.subnets)
    if side.remote.subnets:
        settings["rightsubnet"] = ",".join(side.remote.subnets)
    if own:
        settings["leftcert"] = "own.pem"
    text = "config setup\n\nconn " + child.name + "\n"
    text += "".join(f"    {name}={_quoted(value)}\n" for name, value in settings.items())
    return NativeFile("/etc/ipsec.conf", text), *ipsec_credentials(side)


def ipsec_credentials(side: Side) -> Sequence[NativeFile]:
    """The credentials of a side where ``ipsec.conf`` looks for them, named ``own.pem``."""
    match side.authentication:
        case PreSharedKey(secret):
            owners = " ".join(_quoted(end.identity) for end in (side.local, side.remote))
            # A quote within quotes ends charon; without owners the secret is for everybody.
            owners = "" if '\\"' in owners else owners
            return [NativeFile("/etc/ipsec.secrets", f"{owners} : PSK {_secret(secret)}\n")]
        case Certificate(certificate, private_key, authority, intermediates):
            return [
                NativeFile("/etc/ipsec.d/certs/own.pem", certificate),
                NativeFile("/etc/ipsec.d/private/own.pem", private_key),
                NativeFile("/etc/ipsec.d/cacerts/authority.pem", authority),
                *(
                    NativeFile(f"/etc/ipsec.d/cacerts/intermediate{number}.pem", text)
                    for number, text in enumerate(intermediates)
                ),
                NativeFile("/etc/ipsec.secrets", f": {_key_word(private_key)} own.pem\n"),
            ]


def _key_word(private_key: str) -> str:
    words = {"RSA PRIVATE": "RSA", "EC PRIVATE": "ECDSA"}
    return next((word for mark, word in words.items() if mark in private_key), "PKCS8")


def _sections(sections: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in sections.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name} {{", _sections(value, indent + "  "), f"{indent}}}"]
        elif isinstance(value, list):
            lines.append(f"{indent}{name} = {', '.join(value)}")
        else:
            lines.append(f"{indent}{name} = {_quoted(str(value))}")
    return "\n".join(lines)


def _check_names(dialect: str, side: Side) -> None:
    for name in (side.name, side.child.name):
        if not _NAME.fullmatch(name):
            raise ConfigurationRefused(
                f"the name {name!r} cannot be written in {dialect}: take up to 63 letters, digits,"
                " '-' and '_', or the dialect vici"
            )


def _quoted(value: str) -> str:
    if _WORD.fullmatch(value) or value.startswith('"'):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _secret(secret: str) -> str:
    """A secret in quotes, or in base64 where it has what the files do not take as it stands."""
    if _SECRET.fullmatch(secret):
        return f'"{secret}"'
    return "0s" + base64.b64encode(secret.encode()).decode()


def _yes(value: bool) -> str:
    return "yes" if value else "no"
