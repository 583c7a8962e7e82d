# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a SEIL configuration, ``key : value``, each checked against the table of keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from harness.daemon.complaints import Complaint
from harness.daemon.seil.keys import KEYS, Key, remedy
from harness.daemon.seil.values import shortened, shown

T = TypeVar("T")

# The colon ends the key; some write another one directly after it.
_LINE = re.compile(r"(?P<key>[^\s:]+):?(?:\s*:\s*|\s+:\s+)(?P<value>.*)")
_INDEX = re.compile(r"(?:ge|ipsec)?(?:0|[1-9]\d{0,2})")
LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """One line: its number, the key as it stands and with ``[]`` for numbers, its value's text.

    What is not `sound` is there, but its value cannot be read.
    """

    line: int
    key: str
    shape: str
    text: str
    sound: bool


@dataclass(slots=True)
class Sheet:
    """All settings of a file, and what is wrong with its lines."""

    settings: dict[str, Setting] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def setting(self, key: Key[object], *names: str) -> Setting | None:
        """The line of a key, its numbered parts named: ``ipsec0``."""
        return self.settings.get(key.at(*names))

    def value(self, key: Key[T], default: T, *names: str) -> T:
        """The value of a key, or what it is without a line."""
        setting = self.setting(key, *names)
        return default if setting is None else key.read(setting.text)

    def listed(self, key: Key[T], *names: str) -> tuple[T, ...]:
        """The values of a list, in the order of the numbers in their keys."""
        stem = key.at(*names).partition("[]")[0]
        found = [one for one in self.of_shape(key.shape) if one.key.startswith(stem)]
        found.sort(key=lambda one: int(one.key.removeprefix(stem).partition(".")[0]))
        return tuple(key.read(one.text) for one in found)

    def of_shape(self, shape: str) -> Iterator[Setting]:
        """The sound lines of a key, whatever its numbers, in the order of the file."""
        return (one for one in self.settings.values() if one.shape == shape and one.sound)

    def complain(self, line: int, key: str, text: str) -> None:
        """Note what is wrong with a line."""
        self.complaints.append(Complaint(line, key, text))


def shape_of(key: str) -> str:
    """The key with ``[]`` in place of each number: ``interface.ge[].ipv4.address``."""
    return ".".join(
        part.rstrip("0123456789") + "[]" if _INDEX.fullmatch(part) else part
        for part in key.split(".")
    )


def read_lines(text: str) -> Sheet:
    """Every line that can be read, and a complaint about each other one."""
    sheet = Sheet()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            _take(sheet, number, stripped)
    return sheet


def _take(sheet: Sheet, number: int, line: str) -> None:
    found = _LINE.fullmatch(line)
    if found is None:
        sheet.complain(number, shown(line), "this is no line of the form key : value")
        return
    name, text = found["key"], found["value"]
    shape = shape_of(name) if len(name) <= LONGEST_KEY else ""
    key = KEYS.get(shape)
    if key is None:
        sheet.complain(number, shortened(name), remedy(shape))
        return
    earlier = sheet.settings.get(name)
    if earlier is not None:
        sheet.complain(number, name, f"line {earlier.line} sets this already; keep one of them")
        return
    wrong = _wrong(key, text)
    if wrong:
        sheet.complain(number, name, wrong)
    # Kept even then: nobody is to be told that a line which is there is missing.
    sheet.settings[name] = Setting(number, name, shape, text, not wrong)


def _wrong(key: Key[object], text: str) -> str:
    """What is wrong with a value, empty for nothing."""
    if not text:
        return "this has no value; write one after the colon"
    try:
        key.read(text)
    except ValueError as wrong:
        return str(wrong)
    return ""
