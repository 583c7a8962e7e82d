# SPDX-License-Identifier: GPL-2.0-or-later
"""What strongSwan's own tools say of a configuration they refuse, with the line it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.peers.contract import NativeFile

# starter and swanctl go on after most errors, so that their own words are all that tells.
SWANCTL = re.compile(r"^(?!opening directory).*(error|failed|invalid|not found)", re.IGNORECASE)
STARTER = re.compile(
    r"^(?:# (?!ignored)|\s+bad |section |.*:\d+: |invalid config|unable to start)", re.IGNORECASE
)


def complaints(printed: str, pattern: re.Pattern[str], files: Sequence[NativeFile]) -> str:
    """The lines of complaint in what a tool printed, joined, or the empty string.

    Each comes with file and line where it names a word of `files`.
    """
    found = [line.strip(" #") for line in printed.splitlines() if pattern.match(line)]
    return "; ".join(dict.fromkeys(_located(line, files) for line in found))


def _located(complaint: str, files: Iterable[NativeFile]) -> str:
    if re.search(r":\d+: ", complaint):
        return complaint
    words = re.findall(r"'([^']+)'|(\S+=\S+)|option: (\S+?),", complaint)
    # What is wrong is named last, after where it is.
    for word in (next(filter(None, found)) for found in reversed(words)):
        for file in files:
            for number, line in enumerate(file.text.splitlines(), 1):
                if word in line.replace(" = ", "="):
                    return f"{file.path}:{number}: {complaint}"
    return complaint
