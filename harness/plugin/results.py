# SPDX-License-Identifier: GPL-2.0-or-later
"""Collects the verdicts of a session where it is led from, and writes them as they come."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.capture.ladder import ANSI, PLAIN
from harness.capture.presentation import CAPTURE, ladder_of
from harness.capture.wrapping import columns_of, wrapped
from harness.report.page import write_report
from harness.report.results import OUTCOMES, REPLAY, Run, exit_status, write_results
from harness.report.table import print_table
from harness.verdict.diagnosis.evidence import read_diagnoses, text_of
from harness.verdict.diagnosis.text import MARK

PROPERTY = "ikelab"
WIDTH = 150
"""Columns of the table where there is no terminal, or a narrow one: no name is broken then."""
LONGEST_LADDER = 200
"""Lines of a ladder that are printed."""


class Results:
    """A pytest plugin of the controlling process: one `Run` for each item that is a scenario.

    `home` is where the project's own scenarios are.
    """

    def __init__(self, out: Path, home: Path, ladders: bool = False) -> None:
        self.out = out
        self.home = home
        self.ladders = ladders
        self._runs: dict[str, Run] = {}
        self.problem = ""
        self._reports: dict[str, list[pytest.TestReport]] = {}
        self._order: dict[str, int] = {}
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, to be able to stop it."""
        self._session = session

    @property
    def runs(self) -> list[Run]:
        """The runs that have ended, in the order in which one process would run them."""
        ended = sorted(self._runs, key=lambda nodeid: self._order[nodeid])
        return [self._runs[nodeid] for nodeid in ended]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of an item until it is done."""
        self._reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Turn an item's reports into a run, and write all runs, so that none can be lost."""
        reports = self._reports.pop(nodeid, [])
        run = _run(reports)
        if run is None:
            return
        self._order[nodeid] = _notes(reports)[0]["position"]
        if run.outcome in ("pass", "fail"):
            run = replace(run, diagnosis=read_diagnoses(self.out / run.artifacts))
        self._runs[nodeid] = run
        try:
            write_results(self.out, self.runs)
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        """End the session: without its results it is lost."""
        self.problem = (
            f"{self.out}: the results cannot be written: {error.strerror}; "
            "make room, or choose another folder with --out"
        )
        if self._session is not None:
            self._session.shouldstop = self.problem

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """Exit with what the verdicts come to, when it was runs that made the session."""
        try:
            yield
            if self.runs:
                write_report(self.out, self.runs)
        except OSError as error:
            # Others write too: the file for JUnit.
            self._stop(error)
        ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self.problem:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        elif self.runs and exitstatus in ended:
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
            width=max(reporter._tw.fullwidth, WIDTH),
        )
        reporter.write_line(f"evidence: {self.out}, with results.json and report.html")
        if self.problem:
            reporter.write_line(self.problem)
        for line in self._again(reporter.config):
            reporter.write_line(line)
        for run in self.runs:
            self._show_diagnosis(reporter, run)
        if self.ladders or len(self.runs) == 1:
            for run in self.runs:
                self._show_ladder(reporter, run)

    def _again(self, config: pytest.Config) -> Iterator[str]:
        """The commands that run again what failed, where it can be."""
        further = (
            () if config.rootpath == self.home else ("--folder", os.path.relpath(config.rootpath))
        )
        for run in self.runs:
            folder = self.out / run.artifacts
            if run.outcome == "fail" and (folder / REPLAY).exists():
                command = ("ikelab", "replay", os.path.relpath(folder), *further)
                yield f"again: {shlex.join(command)}"

    def _show_diagnosis(self, reporter: pytest.TerminalReporter, run: Run) -> None:
        """Say why negotiations of a run failed; of many runs, for those that are no pass."""
        if not run.diagnosis or (run.outcome == "pass" and len(self.runs) > 1):
            return
        reporter.section(f"{run.scenario}: why it was not agreed on", sep="-")
        for line in text_of(self.out / run.artifacts).splitlines():
            reporter.write_line(line, red=line.lstrip().startswith(MARK))

    def _show_ladder(self, reporter: pytest.TerminalReporter, run: Run) -> None:
        """Show what was on the wires of a run, if anything was recorded."""
        folder = self.out / run.artifacts
        if not (folder / CAPTURE).exists():
            return
        reporter.section(f"{run.scenario}: {' - '.join(run.peers.values())}", sep="-")
        lines = list(ladder_of(folder, ANSI if reporter.hasmarkup else PLAIN))
        columns = columns_of(reporter._tw._file)
        for line in lines[:LONGEST_LADDER]:
            for piece in wrapped(line, columns):
                reporter.write_line(piece)
        if len(lines) > LONGEST_LADDER:
            more = len(lines) - LONGEST_LADDER
            reporter.write_line(f"{more} more lines are in {folder / 'ladder.txt'}")


def _notes(reports: list[pytest.TestReport]) -> list[dict[str, Any]]:
    notes = (dict(report.user_properties).get(PROPERTY) for report in reports)
    return [note for note in notes if isinstance(note, dict)]


def _run(reports: list[pytest.TestReport]) -> Run | None:
    known = _notes(reports)
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
        claim=latest.get("claim", ""),
        rfc=latest.get("rfc", ""),
        data_planes=latest.get("data_planes", {}),
        excused=latest.get("excused", {}),
        rules=latest.get("rules", {}),
    )
