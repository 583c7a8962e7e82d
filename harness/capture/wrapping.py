# SPDX-License-Identifier: GPL-2.0-or-later
"""Long lines on a terminal: what does not fit is continued below, indented."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import TextIO

INDENT = " " * 12
_COLOUR = re.compile(r"\033\[[0-9;]*m")
_WORDS = re.compile(r"(?<= )(?=[^ ])")


def columns_of(file: TextIO) -> int:
    """How many columns a terminal has; 0 for what is none, where lines have any length."""
    return shutil.get_terminal_size().columns if file.isatty() else 0


def wrapped(line: str, columns: int) -> Iterator[str]:
    """The line in pieces that fit, broken at its spaces; colours take no room.

    A word that is too long for a line of its own stays whole.
    """
    if not columns or _size(line) <= columns:
        yield line
        return
    piece = ""
    for word in _WORDS.split(line):
        if piece.strip() and _size(piece) + _size(word.rstrip()) > columns:
            yield piece.rstrip()
            piece = INDENT
        piece += word
    yield piece


def _size(text: str) -> int:
    return len(_COLOUR.sub("", text))
