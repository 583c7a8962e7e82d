# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report says beside passed, failed and skipped: the run's facts and its verdict."""

from __future__ import annotations

import errno
from typing import Any, Literal

import pytest

from harness.capture.recording import RecordingFailed
from harness.machine.errors import MachineError
from harness.network.wires import FramesLost
from harness.peers.contract import Unsupported
from harness.plugin.fixtures import LAB
from harness.plugin.packing import POSITION
from harness.plugin.runs import plan_of, run_folder, run_name, seated
from harness.plugin.selection import peers_of, scenario_of

PROPERTY = "ikelab"
"""The user property of a report that holds its note."""

INFRASTRUCTURE = (MachineError, RecordingFailed, FramesLost)
"""What says that the harness could not do its part: nothing was found out of the peers."""

Verdict = Literal["pass", "fail", "unsupported", "not-run", "lost"]


def note_on(
    item: pytest.Item, report: pytest.TestReport, error: BaseException | None
) -> dict[str, Any]:
    """The facts of the run and the verdict of this phase of it, as plain values."""
    facts = scenario_of(item)
    where = plan_of(item)
    lab = item.stash.get(LAB, None)
    return {
        "scenario": facts.name if facts else None,
        "claim": facts.sentence if facts else "",
        "rfc": facts.rfc if facts else "",
        "peers": seated(item, (lab.peers if lab else {}) or peers_of(item)),
        "kernel": where.kernel,
        "clock": where.clock,
        "seed": where.seed,
        "data_planes": dict(lab.data_planes) if lab else {},
        "outcome": verdict_of(report, error),
        "reason": reason_of(item, report, error),
        "excused": dict(lab.excused) if lab else {},
        "rules": dict(lab.rules) if lab else {},
        "folder": run_name(item),
        "position": item.stash.get(POSITION, 0),
    }


def verdict_of(report: pytest.TestReport, error: BaseException | None) -> Verdict:
    """The verdict that one phase of a run comes to."""
    if report.passed:
        return "pass"
    if isinstance(error, Unsupported):
        return "unsupported"
    if isinstance(error, INFRASTRUCTURE) or _has_no_room(error):
        # Whatever else the scenario found, what it rests on is not complete.
        return "lost"
    return "not-run" if report.skipped else "fail"


def reason_of(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> str:
    """Why it is not a pass, in one line."""
    if report.passed or error is None:
        return ""
    if isinstance(error, OSError) and _has_no_room(error):
        return cannot_keep(item, error)
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0]
    if isinstance(error, (AssertionError, Unsupported, *INFRASTRUCTURE)):
        return first
    return f"{type(error).__name__}: {first}"


def cannot_keep(item: pytest.Item, error: OSError) -> str:
    """One sentence on evidence of a run that could not be written."""
    where = error.filename or run_folder(item)
    return (
        f"{where}: the evidence cannot be written: {error.strerror}; "
        "make room, or choose another folder with --out"
    )


def _has_no_room(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
