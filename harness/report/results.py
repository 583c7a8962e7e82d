# SPDX-License-Identifier: GPL-2.0-or-later
"""`results.json`: what came out of every run, in one file that is whole at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

SCHEMA = 1
FILE = "results.json"
REPLAY = "replay.json"
"""What of a run's folder says how to run it again."""

Outcome = Literal["pass", "unsupported", "not-run", "fail", "lost"]

# From best to worst: of the phases of a run the worst decides.
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Run:
    """One run of a scenario. `wall_s` is in seconds of the wall's clock, `lab_s` of the lab's.

    `claim` is what the scenario says that holds, `rfc` the section that demands it.
    `data_planes` says who did ESP at each end. `artifacts` is the run's folder, relative to the
    file; `excused` are the oracles that the scenario opted out of, with its reasons. `diagnosis`
    says why negotiations of the run failed, as `diagnosis.json` of its folder does. `rules` are
    what a scenario looked at one by one, each with what came of it: ``pass``, or a sentence.
    """

    scenario: str
    peers: Mapping[str, str]
    kernel: str
    clock: str
    seed: int | None
    outcome: Outcome
    reason: str
    wall_s: float
    lab_s: float | None
    artifacts: str
    claim: str = ""
    rfc: str = ""
    data_planes: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    diagnosis: Sequence[Mapping[str, Any]] = ()


def write_results(folder: Path, runs: Iterable[Run]) -> Path:
    """Write `results.json` into a folder and return its path; it is replaced as a whole.

    Raises OSError, with what was there before still in place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE
    partial = target.with_name(f".{FILE}.{os.getpid()}")
    document = {"schema": SCHEMA, "runs": [asdict(run) for run in runs]}
    try:
        partial.write_text(json.dumps(document, indent=1) + "\n")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def read_seconds(folder: Path) -> dict[str, float]:
    """How long each run took that `results.json` of a folder tells of, by its own folder's name.

    Empty where there is no such file, or where it is not one of ours: it is a hint, no more.
    """
    try:
        runs = json.loads((folder / FILE).read_text())["runs"]
        return {run["artifacts"]: float(run["wall_s"]) for run in runs}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def exit_status(runs: Iterable[Run], strict: bool = False) -> int:
    """0 when all that ran passed, 1 when a run failed, 3 when one was lost to the infrastructure.

    Nothing that passed is a failure too: an empty set of passes proves nothing. With `strict`,
    *unsupported* and *not-run* are failures.
    """
    outcomes = [run.outcome for run in runs]
    if "lost" in outcomes:
        return 3
    unproven = strict and any(outcome in ("unsupported", "not-run") for outcome in outcomes)
    return 1 if "fail" in outcomes or unproven or "pass" not in outcomes else 0
