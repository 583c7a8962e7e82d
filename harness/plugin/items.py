# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens around one item, wherever it runs: the oracles, and the verdict on its report."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from harness.peers.contract import Unsupported
from harness.plugin.fixtures import LAB
from harness.plugin.selection import concerns_lab, scenario_of
from harness.plugin.verdicts import PROPERTY, note_on


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
