# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a configuration: every wrong line at once, each in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.daemon.configuration import ConfigurationError

TOLD = 20
"""Of a file that is no configuration at all, this many wrong lines are enough."""


@dataclass(frozen=True, order=True, slots=True)
class Complaint:
    """A sentence about one place of a file; lines count from 1."""

    line: int
    subject: str
    text: str

    def said_of(self, file: str) -> str:
        """``seil.conf:3: interface.ipsec0.mtu: …``, safe to print whatever the file holds."""
        return f"{file}:{self.line}: {printable(self.subject)}: {printable(self.text)}"


def printable(text: str) -> str:
    """The text with escapes for what does not print."""
    return text if text.isprintable() else ascii(text)[1:-1]


def refusal(file: str, complaints: Iterable[Complaint]) -> ConfigurationError:
    """The error for a file, a line for each complaint in the order of the file."""
    found = sorted(set(complaints))
    said = [one.said_of(file) for one in found[:TOLD]]
    if len(found) > TOLD:
        said.append(f"{file}: {len(found) - TOLD} more lines are wrong")
    return ConfigurationError("\n".join(said))
