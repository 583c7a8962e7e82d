# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of what takes long, on the terminal that the user looks at."""

from __future__ import annotations

import contextlib
import os

import pytest

from harness.machine.progress import Progress, State


def shown(config: pytest.Config) -> Progress:
    """What shows the begin and the end of a step, from a worker of xdist too."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def show(step: str, state: State, seconds: float) -> None:
        took = f" ({seconds:.1f} s)" if state in ("done", "failed", "interrupted") else ""
        line = f"  {step}: {state}{took}"
        if reporter is not None:
            # A step of a run that is under way is shown now, and not with what the run printed.
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                reporter.ensure_newline()
                reporter.write_line(line)
        elif capture is not None and state != "waiting":
            # A worker has no terminal of its own, but the error output of the one that has.
            with capture.global_and_fixture_disabled():
                os.write(2, f"{line}\n".encode())

    return show
