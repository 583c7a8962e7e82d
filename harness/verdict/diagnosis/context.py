# SPDX-License-Identifier: GPL-2.0-or-later
"""What an explanation may look at beside the failure itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from harness.capture.entries import Entry
from harness.capture.secrets import NO_SECRETS, Secrets
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.traffic import network, traffic_of
from harness.verdict.diagnosis.wishes import Wishes


class Exit(NamedTuple):
    """The end of a daemon: its status, negative for a signal, and when, from the epoch."""

    status: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The whole capture, the keys that it proved, both configurations, and daemons that ended.

    `exits` says of a node that its daemon ended.
    """

    entries: Sequence[Entry] = ()
    secrets: Secrets = NO_SECRETS
    wishes: Sequence[Wishes] = ()
    exits: Mapping[str, Exit] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, failure: Failure) -> tuple[Wishes | None, Wishes | None]:
        """The wishes of who asked and of who refused."""
        return (
            self._best(failure, failure.asker, failure.refuser),
            self._best(failure, failure.refuser, failure.asker),
        )

    def _best(self, failure: Failure, node: str, other: str) -> Wishes | None:
        """The connection of a node that is for a peer, and its child for the traffic in question.

        Where none is, it is the first.
        """
        own = [one for one in self.wishes if node == one.node or node in one.addresses]
        peer = address_of(failure, other)
        candidates = [one for one in own if peer in one.peer_addresses] or own
        here, there = traffic_of(failure, node)

        def agreement(wishes: Wishes) -> int:
            return _in_common(here, wishes.local_subnets) + _in_common(there, wishes.remote_subnets)

        return max(candidates, key=agreement, default=None)


def _in_common(asked: Sequence[str], wanted: Sequence[str]) -> int:
    networks = [network(one) for one in asked]
    return sum(1 for one in wanted if network(one) in networks)


def address_of(failure: Failure, node: str) -> str:
    """The address that a party has in the packets of the failure."""
    headers = failure.asked.entry.headers
    return headers.source if node == failure.asked.sender else headers.destination
