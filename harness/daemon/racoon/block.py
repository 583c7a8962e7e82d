# SPDX-License-Identifier: GPL-2.0-or-later
"""A block of a racoon.conf, read by a table of what may stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Generic, TypeVar

from harness.daemon.complaints import Complaint
from harness.daemon.racoon.lexer import Misplaced, Token
from harness.daemon.racoon.syntax import Arguments, Statement

T = TypeVar("T", covariant=True)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Directive(Generic[T]):
    """A statement by its name, and what reads its arguments; some may stand more than once."""

    name: str
    read: Callable[[Arguments], T]
    many: bool = False


@dataclass(slots=True)
class Block:
    """The sound statements of a block by name, and what is wrong with the others."""

    head: Token
    complaints: list[Complaint]
    found: dict[str, list[Statement]] = field(default_factory=dict)
    sound: bool = True

    def need(self, *directives: Directive[object]) -> None:
        """Complain about each that is missing, unless something wrong may be meant for it."""
        for directive in directives:
            if self.sound and directive.name not in self.found:
                self.complain(self.head, f"this has no {directive.name}; add it")

    def value(self, directive: Directive[V], default: V) -> V:
        """What a statement says, or what holds without it."""
        for statement in self.found.get(directive.name, ()):
            return directive.read(statement.arguments())
        return default

    def values(self, directive: Directive[V]) -> list[V]:
        """What each statement of that name says."""
        found = self.found.get(directive.name, ())
        return [directive.read(statement.arguments()) for statement in found]

    def token(self, directive: Directive[object]) -> Token:
        """Where a statement stands, or where the block begins without it."""
        for statement in self.found.get(directive.name, ()):
            return statement.head
        return self.head

    def complain(self, token: Token, text: str) -> None:
        """Note what is wrong with a place of the file."""
        self.complaints.append(Complaint(token.line, str(token), text))


def read_block(
    head: Token,
    block: Iterable[Statement],
    table: Mapping[str, Directive[object]],
    refused: Mapping[str, str],
    complaints: list[Complaint],
) -> Block:
    """The statements that are in `table`; `refused` has a sentence for those that cannot be."""
    read = Block(head, complaints)
    for statement in block:
        try:
            _check(statement, table, refused, read)
        except Misplaced as wrong:
            complaints.append(wrong.complaint)
            read.sound = False
        else:
            read.found.setdefault(statement.name, []).append(statement)
    return read


def _check(
    statement: Statement,
    table: Mapping[str, Directive[object]],
    refused: Mapping[str, str],
    read: Block,
) -> None:
    head, name = statement.head, statement.name
    directive = table.get(name)
    if directive is None:
        raise Misplaced(head, refused.get(name) or _unknown(read.head, name, table))
    if statement.block is not None:
        raise Misplaced(head, "this takes no block in braces")
    earlier = read.found.get(name)
    if earlier and not directive.many:
        raise Misplaced(head, f"line {earlier[0].head.line} sets this already; keep one of them")
    arguments = statement.arguments()
    directive.read(arguments)
    arguments.finish()


def _unknown(head: Token, name: str, table: Mapping[str, Directive[object]]) -> str:
    close = get_close_matches(name, table, n=1, cutoff=0.7)
    if close:
        return f"there is no such statement in {head}; did you mean {close[0]}?"
    return f"there is no such statement in {head}; there is {', '.join(table)}"


def table_of(*directives: Directive[object]) -> Mapping[str, Directive[object]]:
    """Directives by their names."""
    return {directive.name: directive for directive in directives}
