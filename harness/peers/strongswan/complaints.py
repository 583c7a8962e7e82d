# SPDX-License-Identifier: GPL-2.0-or-later
"""What strongSwan's own tools say of a configuration they refuse, with the line it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.peers.contract import NativeFile

# They go on after most errors, and end with a success, so that their own words are all that tells.
SWANCTL = re.compile(
    r"^(?!opening directory|loaded \d).*"
    r"(error|failed|invalid|not found|no files found|, ignored$)",
    re.IGNORECASE,
)
STARTER = re.compile(
    r"^(?:# (?!ignored)|\s+bad |section |.*:\d+: |invalid config|unable to start|no files found"
    # What starter hands on, charon complains of in its log.
    r"|[\d:]+ \d+\[(?:CFG|LIB)\] +(?:line \d+: |skipped invalid|algorithm '"
    r"|(?:loading|opening) .* failed))",
    re.IGNORECASE,
)
SECRETS = "/etc/ipsec.secrets"

_STAMP = re.compile(r"^[\d:]+ \d+\[\w+\] +")
_OF_SECRETS = re.compile(r"line (\d+): ")
# What a complaint is about: in quotes, as an assignment, or behind a colon at the end.
_WORD = re.compile(r"'([^']+)'|(\S+=\S+)|(?:option|value for|string): ([^\s,]+)")


def complaints(printed: str, pattern: re.Pattern[str], files: Sequence[NativeFile]) -> str:
    """The lines of complaint in what a tool printed, joined, or the empty string.

    Each comes with file and line where it names a word of `files`.
    """
    found = [line for line in printed.splitlines() if pattern.match(line)]
    said = [_STAMP.sub("", line).strip(" #") for line in found]
    return "; ".join(dict.fromkeys(_located(line, files) for line in said))


def _located(complaint: str, files: Iterable[NativeFile]) -> str:
    if re.search(r":\d+: ", complaint):
        return complaint
    numbered = _OF_SECRETS.match(complaint)
    if numbered:
        return f"{SECRETS}:{numbered[1]}: {complaint[numbered.end() :]}"
    words = [next(filter(None, found)) for found in _WORD.findall(complaint)]
    for file in files:
        number = _line_of(words, file)
        if number:
            return f"{file.path}:{number}: {complaint}"
    return complaint


def _line_of(words: Iterable[str], file: NativeFile) -> int:
    """The line, from 1, of the last of the words, each looked for from the one before on; or 0."""
    lines = [line.replace(" = ", "=") for line in file.text.splitlines()]
    number = 0
    for word in words:
        if word == file.path:
            continue
        # A file is named with its folder, though the configuration need not.
        name = re.escape(word.rpartition("/")[2] if word.startswith("/") else word)
        start = max(number - 1, 0)
        # As a whole if it is there, else as a part: an algorithm is one of its proposal.
        for pattern in (rf"(?<![\w-]){name}(?![\w-])", name):
            rest = enumerate(lines[start:], start + 1)
            found = next((at for at, line in rest if re.search(pattern, line)), 0)
            if found:
                number = found
                break
    return number
