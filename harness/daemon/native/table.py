# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of a TOML file, read key by key; what is wrong is a complaint with its line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.daemon.complaints import Complaint
from harness.daemon.native.lines import Key

T = TypeVar("T")
D = TypeVar("D")

MOST = 2**32


class Unusable(ValueError):
    """A value cannot be used; half a sentence says why, and what to do."""


@dataclass
class Table:
    """The keys below a path; `complaints` are shared by all tables of a file.

    Reading a key with an unusable value complains and gives the default. `close` complains about
    keys that nobody read.
    """

    values: Mapping[str, Any]
    path: Key
    lines: Mapping[Key, int]
    complaints: list[Complaint]
    _read: set[str] = field(default_factory=set)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self.values

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        return self._one(key, str, default, "is a string in quotes")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, or one string."""
        value = self._take(key, ())
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list | tuple) and all(isinstance(one, str) for one in listed):
            return tuple(listed)
        self.complain(key, "is a list of strings in quotes")
        return ()

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return self._one(key, bool, default, "is true or false")

    def number(self, key: str, default: float, *, least: float = 0) -> float:
        """A number that is not below `least`."""
        value = self._take(key, default)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if known and least <= value < MOST:
            return float(value)
        self.complain(key, f"is a number from {least:g} on")
        return default

    def whole(self, key: str, default: int, *, least: int = 0) -> int:
        """A whole number that is not below `least`."""
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value < MOST:
            return value
        self.complain(key, f"is a whole number from {least} on")
        return default

    def choice(self, key: str, options: Sequence[str], default: str) -> str:
        """One of these words."""
        value = self._take(key, default)
        if value in options:
            return str(value)
        near = difflib.get_close_matches(str(value), options, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self.complain(key, f"is {_spelled(options)}, not {value!r}{hint}")
        return default

    def made(self, key: str, make: Callable[[str], T], default: D) -> T | D:
        """What `make` makes of a string, which may be `Unusable`."""
        if not self.has(key):
            return default
        found = self._made(key, [self.text(key)], make)
        return found[0] if found else default

    def all_made(self, key: str, make: Callable[[str], T]) -> tuple[T, ...]:
        """What `make` makes of each string of a list."""
        return tuple(self._made(key, self.texts(key), make))

    def needed(self, key: str, make: Callable[[str], T], example: str) -> tuple[T, ...]:
        """What `make` makes of each string of a list that may not be empty."""
        if not self.values.get(key):
            self.complain(key, f'is missing; add {key} = ["{example}"]')
        return self.all_made(key, make)

    def table(self, key: str) -> Table:
        """The table of that name, empty where it is not there."""
        value: Any = self._take(key, {})
        if not isinstance(value, dict):
            self.complain(key, f"is a table: write [{'.'.join((*self.path, key))}]")
            value = {}
        return Table(value, (*self.path, key), self.lines, self.complaints)

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables below one, by name."""
        outer = self.table(key)
        for name in outer.values:
            yield name, outer.table(name)

    def close(self) -> None:
        """Complain about what was never read."""
        for key in self.values:
            if key not in self._read:
                near = difflib.get_close_matches(key, sorted(self._read), n=1)
                known = f"did you mean {near[0]}?" if near else f"there is {_spelled(self._read)}"
                self.complain(key, f"is no key of this table; {known}")

    def complain(self, key: str, text: str) -> None:
        """Say what is wrong with a key, or with the table where it has no such key."""
        full = (*self.path, key)
        above = (full[:size] for size in range(len(full), 0, -1))
        line = next((self.lines[key] for key in above if key in self.lines), 1)
        self.complaints.append(Complaint(line, ".".join(full), text))

    def _take(self, key: str, default: T) -> Any | T:
        self._read.add(key)
        return self.values.get(key, default)

    def _one(self, key: str, kind: type[T], default: T, wanted: str) -> T:
        value = self._take(key, default)
        if isinstance(value, kind):
            return value
        self.complain(key, wanted)
        return default

    def _made(self, key: str, texts: Sequence[str], make: Callable[[str], T]) -> list[T]:
        found = []
        for text in texts:
            try:
                found.append(make(text))
            except Unusable as error:
                self.complain(key, str(error))
        return found


def _spelled(words: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(words))
