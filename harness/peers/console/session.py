# SPDX-License-Identifier: GPL-2.0-or-later
"""A session at a router's console: log in, type a command, read what it printed.

Every method blocks, and raises `PeerError` in one sentence; a driver runs it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TextIO

import pexpect

from harness.peers.console.lines import Line, open_line, over_descriptor
from harness.peers.console.settings import Box
from harness.peers.contract import PeerError

ECHO = 20
"""Of a long line only so many characters at its end are looked for: a terminal may break it."""


class _Seen(IntEnum):
    """What a router can show while somebody logs in, in the order in which it is looked for."""

    PROMPT = 0
    USER = 1
    PASSWORD = 2
    REFUSAL = 3
    UNKNOWN_HOST = 4


_ASKED = (
    r"(?i)(?:login|user ?name): *\Z",
    r"(?i)password:? *\Z",
    r"(?i)login incorrect|permission denied|authentication fail|login failed|access denied",
    r"\(yes/no(?:/\[fingerprint\])?\)\? *\Z",
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Session:
    """A console that waits for a command."""

    def __init__(self, line: Line, box: Box) -> None:
        self._spawned = line.spawned
        self._box = box
        # Twice on a line where a key was pressed before the first was there.
        self._prompt = re.compile(rf"(?:\A|[\r\n])(?:{box.prompt})+\Z")
        if line.quiet:
            self._send("")
        self._log_in()

    @classmethod
    @contextmanager
    def at(cls, box: Box) -> Iterator[Session]:
        """A session at a router, logged in, while the block runs."""
        with open_line(box) as line:
            yield cls(line, box)

    @classmethod
    @contextmanager
    def over(cls, descriptor: int, box: Box) -> Iterator[Session]:
        """A session over an open terminal, such as that of a console in a node of the lab."""
        with over_descriptor(descriptor) as line:
            yield cls(line, box)

    def record(self, transcript: TextIO) -> None:
        """Write what the router shows from now on; what was said at the login is not in it."""
        self._spawned.logfile_read = transcript

    def command(self, text: str) -> str:
        """What the router prints in answer to a command, without the command's own echo."""
        self._type(text, text)
        return self._answer(text)

    def feed(self, command: str, lines: Iterable[str], end: str) -> str:
        """What the router prints after a command that reads lines until `end`."""
        for text in (command, *lines, end):
            # A slow line loses what comes before it has taken what came before.
            self._type(text, command)
        return self._answer(command)

    def _type(self, text: str, command: str) -> None:
        """Type a line and see its echo, behind whatever else was still to come."""
        self._send(text)
        self._expect([re.escape(text[-ECHO:]) + r"\s*?[\r\n]"], f"to {command!r}")

    def _answer(self, command: str) -> str:
        self._expect([self._prompt], f"to {command!r}")
        printed = _CONTROL.sub("", str(self._spawned.before))
        return "\n".join(line for line in printed.split("\n") if line.strip())

    def _log_in(self) -> None:
        """Answer what is asked until a prompt is there."""
        box = self._box
        named = proved = False
        while True:
            match _Seen(self._expect((self._prompt, *_ASKED), "to the login")):
                case _Seen.PROMPT:
                    return
                case _Seen.UNKNOWN_HOST:
                    raise PeerError(
                        f"ssh does not know the key of {box.name}; connect once by hand and check"
                        " it"
                    )
                case _Seen.PASSWORD if not proved:
                    self._send(box.password)
                    proved = True
                case _Seen.USER if not proved:
                    # Asked again, it was for the key that was pressed: the answer is on its way.
                    if not named:
                        self._send(box.user)
                    named = True
                case _:
                    raise PeerError(
                        f"{box.name} refused the login of {box.user};"
                        f" check user and password in {box.file or 'its settings'}"
                    )

    def _expect(self, patterns: Sequence[str | re.Pattern[str]], what: str) -> int:
        box = self._box
        try:
            found: int = self._spawned.expect(list(patterns), timeout=box.answer_within)
        except pexpect.TIMEOUT:
            last = self._last_line()
            shown = f"shows {last!r}, which is no prompt {box.prompt}," if last else "is silent"
            raise PeerError(
                f"{box.name} {shown} {box.answer_within:g} s after the question {what};"
                f" check the line, and prompt in {box.file or 'its settings'}"
            ) from None
        except (pexpect.EOF, OSError):
            last = self._last_line()
            said = f" after {last!r}" if last else ""
            raise PeerError(f"the line to {box.name} was closed{said}, before an answer {what}")\
                from None  # fmt: skip
        return found

    def _send(self, text: str) -> None:
        try:
            # What the key of a terminal sends that ends a line.
            self._spawned.send(text + "\r")
        except OSError as error:
            raise PeerError(f"the line to {self._box.name} was closed: {error.strerror}") from None

    def _last_line(self) -> str:
        seen = _CONTROL.sub("", str(self._spawned.before or ""))
        lines = [line.strip() for line in seen.splitlines() if line.strip()]
        return lines[-1][:100] if lines else ""
