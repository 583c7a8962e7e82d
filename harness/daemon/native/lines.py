# SPDX-License-Identifier: GPL-2.0-or-later
"""Which line of a TOML file a key is on: `tomllib` gives values without their places."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Key = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[\[?(?P<name>.*?)\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"""^\s*(?P<key>(?:[\w-]+|"[^"\n]*"|'[^'\n]*'|\s*\.\s*)+?)\s*=""")
_PART = re.compile(r"""\s*(?:"([^"\n]*)"|'([^'\n]*)'|([\w-]+))\s*(?:\.|$)""")


def lines_of(text: str) -> Mapping[Key, int]:
    """The line, counted from 1, of each table and key of a file that `tomllib` accepts.

    A table that has no line of its own stands where the first key below it does.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        header, assignment = _HEADER.match(line), _ASSIGNMENT.match(line)
        size = 1
        if header is not None:
            table = _parts(header["name"])
            _note(found, table, at + 1)
        elif assignment is not None:
            _note(found, table + _parts(assignment["key"]), at + 1)
            size = _size(lines, at)
        at += size
    return found


def _note(found: dict[Key, int], key: Key, line: int) -> None:
    for length in range(1, len(key) + 1):
        found.setdefault(key[:length], line)


def _parts(dotted: str) -> Key:
    return tuple(bare or basic or literal for basic, literal, bare in _PART.findall(dotted))


def _size(lines: list[str], at: int) -> int:
    """How many lines a key with its value has: as many as the first TOML that they are."""
    for size in range(1, len(lines) - at + 1):
        try:
            tomllib.loads("\n".join(lines[at : at + size]))
        except tomllib.TOMLDecodeError:
            continue
        return size
    return 1
