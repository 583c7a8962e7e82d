# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress of what takes long, on the terminal that the user looks at."""

from __future__ import annotations

import pytest

from harness.machine.progress import Progress, State, silent


def shown(config: pytest.Config) -> Progress:
    """What shows the begin and the end of a step; nothing does in a worker of xdist."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return silent

    def show(step: str, state: State, seconds: float) -> None:
        took = f" ({seconds:.1f} s)" if state in ("done", "failed") else ""
        reporter.ensure_newline()
        reporter.write_line(f"  {step}: {state}{took}")

    return show
