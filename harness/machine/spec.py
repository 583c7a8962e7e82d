# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ``image.toml`` says: which Debian packages make an image, and what must come out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from harness.machine.errors import MachineError

Kind = Literal["peer", "guest", "kernel"]
# Suite, and the parts of the archive beside the main one that have it.
SUITES: Mapping[str, tuple[str, ...]] = {
    # No longer looked after: the mirrors keep what was released, and little of what came later.
    "bullseye": (),
    "bookworm": ("security",),
    "trixie": ("security",),
    "forky": (),
    "sid": (),
}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_KEYS = {"kind", "suite", "packages", "version", "version-of", "about"}


@dataclass(frozen=True)
class ImageSpec:
    """One image: the Debian packages of one suite, and the upstream version that must come out.

    ``version_of`` names the package whose upstream version must be ``version``; for a kernel
    it is the release of the kernel that must begin with ``version``.
    """

    name: str
    kind: Kind
    suite: str
    packages: tuple[str, ...]
    version: str
    version_of: str
    source: str


def load_spec(path: Path) -> ImageSpec:
    """Return what the ``image.toml`` at ``path`` says; its folder's name is the image's.

    Raises MachineError, naming the file and the key, if anything in it is not as it must be.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MachineError(f"{path}: there is no such file; an image needs one.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MachineError(f"{path}: this is not TOML: {error}.") from error
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise MachineError(f"{path}: {unknown[0]}: unknown key; known are {_listed(_KEYS)}.")
    kind = table.get("kind", "peer")
    if kind not in get_args(Kind):
        raise MachineError(f"{path}: kind: {kind!r} is none of {_listed(get_args(Kind))}.")
    suite = _text(path, table, "suite")
    if suite not in SUITES:
        raise MachineError(f"{path}: suite: {suite!r} is none of {_listed(SUITES)}.")
    packages = _packages(path, table)
    version_of = _text(path, table, "version-of") if "version-of" in table else packages[0]
    if version_of not in packages:
        raise MachineError(
            f"{path}: version-of: {version_of!r} is none of the image's own packages."
        )
    if "about" in table:
        _text(path, table, "about")
    return ImageSpec(
        name=path.absolute().parent.name,
        kind=cast(Kind, kind),
        suite=suite,
        packages=packages,
        version=_text(path, table, "version"),
        version_of=version_of,
        source=str(path),
    )


def load_specs(folder: Path, kind: Kind | None = None) -> dict[str, ImageSpec]:
    """Return the images described under ``folder`` by name, of one kind or of every kind.

    Raises MachineError if one of the files is wrong, or if there is none.
    """
    specs = [load_spec(path) for path in sorted(folder.glob("*/image.toml"))]
    if not specs:
        raise MachineError(f"{folder}: no image.toml is under this folder.")
    return {spec.name: spec for spec in specs if kind is None or spec.kind == kind}


def _text(path: Path, table: Mapping[str, Any], key: str) -> str:
    if key not in table:
        raise MachineError(f"{path}: {key}: this key is missing.")
    value = table[key]
    if not isinstance(value, str) or not value.strip():
        raise MachineError(f"{path}: {key}: {value!r} is not a text.")
    return value


def _packages(path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    value = table.get("packages")
    if not isinstance(value, list) or not value:
        raise MachineError(f"{path}: packages: a list of at least one Debian package is needed.")
    for item in value:
        if not isinstance(item, str) or not _PACKAGE.fullmatch(item):
            raise MachineError(f"{path}: packages: {item!r} is not the name of a Debian package.")
    if len(set(value)) != len(value):
        raise MachineError(f"{path}: packages: a package is named twice.")
    return tuple(value)


def _listed(values: object) -> str:
    return ", ".join(sorted(cast("set[str]", values)))
