# SPDX-License-Identifier: GPL-2.0-or-later
"""How a router is reached and who logs in, from a TOML file of its owner.

    name = "seil-x4@6.20"
    ssh = "192.0.2.1"
    user = "admin"
    password = "…"
    prompt = "[a-z-]+# "

Instead of `ssh` there may be `telnet` with a host, or `serial` with a device. The file stays where
it is: nothing of it but the name goes into a run's results.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.peers.contract import PeerError

T = TypeVar("T")

_WAYS = ("ssh", "telnet", "serial")
_SPEEDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_PORTS = {"ssh": 22, "telnet": 23}
_KEYS = ("name", *_WAYS, "port", "speed", "options", "user", "password", "prompt", "answer-within")
_HOST = re.compile(r"[0-9A-Za-z:][0-9A-Za-z.:%_-]*")


@dataclass(frozen=True)
class Ssh:
    """A router that is logged in to with OpenSSH's client; `options` are that program's."""

    host: str
    port: int = 22
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Telnet:
    """A router that is logged in to with the telnet program."""

    host: str
    port: int = 23


@dataclass(frozen=True)
class Serial:
    """A router on a serial line with 8 data bits and no parity."""

    device: str
    speed: int = 9600


Way = Ssh | Telnet | Serial


@dataclass(frozen=True)
class Box:
    """A router; `prompt` is a regular expression, `answer_within` in seconds.

    `file` is where all that is said, for messages.
    """

    name: str
    way: Way
    user: str
    password: str = field(repr=False)
    prompt: str = r"\S*[#>$] ?"
    answer_within: float = 30.0
    file: str = ""


def read_box(path: Path) -> Box:
    """The router of a TOML file; raises `PeerError` with the file and the key."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise PeerError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PeerError(f"{path} is no TOML: {error}") from None
    return _Reader(str(path), values).box()


@dataclass(frozen=True)
class _Reader:
    file: str
    values: Mapping[str, object]

    def box(self) -> Box:
        unknown = [key for key in self.values if key not in _KEYS]
        if unknown:
            raise self._wrong(unknown[0], f"there is no such key; there is {', '.join(_KEYS)}")
        return Box(
            self._text("name"),
            self._way(),
            self._text("user"),
            self._text("password"),
            self._get("prompt", _pattern, "a regular expression", Box.prompt),
            self._get("answer-within", _seconds, "seconds above 0", Box.answer_within),
            self.file,
        )

    def _way(self) -> Way:
        ways = [key for key in _WAYS if key in self.values]
        if len(ways) != 1:
            raise self._wrong(" ".join(ways) or "ssh", f"exactly one of {', '.join(_WAYS)} it is")
        way = ways[0]
        if way == "serial":
            self._only(way, "port", "options")
            speeds = ", ".join(map(str, _SPEEDS))
            speed = self._get("speed", _speed, f"one of {speeds}", Serial.speed)
            return Serial(self._text("serial"), speed)
        self._only(way, "speed", *(() if way == "ssh" else ("options",)))
        # Nothing that a program would take for an option of its own.
        host = self._get(way, _host, "a host name or an address", None)
        port = self._get("port", _port, "a number from 1 to 65535", _PORTS[way])
        if way == "telnet":
            return Telnet(host or "", port)
        return Ssh(host or "", port, self._get("options", _texts, "a list of strings", ()))

    def _only(self, way: str, *others: str) -> None:
        for key in others:
            if key in self.values:
                raise self._wrong(key, f"{way} has none; remove it")

    def _text(self, key: str) -> str:
        if key not in self.values:
            raise self._wrong(key, "this is missing; add it")
        return self._get(key, _text, "a string that is not empty", "")

    def _get(self, key: str, read: Callable[[object], T | None], what: str, default: T) -> T:
        if key not in self.values:
            return default
        found = read(self.values[key])
        if found is None:
            raise self._wrong(key, f"{what} is expected")
        return found

    def _wrong(self, key: str, text: str) -> PeerError:
        return PeerError(f"{self.file}: {key}: {text}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and value.isprintable() else None


def _host(value: object) -> str | None:
    return value if isinstance(value, str) and _HOST.fullmatch(value) else None


def _pattern(value: object) -> str | None:
    try:
        return value if isinstance(value, str) and value and re.compile(value) else None
    except re.error:
        return None


def _port(value: object) -> int | None:
    return value if type(value) is int and 1 <= value <= 65535 else None


def _speed(value: object) -> int | None:
    return value if type(value) is int and value in _SPEEDS else None


def _seconds(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3600
    return float(str(value)) if usable else None


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return tuple(value)
