# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements of a racoon.conf: words that end with ``;``, or with a block in braces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.daemon.racoon.lexer import Misplaced, Token, tokens

DEEPEST = 8
"""Blocks in blocks; a racoon.conf has two."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Its words, and what stands in braces behind them, None where a semicolon does.

    `end` is the token that ended it.
    """

    words: tuple[Token, ...]
    block: tuple[Statement, ...] | None
    end: Token

    @property
    def name(self) -> str:
        """The first word, empty where that is a string."""
        return "" if self.words[0].quoted else self.words[0].text

    @property
    def head(self) -> Token:
        """The first word as it stands."""
        return self.words[0]

    def arguments(self) -> Arguments:
        """The words behind the first, to be taken one by one."""
        return Arguments(self.words[1:], self.end)


def statements(text: str) -> tuple[Statement, ...]:
    """All statements of a file; raises `Misplaced` at the first token that fits nowhere."""
    return tuple(_statements(tokens(text), None, 0))


def _statements(stream: Iterator[Token], opened: Token | None, depth: int) -> Iterator[Statement]:
    words: list[Token] = []
    for token in stream:
        if token.quoted or token.text not in "{};":
            words.append(token)
            continue
        if token.text == "}":
            if words:
                raise Misplaced(token, f"a ; is missing after {words[-1]}")
            if opened is None:
                raise Misplaced(token, "this closes nothing; remove it")
            return
        if not words:
            raise Misplaced(token, "there is no statement before this; remove it")
        if token.text == ";":
            yield Statement(tuple(words), None, token)
        elif depth == DEEPEST:
            raise Misplaced(token, f"blocks are nested more than {DEEPEST} deep")
        else:
            inner = tuple(_statements(stream, token, depth + 1))
            yield Statement(tuple(words), inner, token)
        words = []
    if words:
        raise Misplaced(words[-1], "a ; is missing after this")
    if opened is not None:
        raise Misplaced(opened, "this is not closed; add a }")


class Arguments:
    """Words that are taken one after the other; what does not fit raises `Misplaced`."""

    def __init__(self, words: tuple[Token, ...], end: Token) -> None:
        self._words = list(words)
        self._end = end

    def __bool__(self) -> bool:
        return bool(self._words)

    @property
    def here(self) -> Token:
        """The next word, or what ends the statement."""
        return self._words[0] if self._words else self._end

    def take(self, what: str) -> Token:
        """The next word, which is to be `what`."""
        if not self._words or (not self._words[0].quoted and self._words[0].text in "[],"):
            raise Misplaced(self.here, f"{what} is missing before this")
        return self._words.pop(0)

    def skip(self, *texts: str) -> bool:
        """Whether the next word is one of these; then it is taken."""
        if self._words and not self._words[0].quoted and self._words[0].text in texts:
            self._words.pop(0)
            return True
        return False

    def finish(self) -> None:
        """Raise `Misplaced` where words are left over."""
        if self._words:
            raise Misplaced(self._words[0], "a ; is expected here")
