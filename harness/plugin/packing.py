# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order several processes take the runs of a session, so that none is alone at its end."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pytest

from harness.plugin.options import options_of
from harness.plugin.runs import plan_of, run_name
from harness.plugin.selection import choose, concerns_lab
from harness.report.results import read_seconds

T = TypeVar("T")
Timed = tuple[float, T]
"""Something and the seconds that it takes."""
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
    told = getattr(config, "workerinput", {})
    if config.option.ikelab_longest_first and SECONDS in told:
        items[:] = _packed(items, told[SECONDS], told["workercount"])


def _packed(
    items: Sequence[pytest.Item], known: Mapping[str, float], workers: int
) -> list[pytest.Item]:
    """The longest first, and half of the workers at those that compute while others wait.

    A lab kernel under its virtual clock never waits; a run on the host does little else.
    """
    computing: list[Timed[pytest.Item]] = []
    waiting: list[Timed[pytest.Item]] = []
    for item in items:
        guest = concerns_lab(item) and plan_of(item).kernel != "host"
        seconds = known.get(run_name(item), USUAL[guest])
        (computing if guest else waiting).append((seconds, item))
    return shared_out((longest_first(computing), longest_first(waiting)), workers)


def longest_first(timed: Sequence[Timed[T]]) -> list[Timed[T]]:
    """What takes the most seconds first; what takes as many stays in its order."""
    return sorted(timed, key=lambda one: -one[0])


def shared_out(kinds: Sequence[Sequence[Timed[T]]], workers: int) -> list[T]:
    """The order in which workers come to all of several kinds, each taking one kind as it can.

    A worker has two to begin with, as xdist gives them out, and another one whenever it has ended
    one. It turns to the next kind where nothing is left of its own.
    """
    left = [deque(kind) for kind in kinds]
    order: list[T] = []

    def take(worker: int) -> float | None:
        for kind in range(worker, worker + len(left)):
            if queue := left[kind % len(left)]:
                seconds, item = queue.popleft()
                order.append(item)
                return seconds
        return None

    # When each worker ends what it is at, and how long what it has beside that will take.
    begun = [(worker, take(worker) or 0.0, take(worker)) for worker in range(workers)]
    ends = [(end, worker, then) for worker, end, then in begun]
    heapq.heapify(ends)
    while any(left):
        end, worker, then = heapq.heappop(ends)
        heapq.heappush(ends, (end + (then or 0.0), worker, take(worker)))
    return order
