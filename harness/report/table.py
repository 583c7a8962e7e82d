# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of a session's runs on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.results import OUTCOMES, Outcome, Run

PASS: Outcome = "pass"
STYLES: Mapping[Outcome, str] = {
    "pass": "green",
    "fail": "bold red",
    "unsupported": "yellow",
    "not-run": "yellow",
    "lost": "bold magenta",
}


def print_table(runs: Iterable[Run], file: TextIO, *, colour: bool, width: int) -> None:
    """Print one line a run, and the count of each outcome, into `file`, `width` columns wide."""
    listed = list(runs)
    console = Console(
        file=file, width=width, force_terminal=colour, no_color=not colour, highlight=False
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("scenario", "peers", "ESP", "kernel", "verdict"):
        table.add_column(heading, overflow="fold")
    for heading in ("wall", "lab"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in listed:
        lab = f"{run.lab_s:.1f} s" if run.lab_s is not None else ""
        table.add_row(
            run.scenario,
            " - ".join(run.peers.values()),
            " - ".join(dict.fromkeys(_in_order(run))),
            run.kernel,
            Text(run.outcome, style=STYLES[run.outcome]),
            f"{run.wall_s:.1f} s",
            lab,
        )
    console.print(table)
    reasons = Counter(
        f"{run.outcome}: {run.scenario}: {run.reason}" for run in listed if run.reason
    )
    for reason, count in reasons.items():
        times = f" ({count} runs)" if count > 1 else ""
        console.print(Text(f"{reason}{times}"), soft_wrap=True)
    for run in listed:
        peers = " - ".join(run.peers.values())
        for rule, verdict in run.rules.items():
            if verdict != PASS:
                console.print(Text(f"{run.scenario}: {peers}: {rule}: {verdict}"), soft_wrap=True)
    counts = Counter(run.outcome for run in listed)
    words = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]]
    number = "1 run" if len(listed) == 1 else f"{len(listed)} runs"
    console.print(f"{number}: {', '.join(words)}")


def _in_order(run: Run) -> list[str]:
    """The data planes in the order of the peers."""
    return [run.data_planes[node] for node in run.peers if node in run.data_planes]
