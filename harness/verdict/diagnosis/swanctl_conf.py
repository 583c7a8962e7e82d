# SPDX-License-Identifier: GPL-2.0-or-later
"""`swanctl.conf`, and what went over VICI in its place: read as wishes, and settings spelled.

Both are one tree of sections; VICI's leaves may be lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from harness.verdict.diagnosis import strongswan
from harness.verdict.diagnosis.alternatives import SaKind
from harness.verdict.diagnosis.wishes import (
    Lifetime,
    Place,
    Setting,
    Spelled,
    Value,
    Wishes,
)

FILE = "/etc/swanctl/swanctl.conf"
OVER_VICI, SHARED_OVER_VICI = "/load-conn.json", "/load-shared.json"
_TOKEN = re.compile(r'#[^\n]*|\n|[{}]|[^\s{}=#]+(?=\s*[={])|=[ \t]*"[^"\n]*"|=[^\n#}]*')
_VERSIONS = {"0": (2, 1), "1": (1,), "2": (2,)}
_PEM = "-----BEGIN"
DEFAULT_REKEY = 4 * 3600
"""Seconds after which strongSwan replaces an IKE SA by default."""
_KEYS: Mapping[Setting, str] = MappingProxyType(
    {
        Setting.VERSION: "version",
        Setting.IKE_PROPOSALS: "proposals",
        Setting.CHILD_PROPOSALS: "children.{child}.esp_proposals",
        Setting.LOCAL_IDENTITY: "local.id",
        Setting.REMOTE_IDENTITY: "remote.id",
        Setting.LOCAL_SUBNETS: "children.{child}.local_ts",
        Setting.REMOTE_SUBNETS: "children.{child}.remote_ts",
        Setting.PEER_ADDRESS: "remote_addrs",
        Setting.METHOD: "local.auth",
        Setting.CERTIFICATE: "local.certs",
        Setting.AUTHORITY: "remote.cacerts",
        Setting.MODE: "children.{child}.mode",
        Setting.EXCHANGE: "aggressive",
        Setting.IKE_LIFETIME: "rekey_time",
        Setting.CHILD_LIFETIME: "children.{child}.life_time",
    }
)


@dataclass(frozen=True, slots=True)
class SwanctlConf:
    """Spells settings of one connection and child by their path from the top of the tree."""

    connection: str
    child: str
    secret: str = "ike"

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        if setting is Setting.AGGRESSIVE_PSK:
            name = "charon.i_dont_care_about_security_and_use_aggressive_mode_psk"
            return (Spelled(f"{name} = yes", "", "strongswan.conf"),)
        if setting is Setting.METHOD:
            # Each end proves itself on its own: what is to be changed is changed for both.
            return tuple(self._method(wishes, end, str(value)) for end in ("local", "remote"))
        if setting is Setting.PRIVATE_KEY:
            # swanctl loads whatever is there; a name for it is in no section.
            return (Spelled(f"the private key of {value} as a file in /etc/swanctl/private/"),)
        if setting is Setting.IKE_LIFETIME and isinstance(value, int):
            return self._isakmp_lifetime(wishes, value)
        if setting is Setting.SECRET:
            known = wishes.place(setting) or Place("", "swanctl.conf")
            text = f"secrets.{self.secret}.secret = <{value}>"
            return (Spelled(text, known.text, known.where),)
        written = _text(setting, value)
        if written is None:
            return ()
        path = f"connections.{self.connection}.{_KEYS[setting].format(child=self.child)}"
        place = wishes.place(setting)
        if place is None:
            return (Spelled(f"{path} = {written}", "", "swanctl.conf"),)
        return (Spelled(f"{path} = {written}", place.text, place.where),)

    def _isakmp_lifetime(self, wishes: Wishes, seconds: int) -> tuple[Spelled, ...]:
        """The two times that make up what is offered; neither reauthenticates before."""
        late = seconds // 11
        path = f"connections.{self.connection}"
        known = wishes.place(Setting.IKE_LIFETIME)
        new = (("reauth_time", 0), ("rekey_time", seconds - late), ("over_time", late))
        where = "load-conn over VICI" if known and "VICI" in known.where else "swanctl.conf"
        return tuple(
            Spelled(f"{path}.{key} = {value}s", known.text, known.where)
            if key == "rekey_time" and known is not None
            else Spelled(f"{path}.{key} = {value}s", "", where)
            for key, value in new
        )

    def _method(self, wishes: Wishes, end: str, method: str) -> Spelled:
        path = f"connections.{self.connection}.{end}.auth"
        known = wishes.place(Setting.METHOD)
        if known is None:
            return Spelled(f"{path} = {method}", "", "swanctl.conf")
        where = "swanctl.conf" if end == "remote" and " line " in known.where else known.where
        instead = known.text.replace(".local.", f".{end}.")
        return Spelled(f"{path} = {method}", instead, where)


def _text(setting: Setting, value: Value) -> str | None:
    match setting:
        case Setting.IKE_PROPOSALS | Setting.CHILD_PROPOSALS:
            return strongswan.proposals_text(value)
        case Setting.LOCAL_SUBNETS | Setting.REMOTE_SUBNETS:
            return ",".join(map(str, value)) if isinstance(value, tuple) else None
        case Setting.EXCHANGE:
            return "yes" if value == "aggressive" else "no"
        case Setting.IKE_LIFETIME | Setting.CHILD_LIFETIME:
            return f"{value}s"
        case Setting.AUTHORITY:
            return f"<the certificate of {value}>"
    return str(value)


_Section = tuple[str, Mapping[str, Any]]
"""A section with its name."""


def read_swanctl_conf(
    text: str,
    node: str,
    *,
    certificates: Mapping[str, str] = MappingProxyType({}),
    trusted: Sequence[str] = (),
) -> tuple[Wishes, ...]:
    """The wishes of each child of a `swanctl.conf`; certificates as in `read_ipsec_conf`."""
    tree, lines = _parsed(text)
    return read_tree(tree, node, lines=lines, certificates=certificates, trusted=trusted)


def read_tree(
    tree: Mapping[str, Any],
    node: str,
    *,
    lines: Mapping[str, int] = MappingProxyType({}),
    certificates: Mapping[str, str] = MappingProxyType({}),
    trusted: Sequence[str] = (),
) -> tuple[Wishes, ...]:
    """The wishes of each child of a tree with the sections `connections` and `secrets`.

    `lines` are numbers by path, without any where the tree went over VICI.
    """
    connections = tree.get("connections", {})
    secrets = {
        name: section
        for name, section in _sections(tree.get("secrets", {}))
        if name.startswith("ike")
    }
    return tuple(
        _wishes((name, section), child, node, secrets, lines, certificates, trusted)
        for name, section in _sections(connections)
        for child in tuple(_sections(section.get("children", {}))) or ((name, {}),)
    )


def _sections(tree: object) -> Iterator[_Section]:
    if isinstance(tree, Mapping):
        yield from ((name, one) for name, one in tree.items() if isinstance(one, Mapping))


def _wishes(
    connection: _Section,
    named_child: _Section,
    node: str,
    secrets: Mapping[str, Mapping[str, Any]],
    lines: Mapping[str, int],
    certificates: Mapping[str, str],
    trusted: Sequence[str],
) -> Wishes:
    (name, section), (child_name, child) = connection, named_child
    local, remote = _ends(section, "local"), _ends(section, "remote")
    versions = _VERSIONS.get(str(section.get("version", 0)), (2, 1))
    method: Literal["psk", "pubkey"] = "psk" if local.get("auth") == "psk" else "pubkey"
    mode: Literal["tunnel", "transport"] = (
        "transport" if child.get("mode") == "transport" else "tunnel"
    )
    ike, esp = _listed(section, "proposals"), _listed(child, "esp_proposals")
    named = {
        True: [one for one in ike if one != "default"],
        False: [o for o in esp if o != "default"],
    }
    whole = {True: ike == tuple(named[True]) != (), False: esp == tuple(named[False]) != ()}
    if not whole[True]:
        named[True] += strongswan.DEFAULT_IKE
    if not whole[False]:
        named[False] += strongswan.DEFAULT_CHILD
    own_certificates = [_pem(one, certificates) for one in _listed(local, "certs")]
    certificate = next((one for one in own_certificates if one), None)
    proposals = strongswan.alternatives_of(
        versions, named[True], named[False], mode=mode, method=method, certificate=certificate
    )
    here, there = _identity(local, section, "local"), _identity(remote, section, "remote")
    secret_name, secret = _secret(secrets, (here or "", there or ""))
    anchors = [_pem(one, certificates) for one in _listed(remote, "cacerts")]
    addresses = tuple(
        strongswan.addresses(",".join(_listed(section, f"{end}_addrs")))
        for end in ("local", "remote")
    )
    subnets = tuple(
        tuple(
            strongswan.network(one)
            for one in _listed(child, f"{end}_ts")
            if not one.startswith("dynamic")
        )
        or addresses[end == "remote"]
        for end in ("local", "remote")
    )
    kinds = (*proposals, SaKind.ISAKMP_SA, SaKind.IKE_SA)
    return Wishes(
        node,
        SwanctlConf(name, child_name, secret_name),
        addresses[0],
        addresses[1],
        versions,
        proposals,
        frozenset(kind for kind in kinds if not whole[kind.protects_ike]),
        here,
        there,
        subnets[0],
        subnets[1],
        mode,
        method,
        secret,
        certificate,
        tuple(one for one in anchors if one) or tuple(trusted),
        {
            SaKind.ISAKMP_SA: Lifetime(_isakmp_lifetime(section)),
            SaKind.IPSEC_SA: Lifetime(strongswan.seconds(str(child.get("life_time", "")))),
        },
        aggressive=str(section.get("aggressive", "no")) == "yes",
        places=_places(name, child_name, section, lines)
        | ({} if secret is None else {Setting.SECRET: _secret_place(secret_name, lines)}),
    )


def _isakmp_lifetime(section: Mapping[str, Any]) -> int:
    """What it offers in IKEv1: until the SA is replaced, and then what it may be late."""

    def of(key: str, default: int) -> int:
        return strongswan.seconds(str(section[key])) if key in section else default

    replaced = of("reauth_time", 0) or of("rekey_time", DEFAULT_REKEY)
    return replaced + of("over_time", replaced // 10)


def _secret_place(name: str, lines: Mapping[str, int]) -> Place:
    path = f"secrets.{name}.secret"
    where = f"swanctl.conf line {lines[path]}" if path in lines else "load-shared over VICI"
    return Place("the secret that is there", where)


def _ends(section: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    """The first section of an end: `local`, `local-1`."""
    return next((one for name, one in _sections(section) if name.split("-")[0] == which), {})


def _identity(end: Mapping[str, Any], section: Mapping[str, Any], which: str) -> str | None:
    named = end.get("id")
    if named is None and which == "local":
        return next(iter(strongswan.addresses(",".join(_listed(section, "local_addrs")))), None)
    return None if named in (None, "%any") else str(named)


def _listed(section: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = section.get(key, ())
    return strongswan.words(value) if isinstance(value, str) else tuple(str(one) for one in value)


def _pem(value: str, certificates: Mapping[str, str]) -> str | None:
    return value if _PEM in value else certificates.get(value)


def _secret(
    secrets: Mapping[str, Mapping[str, Any]], parties: tuple[str, str]
) -> tuple[str, bytes | None]:
    """The name and value of the pre-shared key that fits best."""
    best: tuple[int, str, bytes | None] = (-1, "ike", None)
    for name, section in secrets.items():
        owners = [str(one) for key, one in section.items() if key.startswith("id")]
        hits = sum(1 for one in owners if one in parties)
        if "secret" in section and (hits or not owners) and hits > best[0]:
            best = (hits, name, strongswan.secret_octets(str(section["secret"])))
    return best[1], best[2]


def _places(
    name: str, child: str, section: Mapping[str, Any], lines: Mapping[str, int]
) -> dict[Setting, Place]:
    found = {}
    for setting, key in _KEYS.items():
        parts = key.format(child=child).split(".") if child else []
        value: Any = section
        for part in parts:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None or isinstance(value, Mapping):
            continue
        path = ".".join(("connections", name, *parts))
        shown = value if isinstance(value, str | int) else ",".join(map(str, value))
        text = f"{path} = {'<PEM>' if _PEM in str(shown) else shown}"
        where = f"swanctl.conf line {lines[path]}" if path in lines else "load-conn over VICI"
        found[setting] = Place(text, where)
    return found


def _parsed(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The sections of a settings file, and the line of each value by its path."""
    tree: dict[str, Any] = {}
    stack: list[tuple[str, dict[str, Any]]] = [("", tree)]
    lines: dict[str, int] = {}
    name, number = "", 1
    for token in _TOKEN.findall(text):
        if token == "\n":
            number += 1
        elif token == "{":
            stack.append((name, stack[-1][1].setdefault(name, {})))
        elif token == "}":
            if len(stack) > 1:
                stack.pop()
        elif token.startswith("="):
            stack[-1][1][name] = strongswan.unquoted(token[1:])
            lines[".".join([*(part for part, _ in stack[1:]), name])] = number
        elif not token.startswith("#"):
            name = token
    return tree, lines
