# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan's side in the files of either front end, by the settings that ipsec.conf has.

ipsec.conf is the legacy one, which `starter` reads; swanctl.conf is loaded over VICI.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.peers.connection import Certificate
from harness.peers.contract import NativeFile
from harness.peers.strongswan.settings import Settings, write_settings

IPSEC_CONF, IPSEC_SECRETS = "/etc/ipsec.conf", "/etc/ipsec.secrets"
SWANCTL_CONF = "/etc/swanctl/swanctl.conf"

either_front_end = pytest.mark.usefixtures("front_end")
"""Marks a scenario in which strongSwan may have the files of either: it runs with those asked for.

What a scenario says of strongSwan holds for both, or it says for which.
"""

IN_SWANCTL = {
    "left": "local_addrs",
    "right": "remote_addrs",
    "rightid": "remote.id",
    "leftcert": "local.certs",
    "ike": "proposals",
    "aggressive": "aggressive",
    "forceencaps": "encap",
    "leftsubnet": "children.{name}.local_ts",
    "rightsubnet": "children.{name}.remote_ts",
    "esp": "children.{name}.esp_proposals",
    "type": "children.{name}.mode",
    "auto": "children.{name}.start_action",
    "lifetime": "children.{name}.life_time",
}
"""What a setting of ipsec.conf is called below a connection in swanctl.conf."""
IMPLIED = {"margintime"}
"""What swanctl.conf need not be told: there it follows from the lifetime."""


def with_secret(
    front_end: str, name: str, settings: Mapping[str, str], owners: str, secret: str
) -> tuple[NativeFile, ...]:
    """A connection of IKEv1 with a pre-shared key, which is for the owners: identities, by spaces.

    Raises KeyError for a setting that swanctl.conf has under no name of `IN_SWANCTL`.
    """
    if front_end == "ipsec.conf":
        default = {"authby": "secret", "keyexchange": "ikev1"}
        return (
            NativeFile(IPSEC_CONF, _conn("%default", default) + _conn(name, settings)),
            NativeFile(IPSEC_SECRETS, f"{owners} : PSK {secret}\n"),
        )
    ids = {f"id-{number}": one for number, one in enumerate(owners.split(), 1)}
    tree = _connection(name, {"rightid": settings["right"], **settings}, "psk")
    tree["secrets"] = {"ike-psk": {**ids, "secret": secret}}
    return (NativeFile(SWANCTL_CONF, write_settings(tree) + "\n"),)


def with_certificate(
    front_end: str, name: str, settings: Mapping[str, str], own: Certificate
) -> tuple[NativeFile, ...]:
    """A connection of IKEv1 with RSA signatures, whose certificate and key are named ``own.pem``.

    Raises KeyError as `with_secret` does.
    """
    if front_end == "ipsec.conf":
        rsa = {"keyexchange": "ikev1", "authby": "rsasig", "leftcert": "own.pem", **settings}
        folder, places = "/etc/ipsec.d", ("certs", "private", "cacerts")
        files = (
            NativeFile(IPSEC_CONF, _conn(name, rsa)),
            NativeFile(IPSEC_SECRETS, ": RSA own.pem\n"),
        )
    else:
        tree = _connection(name, {"leftcert": "own.pem", **settings}, "pubkey")
        folder, places = "/etc/swanctl", ("x509", "private", "x509ca")
        files = (NativeFile(SWANCTL_CONF, write_settings(tree) + "\n"),)
    ours, private, authority = (f"{folder}/{place}" for place in places)
    return (
        *files,
        NativeFile(f"{ours}/own.pem", own.certificate),
        NativeFile(f"{private}/own.pem", own.private_key),
        NativeFile(f"{authority}/authority.pem", own.authority),
    )


def _conn(name: str, settings: Mapping[str, str]) -> str:
    return f"conn {name}\n" + "".join(f"        {key}={one}\n" for key, one in settings.items())


def _connection(name: str, settings: Mapping[str, str], method: str) -> Settings:
    # What ipsec.conf means where it says nothing: an older SA with the same peer is replaced.
    connection: Settings = {"version": 1, "unique": "replace"}
    said = {"local.auth": method, "remote.auth": method, "children.{name}.mode": "tunnel"}
    said["children.{name}.esp_proposals"] = "default"
    told = {key: one for key, one in settings.items() if key not in IMPLIED}
    said |= {IN_SWANCTL[key]: _value(key, one) for key, one in told.items()}
    for path, value in said.items():
        *sections, word = path.format(name=name).split(".")
        section = connection
        for one in sections:
            section = section.setdefault(one, {})
        section[word] = value
    return {"connections": {name: connection}}


def _value(key: str, value: str) -> str:
    """A value as swanctl.conf has it: its proposals are all that is offered, with no mark."""
    return "none" if (key, value) == ("auto", "add") else value.removesuffix("!")
