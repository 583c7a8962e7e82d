# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens around one item, wherever it runs: the oracles, and the verdict on its report."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from harness.peers.contract import Unsupported
from harness.plugin.fixtures import LAB
from harness.plugin.selection import concerns_lab, scenario_of
from harness.plugin.verdicts import PROPERTY, note_on

PACKAGE = Path(__file__).parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Ask the oracles once the scenario's own assertions have held."""
    result = yield
    lab = pyfuncitem.stash.get(LAB, None)
    if lab is not None and scenario_of(pyfuncitem) is not None:
        lab.verify()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn *unsupported* into an outcome of its own, and note on the report what it is about."""
    error = call.excinfo.value if call.excinfo is not None else None
    if error is not None and concerns_lab(item) and not item.config.option.fulltrace:
        _end_at_the_scenario(item, error)
    report = yield
    if isinstance(error, Unsupported):
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, line or 0, f"Skipped: unsupported: {error}")
    if concerns_lab(item):
        note = note_on(item, report, error)
        if note["outcome"] == "lost":
            # Where in the harness it was found out tells the user nothing.
            report.longrepr = note["reason"]
        report.user_properties.append((PROPERTY, note))
    return report


def _end_at_the_scenario(item: pytest.Item, error: BaseException) -> None:
    """Take from what the harness says how it came to that: the scenario's line is what matters.

    An exception of another kind may be a fault of the harness: there all is kept.
    """
    if not type(error).__module__.startswith(f"{PACKAGE.name}."):
        return
    places = list(_places(error.__traceback__))
    files = [Path(place.tb_frame.f_code.co_filename) for place in places]
    inside = [number for number, file in enumerate(files) if file.is_relative_to(PACKAGE)]
    own = [
        number
        for number, file in enumerate(files)
        if file.is_relative_to(item.config.rootpath) and number not in inside
    ]
    # What the oracles say after the scenario has no line of its own.
    last = max(own, default=min(inside, default=-1))
    places[last].tb_next = None


def _places(place: TracebackType | None) -> Iterator[TracebackType]:
    while place is not None:
        yield place
        place = place.tb_next
