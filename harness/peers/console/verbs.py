# SPDX-License-Identifier: GPL-2.0-or-later
"""What a SEIL's console can be asked, and its answers as values.

Another vendor's console is a class with the same methods, other words and other readers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from harness.daemon.console.reading import (
    Unreadable,
    read_interface,
    read_ipsec,
    read_isakmp,
    read_log,
    read_policies,
)
from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy
from harness.peers.console.session import Session
from harness.peers.contract import ConfigurationRefused, PeerError

T = TypeVar("T")

REFUSAL = "% "
"""What a console begins a line with that says what is wrong."""


class Verbs(Protocol):
    """What a driver needs of any router's console."""

    def load(self, text: str) -> None:
        """Use this configuration; raises `ConfigurationRefused`."""
        ...

    def isakmp(self) -> tuple[Isakmp, ...]:
        """The ISAKMP SAs."""
        ...

    def ipsec(self) -> tuple[Ipsec, ...]:
        """The ESP SAs, each direction by itself."""
        ...

    def clear(self) -> None:
        """Delete every SA."""
        ...


@dataclass(frozen=True)
class SeilConsole:
    """The verbs of a SEIL; each blocks and raises `PeerError`."""

    session: Session

    def load(self, text: str) -> None:
        """Use this configuration; raises `ConfigurationRefused` with what the router says."""
        lines = [line for line in text.splitlines() if line.strip() and line.strip() != "."]
        said = self.session.feed("load-from stdin", lines, ".")
        wrong = [line[len(REFUSAL) :] for line in said.splitlines() if line.startswith(REFUSAL)]
        if wrong:
            raise ConfigurationRefused("\n".join(wrong))

    def isakmp(self) -> tuple[Isakmp, ...]:
        """The ISAKMP SAs."""
        return self._show("show status ike", read_isakmp)

    def ipsec(self) -> tuple[Ipsec, ...]:
        """The ESP SAs, each direction by itself."""
        return self._show("show status ipsec", read_ipsec)

    def policies(self) -> tuple[Policy, ...]:
        """The policies, each direction by itself."""
        return self._show("show status ipsec.security-policy", read_policies)

    def interface(self, name: str) -> Interface:
        """A tunnel's interface."""
        return self._show(f"show status interface.{name}", read_interface)

    def log(self, year: int) -> tuple[LogLine, ...]:
        """The log, whose lines do not say in which year they were written."""
        return self._show("show log", lambda text: read_log(text, year))

    def clear(self) -> None:
        """Delete every SA; what starts by itself starts again."""
        self._show("clear ike", lambda text: None)

    def _show(self, command: str, read: Callable[[str], T]) -> T:
        said = self.session.command(command)
        if said.startswith(REFUSAL):
            raise PeerError(f"the router refused {command!r}: {said[len(REFUSAL) :]}")
        try:
            return read(said)
        except Unreadable as wrong:
            raise PeerError(f"{command}: {wrong}") from None
