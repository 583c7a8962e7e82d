# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every test of the project; scenarios are collected without any of it."""

import importlib.util
import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "tests"


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Before the first test is imported: hypothesis is far slower to import than a scenario."""
    if TESTS not in collector.path.parents:
        return
    # A lab kernel has no hypothesis, because no scenario needs it.
    if importlib.util.find_spec("hypothesis") is not None:
        search_for_counterexamples()


def search_for_counterexamples() -> None:
    """Say how hypothesis looks for counterexamples.

    Every day a failure must be found again: examples come from the test's name, not from chance.
    The nightly run searches further: IKELAB_EXAMPLES is how many examples each property gets.
    """
    from hypothesis import HealthCheck, settings

    examples = int(os.environ.get("IKELAB_EXAMPLES", "0"))
    settings.register_profile(
        "ikelab",
        derandomize=not examples,
        max_examples=examples or 100,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ikelab")
