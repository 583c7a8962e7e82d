# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis as a value: what went wrong, both sides of it, and what to change on which.

Scenarios assert on these values; `text` writes them for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.verdict.diagnosis.wishes import Setting, Spelled, Value, Wishes


class Cause(StrEnum):
    """Why a negotiation made no SA."""

    PROPOSAL = "no common proposal"
    KEY_EXCHANGE = "another group is wanted in the KE payload"
    VERSION = "no common IKE version"
    NO_CONNECTION = "no connection for this peer"
    EXCHANGE_MODE = "the exchange mode is refused"
    IDENTITY = "another identity is expected"
    SECRET = "the pre-shared keys differ"
    METHOD = "another authentication method is expected"
    CERTIFICATE = "the certificate is not accepted"
    PRIVATE_KEY = "the private key is missing"
    AUTHENTICATION = "authentication failed"
    SELECTORS = "no common traffic selectors"
    MODE = "tunnel against transport mode"
    LIFETIME = "the lifetime is not accepted"
    NO_ANSWER = "no answer"
    UNREACHABLE = "the peer's port is unreachable"
    NAT = "no answer through a NAT"
    FRAGMENTS = "fragments are missing"
    COOKIE = "the peer keeps asking for a cookie"
    CRASHED = "the peer's daemon ended"
    REFUSED = "the peer refused it"
    UNREADABLE = "the answer cannot be read"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of both sides; an empty cell is not known."""

    what: str
    offered: str
    wanted: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change on one side that mends it: the setting, its new value, and how it is written there.

    `value` of a secret or certificate is in words, never the secret itself.
    """

    node: str
    setting: Setting
    value: Value
    spelled: Spelled


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a negotiation failed.

    `asker` offered or claimed what `refuser` did not take; both are nodes or, without nodes,
    addresses. `exchange` is where that was and `notify` how it was said, in RFC words. `proved`
    says whether packets and configurations decide the cause; where not, the sentence says what is
    known. `notes` are further facts. `frames` are those of the capture that show it. `times` is
    how often it was tried with the same result.
    """

    cause: Cause
    sentence: str
    asker: str
    refuser: str
    exchange: str = ""
    notify: str = ""
    rows: tuple[Row, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()
    proved: bool = True
    frames: tuple[int, ...] = field(default=(), compare=False)
    times: int = field(default=1, compare=False)

    @property
    def differing(self) -> tuple[Row, ...]:
        """The rows in which the two sides differ."""
        return tuple(row for row in self.rows if row.differs)

    def difference(self, what: str) -> tuple[str, str] | None:
        """What was offered and what is wanted in a differing row, or None where none differs."""
        return next(((one.offered, one.wanted) for one in self.differing if one.what == what), None)

    def remedy(self, node: str) -> Remedy | None:
        """The first change that would mend it on one node."""
        return next((one for one in self.remedies if one.node == node), None)


def remedy(wishes: Wishes | None, setting: Setting, value: Value) -> Iterable[Remedy]:
    """The change of a setting on a side, nothing where its configuration is not known."""
    if wishes is None:
        return
    for spelled in wishes.spelling.spell(wishes, setting, value):
        if spelled.text != spelled.instead:
            yield Remedy(wishes.node, setting, value, spelled)
