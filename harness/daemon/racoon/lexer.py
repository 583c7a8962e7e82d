# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of a racoon.conf: bare and quoted ones, and ``{ } [ ] ; ,`` for themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.daemon.complaints import Complaint

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+ | \#[^\n]*)
    | (?P<newline>\n)
    | (?P<mark>[{}\[\];,])
    | "(?P<quoted>[^"\n]*)"
    | (?P<word>[^\s{}\[\];,"\#]+)
    | (?P<open>")
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark and its line; a quoted word is never a mark or a keyword."""

    text: str
    line: int
    quoted: bool = False

    def __str__(self) -> str:
        short = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return f'"{short}"' if self.quoted else short


class Misplaced(ValueError):
    """A token that does not belong where it stands; the text says what would."""

    def __init__(self, token: Token, text: str) -> None:
        super().__init__(text)
        self.token = token

    @property
    def complaint(self) -> Complaint:
        """The same by line and token."""
        return Complaint(self.token.line, str(self.token), str(self))


def tokens(text: str) -> Iterator[Token]:
    """The words and marks of a file; raises `Misplaced` for a quote that nothing closes."""
    line = 1
    for found in _TOKEN.finditer(text.removeprefix("\ufeff")):
        match found.lastgroup:
            case "newline":
                line += 1
            case "mark" | "word":
                yield Token(found[0], line)
            case "quoted":
                yield Token(found["quoted"], line, quoted=True)
            case "open":
                raise Misplaced(Token('"', line), "this quote is not closed in its line")
