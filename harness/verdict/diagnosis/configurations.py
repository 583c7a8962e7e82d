# SPDX-License-Identifier: GPL-2.0-or-later
"""The configurations of a run, from its folder: what each node's daemon was really given.

A driver leaves a copy of every file below `NODE/configuration/`, and of what went over a control
socket too. Each dialect is known by the names of its files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.verdict.diagnosis import ipsec_conf, swanctl_conf
from harness.verdict.diagnosis.wishes import Wishes

FOLDER = "configuration"
NATIVE = "/run/ikelabd.native"
SEIL_LINE = "interface.ipsec"
SAINFO = re.compile(r"^\s*sainfo\s", re.MULTILINE)
"""How lines begin that no other dialect has."""
AGGRESSIVE_PSK = "i_dont_care_about_security_and_use_aggressive_mode_psk"
MOST_OCTETS = 1 << 20
_CERTIFICATES = ("/etc/ipsec.d/certs/", "/etc/swanctl/x509/")
_AUTHORITIES = ("/etc/ipsec.d/cacerts/", "/etc/swanctl/x509ca/")
_LEGACY_KEYS = ("/etc/ipsec.d/private/",)
_KEYS = tuple(f"/etc/swanctl/{one}/" for one in ("private", "rsa", "ecdsa", "pkcs8"))


@dataclass(frozen=True, slots=True)
class Given:
    """The files that a daemon was given, by their absolute path in the node.

    `root` is the folder that they are below, none where they are only here.
    """

    node: str
    files: Mapping[str, str]
    root: Path = Path(os.devnull)

    def below(self, folders: Iterable[str]) -> dict[str, str]:
        """The files in these folders, by their names."""
        return {
            Path(path).name: text
            for path, text in self.files.items()
            if path.startswith(tuple(folders))
        }


Reader = Callable[[Given], tuple[Wishes, ...]]


def wishes_in(folder: Path) -> tuple[Wishes, ...]:
    """What each node of a run's folder was configured with; nothing for a dialect not known.

    Never raises for what is in the files.
    """
    found: list[Wishes] = []
    for configuration in sorted(folder.glob(f"*/{FOLDER}")):
        given = Given(configuration.parent.name, _files(configuration), configuration)
        found += wishes_of(given)
    return tuple(found)


def wishes_of(given: Given) -> tuple[Wishes, ...]:
    """What one node was configured with, by the first dialect of which it has a file.

    A SEIL's file and a racoon's have any name and are known by their lines.
    """
    for name, read in READERS.items():
        if name in given.files:
            return tuple(_with_settings(one, given) for one in read(given))
    for path, text in given.files.items():
        if any(line.lstrip().startswith(SEIL_LINE) for line in text.splitlines()):
            return _seil(given, path)
        if SAINFO.search(text):
            return _racoon(given, path)
    return ()


def _files(configuration: Path) -> dict[str, str]:
    found = {}
    for path in sorted(configuration.rglob("*")):
        if path.is_file() and path.stat().st_size <= MOST_OCTETS:
            name = "/" + str(path.relative_to(configuration))
            found[name] = path.read_text(errors="replace")
    return found


def _ipsec_conf(given: Given) -> tuple[Wishes, ...]:
    secrets = given.files.get(ipsec_conf.SECRETS, "")
    found = ipsec_conf.read_ipsec_conf(
        given.files[ipsec_conf.FILE],
        given.node,
        secrets=secrets,
        certificates=given.below(_CERTIFICATES),
        trusted=tuple(given.below(_AUTHORITIES).values()),
    )
    # A key is loaded where ipsec.secrets names it.
    named = {Path(word.strip('"')).name for word in secrets.split()}
    keys = tuple(text for name, text in given.below(_LEGACY_KEYS).items() if name in named)
    return tuple(replace(one, private_keys=keys) for one in found)


def _swanctl_conf(given: Given) -> tuple[Wishes, ...]:
    found = swanctl_conf.read_swanctl_conf(
        given.files[swanctl_conf.FILE],
        given.node,
        certificates={**given.below(_CERTIFICATES), **given.below(_AUTHORITIES)},
        trusted=tuple(given.below(_AUTHORITIES).values()),
    )
    keys = tuple(given.below(_KEYS).values())
    return tuple(replace(one, private_keys=keys) for one in found)


def _over_vici(given: Given) -> tuple[Wishes, ...]:
    tree: dict[str, Any] = {"connections": _json(given.files[swanctl_conf.OVER_VICI])}
    shared = _json(given.files.get(swanctl_conf.SHARED_OVER_VICI, "{}"))
    if "data" in shared:
        owners = {f"id-{place}": one for place, one in enumerate(shared.get("owners", ()))}
        tree["secrets"] = {"ike": {"secret": shared["data"], **owners}}
    return swanctl_conf.read_tree(tree, given.node)


# ikelabd's readers take longer to import than all the rest, and most runs have not all of them.


def _seil(given: Given, path: str) -> tuple[Wishes, ...]:
    from harness.verdict.diagnosis.seil import read_seil_file

    return read_seil_file(given.files[path], given.node, Path(path).name)


def _ikelabd(given: Given) -> tuple[Wishes, ...]:
    from harness.verdict.diagnosis.ikelabd_toml import read_toml_file

    return read_toml_file(given.files[NATIVE], given.node, Path(NATIVE).name)


def _racoon(given: Given, path: str) -> tuple[Wishes, ...]:
    from harness.verdict.diagnosis.racoon import read_racoon_file

    return read_racoon_file(given.files[path], given.node, path, given.root)


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _with_settings(wishes: Wishes, given: Given) -> Wishes:
    """With what strongSwan's own settings say of Aggressive Mode."""
    settings = given.files.get("/etc/strongswan.conf")
    if settings is None:
        return wishes
    accepts = any(
        line.partition("=")[2].strip() in ("yes", "1", "true")
        for line in settings.splitlines()
        if line.strip().startswith(AGGRESSIVE_PSK)
    )
    return replace(wishes, accepts_aggressive=accepts)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ipsec_conf.FILE: _ipsec_conf,
        swanctl_conf.FILE: _swanctl_conf,
        swanctl_conf.OVER_VICI: _over_vici,
        NATIVE: _ikelabd,
    }
)
"""What reads which file."""
