# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may use a console that stands on a serial line or behind telnet."""

from __future__ import annotations

import hmac
import termios
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

TRIES = 3


class LoginError(Exception):
    """Nobody may log in; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Login:
    """The one user that there is."""

    user: str
    password: str = field(repr=False)

    def ask(self, source: TextIO, sink: TextIO) -> None:
        """Return once somebody has logged in; raises `LoginError` after some wrong passwords."""
        for _ in range(TRIES):
            while not (user := _asked("login: ", source, sink)):
                pass
            with _no_echo(source):
                password = _asked("Password: ", source, sink)
            sink.write("\n")
            if hmac.compare_digest((user + "\0" + password).encode(), self._expected()):
                return
            sink.write("Login incorrect\n")
        raise LoginError(f"{TRIES} wrong logins; the console is closed")

    def _expected(self) -> bytes:
        return (self.user + "\0" + self.password).encode()


def read_login(path: Path) -> Login:
    """The login in a TOML file with `user` and `password`; raises `LoginError`."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise LoginError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise LoginError(f"{path} is no TOML: {error}") from None
    match values:
        case {"user": str(user), "password": str(password)} if len(values) == 2:
            return Login(user, password)
    raise LoginError(f"{path} needs user and password, both strings, and nothing else")


def _asked(prompt: str, source: TextIO, sink: TextIO) -> str:
    sink.write(prompt)
    sink.flush()
    line = source.readline()
    if not line:
        raise LoginError("the line was closed before anybody logged in")
    return line.rstrip("\r\n")


@contextmanager
def _no_echo(source: TextIO) -> Iterator[None]:
    """What is typed within does not show, where it is typed on a terminal."""
    if not source.isatty():
        yield
        return
    shown = termios.tcgetattr(source)
    hidden = [*shown]
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(source, termios.TCSADRAIN, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, shown)
