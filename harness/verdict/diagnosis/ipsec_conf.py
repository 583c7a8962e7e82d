# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan's legacy `ipsec.conf` and `ipsec.secrets`: read as wishes, and settings spelled.

Only what a negotiation depends on is read; nothing is refused, since the daemon has taken it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

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

FILE, SECRETS = "/etc/ipsec.conf", "/etc/ipsec.secrets"
DEFAULT_LIFETIMES = {SaKind.ISAKMP_SA: Lifetime(10800), SaKind.IPSEC_SA: Lifetime(3600)}
_SECTION = re.compile(r"(conn|config|ca)\s+(\S+)")
_SECRET = re.compile(r"^([^:#]*):\s*PSK\s+(\".*?\"|\S+)", re.IGNORECASE)
_VERSIONS = {"ikev1": (1,), "ikev2": (2,), "ike": (2, 1)}
_ALSO = {"keylife": "lifetime", "auth": "authby", "rekeymargin": "margintime"}
_KEYS: Mapping[Setting, str] = MappingProxyType(
    {
        Setting.VERSION: "keyexchange",
        Setting.IKE_PROPOSALS: "ike",
        Setting.CHILD_PROPOSALS: "esp",
        Setting.LOCAL_IDENTITY: "leftid",
        Setting.REMOTE_IDENTITY: "rightid",
        Setting.LOCAL_SUBNETS: "leftsubnet",
        Setting.REMOTE_SUBNETS: "rightsubnet",
        Setting.PEER_ADDRESS: "right",
        Setting.METHOD: "authby",
        Setting.CERTIFICATE: "leftcert",
        Setting.MODE: "type",
        Setting.EXCHANGE: "aggressive",
        Setting.IKE_LIFETIME: "ikelifetime",
        Setting.CHILD_LIFETIME: "lifetime",
    }
)
_LEFT_AND_RIGHT = ("left", "right")


