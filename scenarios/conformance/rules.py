# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that a scenario looks at one by one under one lab, each with a verdict of its own.

    with Rules(lab, sun) as rule:
        with rule("empty-informational", rfc="7296 1.4"):
            assert prober.ask() == Liveness()

Where a peer is known not to do what the RFC demands, the rule says what it does instead; that is
in the results and in the table of a run, and is wrong as soon as the peer does what it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from harness.lab.lab import Lab
from harness.peers.contract import Peer

PASS = "pass"


class Rules:
    """What one peer makes of rules; leaving the block raises AssertionError with all it broke."""

    def __init__(self, lab: Lab, peer: Peer) -> None:
        self._verdicts = lab.rules
        self._peer = peer.name
        self._broken: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._broken:
            raise AssertionError("; ".join(self._broken))

    @contextmanager
    def __call__(
        self, name: str, *, rfc: str, deviates: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        """One rule and the section that demands it.

        `deviates` says what peers do instead, by their names. The block does no less than see
        whether the rule holds: where it does not, it raises AssertionError.
        """
        known = _of(self._peer, deviates or {})
        try:
            yield
        except AssertionError as error:
            said = " ".join(str(error).split()) or "it does not hold"
            if known is None:
                self._breaks(f"{name} (RFC {rfc})", name, said)
            else:
                self._verdicts[name] = f"deviates from RFC {rfc}: {known}"
        else:
            if known is None:
                self._verdicts[name] = PASS
            else:
                self._breaks(name, name, f"is said to deviate, {known!r}, and does not")

    def _breaks(self, title: str, name: str, why: str) -> None:
        self._verdicts[name] = f"fail: {why}"
        self._broken.append(f"{title}: {why}")


def _of(peer: str, deviates: Mapping[str, str]) -> str | None:
    """What is known of that peer, by its name with or without version."""
    return deviates.get(peer, deviates.get(peer.partition("@")[0]))
