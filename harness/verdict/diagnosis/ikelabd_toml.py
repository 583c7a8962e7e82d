# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's own dialect read as wishes, and settings spelled in it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.daemon.configuration import ConfigurationError
from harness.daemon.credentials import Credentials
from harness.daemon.native.dialect import read_toml
from harness.ike.v1.configuration import Child as ChildV1
from harness.ike.v2.connection import ChildConfig
from harness.verdict.diagnosis import strongswan
from harness.verdict.diagnosis.engine import wishes_v1, wishes_v2
from harness.verdict.diagnosis.wishes import Place, Setting, Spelled, Value, Wishes

NOWHERE = Path(os.devnull)
_KEYS: Mapping[Setting, str] = MappingProxyType(
    {
        Setting.VERSION: "version",
        Setting.IKE_PROPOSALS: "proposals",
        Setting.CHILD_PROPOSALS: "child.{child}.proposals",
        Setting.LOCAL_IDENTITY: "local-id",
        Setting.REMOTE_IDENTITY: "remote-id",
        Setting.LOCAL_SUBNETS: "child.{child}.local",
        Setting.REMOTE_SUBNETS: "child.{child}.remote",
        Setting.PEER_ADDRESS: "remote",
        Setting.SECRET: "secret",
        Setting.CERTIFICATE: "certificate",
        Setting.AUTHORITY: "authority",
        Setting.MODE: "child.{child}.mode",
        Setting.IKE_LIFETIME: "life",
        Setting.CHILD_LIFETIME: "child.{child}.life",
    }
)
_HIDDEN = frozenset({Setting.SECRET, Setting.CERTIFICATE, Setting.AUTHORITY})


@dataclass(frozen=True, slots=True)
class IkelabdToml:
    """Spells settings of one connection and child by their path from the top of the file."""

    connection: str
    child: str
    file: str

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        if setting is Setting.METHOD:
            return self._method(str(value))
        key = _KEYS.get(setting)
        text = _text(setting, value)
        if key is None or text is None:
            return ()
        path = f"connection.{self.connection}.{key.format(child=self.child)}"
        place = wishes.place(setting)
        if place is None:
            return (Spelled(f"{path} = {text}", "", self.file),)
        return (Spelled(f"{path} = {text}", place.text, place.where),)

    def _method(self, method: str) -> tuple[Spelled, ...]:
        """What there must not be beside the other method's lines: it is told by those."""
        keys = ("certificate", "private-key", "authority") if method == "psk" else ("secret",)
        path = f"connection.{self.connection}"
        lines = " and ".join(f"{path}.{key}" for key in keys)
        own = "" if method == "psk" else f", and {path}.private-key = <the key of the certificate>"
        return (Spelled(f"no line {lines}{own}", f"{lines} = <what is there>", self.file),)


def _text(setting: Setting, value: Value) -> str | None:
    match setting:
        case Setting.IKE_PROPOSALS | Setting.CHILD_PROPOSALS:
            proposals = strongswan.proposals_text(value)
            return json.dumps(proposals.split(",")) if proposals else None
        case Setting.LOCAL_SUBNETS | Setting.REMOTE_SUBNETS:
            return json.dumps(list(map(str, value))) if isinstance(value, tuple) else None
        case Setting.SECRET | Setting.CERTIFICATE | Setting.AUTHORITY:
            return f"<{str(value).strip('<>')}>"
    return str(value) if isinstance(value, int) else json.dumps(str(value))


def read_toml_file(text: str, node: str, file: str) -> tuple[Wishes, ...]:
    """The wishes of each connection and child; nothing where ikelabd refuses the file.

    Credentials stand in the text itself: files beside it are not looked for.
    """
    try:
        tree = tomllib.loads(text)
        found = read_toml(text, file, Credentials(NOWHERE))
    except (tomllib.TOMLDecodeError, ConfigurationError):
        return ()
    sections = _table(tree, "connection")
    return (
        *(
            _spelled(wishes_v2(one, node, child=child), sections, (one.name, child), file)
            for one in found.v2
            for child in one.children or (None,)
        ),
        *(
            _spelled(wishes_v1(one, node, child=child), sections, (one.name, child), file)
            for one in found.v1
            for child in one.children or (None,)
        ),
    )


def _spelled(
    wishes: Wishes,
    sections: Mapping[str, Any],
    which: tuple[str, ChildV1 | ChildConfig | None],
    file: str,
) -> Wishes:
    """With the words of this dialect, and the own address, which an engine of IKEv2 is not told."""
    name = which[0]
    section = _table(sections, name)
    child = which[1].name if which[1] else name
    return replace(
        wishes,
        spelling=IkelabdToml(name, child, file),
        places=_places(name, child, section, file),
        addresses=wishes.addresses or tuple(_listed(section, "local")),
    )


def _places(name: str, child: str, section: Mapping[str, Any], file: str) -> dict[Setting, Place]:
    found = {}
    for setting, key in _KEYS.items():
        value: Any = section
        for part in key.split("."):
            inner = child if part == "{child}" else part
            value = value.get(inner) if isinstance(value, Mapping) else None
        if value is not None:
            shown = "<what is there>" if setting in _HIDDEN else json.dumps(value)
            path = f"connection.{name}.{key.format(child=child)}"
            found[setting] = Place(f"{path} = {shown}", file)
    return found


def _table(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _listed(section: Mapping[str, Any], key: str) -> Iterable[str]:
    value = section.get(key, ())
    return (value,) if isinstance(value, str) else tuple(map(str, value))