@dataclass(slots=True)
class _Conn:
    """A section: values by key, and the line on which each stands."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IpsecConf:
    """Spells settings as lines of `ipsec.conf`; `own` is the side that is the own one."""

    own: Literal["left", "right"] = "left"
    owners: str = ""

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        if setting is Setting.PRIVATE_KEY:
            return self._private_key(wishes, str(value))
        place = wishes.place(setting)
        text = self._text(setting, value)
        if text is None:
            return ()
        where = {
            Setting.SECRET: "ipsec.secrets",
            Setting.AGGRESSIVE_PSK: "strongswan.conf",
            Setting.AUTHORITY: "",
        }.get(setting, "ipsec.conf")
        if place is not None:
            return (Spelled(text, place.text, place.where),)
        return (Spelled(text, "", where),)

    def _private_key(self, wishes: Wishes, whose: str) -> tuple[Spelled, ...]:
        """The file, and the line that names it, as its certificate is named."""
        from harness.verdict.diagnosis.own_keys import is_rsa

        place = wishes.place(Setting.CERTIFICATE)
        name = place.text.partition("=")[2].strip() if place else "own.pem"
        word = "RSA" if is_rsa(wishes.certificate) else "ECDSA"
        return (
            Spelled(f"the private key of {whose} as /etc/ipsec.d/private/{name}"),
            Spelled(f": {word} {name}", "", "ipsec.secrets"),
        )

    def _text(self, setting: Setting, value: Value) -> str | None:
        key = _KEYS.get(setting, "")
        if self.own == "right" and key.startswith(_LEFT_AND_RIGHT):
            key = _swapped(key)
        match setting:
            case Setting.IKE_PROPOSALS | Setting.CHILD_PROPOSALS:
                text = strongswan.proposals_text(value)
                return f"{key}={text}!" if text else None
            case Setting.LOCAL_SUBNETS | Setting.REMOTE_SUBNETS:
                return f"{key}={','.join(map(str, value))}" if isinstance(value, tuple) else None
            case Setting.VERSION:
                return f"{key}=ikev{value}"
            case Setting.METHOD:
                return f"{key}={'secret' if value == 'psk' else 'pubkey'}"
            case Setting.EXCHANGE:
                return f"{key}={'yes' if value == 'aggressive' else 'no'}"
            case Setting.AGGRESSIVE_PSK:
                return "charon.i_dont_care_about_security_and_use_aggressive_mode_psk = yes"
            case Setting.IKE_LIFETIME | Setting.CHILD_LIFETIME:
                return f"{key}={value}s"
            case Setting.SECRET:
                return f"{self.owners} : PSK <{value}>".strip()
            case Setting.AUTHORITY:
                return f"the certificate of {value} as a file in /etc/ipsec.d/cacerts/"
            case Setting.LOCAL_IDENTITY | Setting.REMOTE_IDENTITY if "=" in str(value):
                # A distinguished name has what would end a value without quotes.
                return f'{key}="{value}"'
        return f"{key}={value}"


def read_ipsec_conf(
    text: str,
    node: str,
    *,
    secrets: str = "",
    own_addresses: Sequence[str] = (),
    certificates: Mapping[str, str] = MappingProxyType({}),
    trusted: Sequence[str] = (),
) -> tuple[Wishes, ...]:
    """The wishes of each `conn`; `secrets` is the text of `ipsec.secrets`.

    `certificates` are PEM texts by file name, `trusted` those of the authorities. The own side is
    `left` unless `right` has one of the own addresses.
    """
    return tuple(
        _wishes(conn, node, secrets, own_addresses, certificates, trusted)
        for conn in _conns(text)
        if conn.name != "%default"
    )


def _conns(text: str) -> Iterator[_Conn]:
    sections: dict[str, _Conn] = {}
    current: _Conn | None = None
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("#", 1)[0].strip()
        section = _SECTION.fullmatch(code)
        if section is not None and not line[:1].isspace():
            kind, name = section.groups()
            current = sections.setdefault(name, _Conn(name)) if kind == "conn" else None
        elif "=" in code and current is not None:
            key, value = (part.strip() for part in code.split("=", 1))
            key = _ALSO.get(key.lower(), key.lower())
            current.values[key] = strongswan.unquoted(value)
            current.lines[key] = (number, code)
    for conn in sections.values():
        yield _inherited(conn, sections)


def _inherited(conn: _Conn, sections: Mapping[str, _Conn]) -> _Conn:
    """With what `also` and `%default` add to it."""
    whole = _Conn(conn.name)
    for name in ("%default", *strongswan.words(conn.values.get("also", "")), conn.name):
        if name in sections:
            whole.values |= sections[name].values
            whole.lines |= sections[name].lines
    return whole


def _wishes(
    conn: _Conn,
    node: str,
    secrets: str,
    own_addresses: Sequence[str],
    certificates: Mapping[str, str],
    trusted: Sequence[str],
) -> Wishes:
    values = conn.values
    own: Literal["left", "right"] = "right" if values.get("right") in own_addresses else "left"
    other = _swapped(own)
    versions = _VERSIONS.get(values.get("keyexchange", "ike"), (2, 1))
    method: Literal["psk", "pubkey"] = (
        "psk" if values.get("authby", values.get(f"{own}auth", "pubkey")) in ("secret", "psk")
        else "pubkey"
    )  # fmt: skip
    mode: Literal["tunnel", "transport"] = (
        "transport" if values.get("type") == "transport" else "tunnel"
    )
    ike, child = values.get("ike", ""), values.get("esp", "")
    # Without the exclamation mark charon adds its own proposals behind the ones that are named.
    esp = strongswan.words(child.rstrip("!"))
    esp += () if child.endswith("!") else strongswan.DEFAULT_CHILD
    phase_1 = strongswan.words(ike.rstrip("!"))
    phase_1 += () if ike.endswith("!") else strongswan.DEFAULT_IKE
    certificate = certificates.get(values.get(f"{own}cert", ""))
    proposals = strongswan.alternatives_of(
        versions, phase_1, esp, mode=mode, method=method, certificate=certificate
    )
    defaults = {kind for kind in proposals if not kind.protects_ike and not child.endswith("!")}
    if not ike.endswith("!"):
        defaults |= {SaKind.ISAKMP_SA, SaKind.IKE_SA}
    here = values.get(f"{own}id") or values.get(own)
    there = values.get(f"{other}id") or values.get(other)
    owners, secret = _secret(
        secrets, (here or "", there or "", values.get(own, ""), values.get(other, ""))
    )
    subnets = tuple(
        tuple(strongswan.network(one) for one in strongswan.words(values.get(f"{end}subnet", "")))
        or strongswan.addresses(values.get(end, ""))
        for end in (own, other)
    )
    spelling = IpsecConf(own, owners)
    return Wishes(
        node,
        spelling,
        strongswan.addresses(values.get(own, "")),
        strongswan.addresses(values.get(other, "")),
        versions,
        proposals,
        frozenset(defaults),
        here,
        None if there in (None, "%any") else there,
        subnets[0],
        subnets[1],
        mode,
        method,
        secret,
        certificate,
        tuple(trusted),
        _lifetimes(values),
        aggressive=values.get("aggressive") == "yes",
        places=_places(conn, own),
    )


def _lifetimes(values: Mapping[str, str]) -> dict[SaKind, Lifetime]:
    named = {SaKind.ISAKMP_SA: "ikelifetime", SaKind.IPSEC_SA: "lifetime"}
    return {
        kind: Lifetime(strongswan.seconds(values[key]))
        if key in values
        else DEFAULT_LIFETIMES[kind]
        for kind, key in named.items()
    }


def _places(conn: _Conn, own: str) -> dict[Setting, Place]:
    found = {}
    for setting, key in _KEYS.items():
        written = _swapped(key) if own == "right" and key.startswith(_LEFT_AND_RIGHT) else key
        if written in conn.lines:
            number, text = conn.lines[written]
            found[setting] = Place(text, f"ipsec.conf line {number}")
    return found


def _secret(text: str, parties: tuple[str, ...]) -> tuple[str, bytes | None]:
    """Whose the pre-shared key is that fits best, and the key."""
    best: tuple[int, str, bytes | None] = (-1, "", None)
    known = {one.lstrip("@") for one in parties}
    for line in text.splitlines():
        found = _SECRET.match(line)
        if found is None:
            continue
        owners = found.group(1).split()
        hits = sum(1 for one in owners if one.lstrip("@") in known)
        if (hits or not owners) and hits > best[0]:
            best = (hits, " ".join(owners), strongswan.secret_octets(found.group(2)))
    return best[1], best[2]


def _swapped(key: str) -> str:
    if key.startswith("left"):
        return "right" + key[4:]
    return "left" + key[5:] if key.startswith("right") else key
