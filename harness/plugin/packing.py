# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order several processes take the runs of a session, so that none is alone at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from harness.plugin.options import options_of
from harness.plugin.runs import plan_of, run_name
from harness.plugin.selection import choose, concerns_lab
from harness.report.results import read_seconds

T = TypeVar("T")
POSITION = pytest.StashKey[int]()
"""Which item of the session an item would be, if all ran one after the other."""
SECONDS = "ikelab_seconds"
KNOWN = pytest.StashKey[dict[str, float]]()
USUAL = {True: 4.0, False: 1.0}
"""Seconds that a run takes of which nothing is known, in a lab kernel and on the host."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist how long each run took before: all must come to the same order."""
    known = node.config.stash.setdefault(KNOWN, read_seconds(options_of(node.config).out))
    node.workerinput[SECONDS] = known


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the items that were asked for, and bring them into order if that was asked for too."""
    choose(config, items)
    for position, item in enumerate(items):
        item.stash[POSITION] = position
    known: Mapping[str, float] | None = getattr(config, "workerinput", {}).get(SECONDS)
    if config.option.ikelab_longest_first and known is not None:
        items[:] = _packed(items, known)


def _packed(items: Sequence[pytest.Item], known: Mapping[str, float]) -> list[pytest.Item]:
    """The longest first, and at any time as many that compute as there are that wait.

    A lab kernel under its virtual clock never waits; a run on the host does little else.
    """
    computing: list[tuple[float, pytest.Item]] = []
    waiting: list[tuple[float, pytest.Item]] = []
    for item in items:
        guest = concerns_lab(item) and plan_of(item).kernel != "host"
        seconds = known.get(run_name(item), USUAL[guest])
        (computing if guest else waiting).append((seconds, item))
    return interleaved(longest_first(computing), longest_first(waiting))


def longest_first(timed: Sequence[tuple[float, T]]) -> list[tuple[float, T]]:
    """What takes the most seconds first; what takes as many stays in its order."""
    return sorted(timed, key=lambda one: -one[0])


def interleaved(*kinds: Sequence[tuple[float, T]]) -> list[T]:
    """All of several kinds, so that of the seconds of each the same share is over at any time."""
    shared = [one for kind in kinds for one in _shares(kind)]
    return [item for _, item in sorted(shared, key=lambda one: one[0])]


def _shares(timed: Sequence[tuple[float, T]]) -> Iterator[tuple[float, T]]:
    """Each with the share of the seconds of all that is over when it begins."""
    total = sum(seconds for seconds, _ in timed) or 1.0
    over = 0.0
    for seconds, item in timed:
        yield over / total, item
        over += seconds
