# SPDX-License-Identifier: GPL-2.0-or-later
"""Collects the verdicts of a session where it is led from, and writes them as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.capture.ladder import ANSI, PLAIN
from harness.capture.presentation import CAPTURE, ladder_of
from harness.report.results import OUTCOMES, Run, exit_status, write_results
from harness.report.table import print_table

PROPERTY = "ikelab"


class Results:
    """A pytest plugin of the controlling process: one `Run` for each item that is a scenario."""

    def __init__(self, out: Path, ladders: bool = False) -> None:
        self.out = out
        self.ladders = ladders
        self.runs: list[Run] = []
        self._reports: dict[str, list[pytest.TestReport]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of an item until it is done."""
        self._reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Turn an item's reports into a run, and write all runs, so that none can be lost."""
        run = _run(self._reports.pop(nodeid, []))
        if run is None:
            return
        self.runs.append(run)
        try:
            write_results(self.out, self.runs)
        except OSError as error:
            raise pytest.UsageError(
                f"{self.out}: the results cannot be written: {error.strerror}; "
                "make room, or choose another folder with --out"
            ) from error

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Exit with what the verdicts come to, when it was runs that made the session."""
        ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self.runs and exitstatus in ended:
            status = exit_status(self.runs, session.config.option.ikelab_strict)
            if status == 3 or exitstatus == pytest.ExitCode.OK:
                session.exitstatus = status

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table of all runs, last, where it is looked for."""
        if not self.runs:
            return
        reporter = terminalreporter
        reporter.section("runs", sep="=")
        reporter.flush()
        print_table(
            self.runs,
            reporter._tw._file,
            colour=reporter.hasmarkup,
            width=max(reporter._tw.fullwidth, 100),
        )
        reporter.write_line(f"evidence: {self.out}, results: {self.out / 'results.json'}")
        if self.ladders or len(self.runs) == 1:
            for run in self.runs:
                self._show_ladder(reporter, run)

    def _show_ladder(self, reporter: pytest.TerminalReporter, run: Run) -> None:
        """Show what was on the wires of a run, if anything was recorded."""
        folder = self.out / run.artifacts
        if not (folder / CAPTURE).exists():
            return
        reporter.section(f"{run.scenario}: {' - '.join(run.peers.values())}", sep="-")
        for line in ladder_of(folder, ANSI if reporter.hasmarkup else PLAIN):
            reporter.write_line(line)


def _run(reports: list[pytest.TestReport]) -> Run | None:
    notes = [(dict(report.user_properties).get(PROPERTY), report) for report in reports]
    known: list[dict[str, Any]] = [note for note, _ in notes if isinstance(note, dict)]
    if not known or known[0]["scenario"] is None:
        return None
    worst = max(known, key=lambda note: OUTCOMES.index(note["outcome"]))
    # Before its set-up a run knows less of itself than after.
    latest = {name: value for note in known for name, value in note.items() if value}
    return Run(
        scenario=worst["scenario"],
        peers=latest.get("peers", {}),
        kernel=worst["kernel"],
        clock=worst["clock"],
        seed=worst["seed"] if worst["kernel"] != "host" else None,
        outcome=worst["outcome"],
        reason=worst["reason"],
        wall_s=latest.get("wall_s", round(sum(report.duration for report in reports), 3)),
        lab_s=latest.get("lab_s"),
        artifacts=worst["folder"],
        data_plane=latest.get("data_plane"),
        excused=latest.get("excused", {}),
    )
