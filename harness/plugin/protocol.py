# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs an item in the kernel of its plan: here, or in a guest whose reports are then replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from harness.machine.errors import Lost, MachineError
from harness.machine.job import Job, Result, from_wire
from harness.plugin.guests import lab_kernel
from harness.plugin.options import options_of
from harness.plugin.packing import POSITION
from harness.plugin.runs import (
    DIAGNOSIS,
    clear_folder,
    plan_of,
    run_folder,
    seated,
    tell,
    write_replay,
)
from harness.plugin.selection import Plan, concerns_lab, front_end_of, peers_of
from harness.plugin.verdicts import PROPERTY, cannot_keep, note_on

UNWRITTEN = pytest.StashKey[MachineError | None]()
DEADLINE = 600.0
"""Seconds of wall time for one guest; a guest that takes longer is lost."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Send an item to the kernel that it needs; None leaves it to pytest."""
    if not concerns_lab(item) or options_of(item.config).inside is not None:
        return None
    where = plan_of(item)
    item.stash[UNWRITTEN] = _leave_replay(item) if not where.missing else None
    if where.kernel == "host" and not (where.missing or item.stash[UNWRITTEN]):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    began = time.time()
    reports = _reported(item, where)
    for report in reports:
        report.start, report.stop = began, began + report.duration
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # Nothing was set up here, but what the item before left for this one may not suit the next.
    item.session._setupstate.teardown_exact(nextitem)
    return True


def _reported(item: pytest.Item, where: Plan) -> Iterable[pytest.TestReport]:
    unwritten = item.stash[UNWRITTEN]
    if unwritten is not None:
        return [_lost(item, unwritten, 0.0)]
    return [_refused(item, where)] if where.kernel == "host" else _in_guest(item, where)


def _in_guest(item: pytest.Item, where: Plan) -> Iterable[pytest.TestReport]:
    began = time.monotonic()
    sentences: list[str] = []
    try:
        result = lab_kernel(item.config, where).run(_job(item, where), DEADLINE)
        if "lab" in getattr(item, "fixturenames", ()):
            result.unpack(run_folder(item))
            sentences = tell(item)
    except MachineError as error:
        return [_lost(item, error, time.monotonic() - began)]
    except OSError as error:
        unwritten = MachineError(cannot_keep(item, error))
        return [_lost(item, unwritten, time.monotonic() - began)]
    uncollected = [data for data in result.reports if data["$report_type"] != "TestReport"]
    if uncollected:
        why = Lost(
            f"{item.nodeid}: it cannot be collected in the lab kernel, where only the folder of the"
            " scenarios, ikelab itself and the packages that it needs are.",
            str(uncollected[0]["longrepr"]),
        )
        return [_lost(item, why, result.wall_s)]
    reports = _reports(item, result)
    if reports:
        reports[-1].user_properties += [(DIAGNOSIS, one) for one in sentences]
    return reports


def _leave_replay(item: pytest.Item) -> MachineError | None:
    """Write what it takes to run an item again, and return why that cannot be kept."""
    if "lab" not in getattr(item, "fixturenames", ()):
        return None
    try:
        clear_folder(item)
        write_replay(item)
    except OSError as error:
        return MachineError(cannot_keep(item, error))
    return None


def _job(item: pytest.Item, where: Plan) -> Job:
    peers = peers_of(item)
    options: dict[str, str | int | None] = {f"ikelab_{role}": name for role, name in peers.items()}
    options["ikelab_both_ways"] = options["ikelab_in_turns"] = 0
    options["ikelab_clock"] = where.clock
    options["ikelab_seed"] = where.seed
    options["ikelab_front_end"] = front_end_of(item)
    options["ikelab_data_plane"] = options_of(item.config).data_plane
    return Job(item.nodeid, options, where.seed)


def _reports(item: pytest.Item, result: Result) -> list[pytest.TestReport]:
    reports = []
    for data in result.reports:
        report = item.config.hook.pytest_report_from_serializable(
            config=item.config, data=from_wire(data, item.config.rootpath)
        )
        # Times of the lab would be taken for times of the wall.
        report.duration = result.wall_s if report.when == "call" else 0.0
        for name, note in report.user_properties:
            if name == PROPERTY:
                note |= {"lab_s": round(result.lab_s, 6), "wall_s": round(result.wall_s, 3)}
                # On its way out of the guest the order was lost.
                note["peers"] = seated(item, note["peers"])
                # Only the host knows the folder, and the other items: in the guest there is one.
                note["folder"] = run_folder(item).name
                note["position"] = item.stash[POSITION]
        reports.append(report)
    return reports


def _lost(item: pytest.Item, error: MachineError, wall_s: float) -> pytest.TestReport:
    tail = error.console_tail.strip() if isinstance(error, Lost) else ""
    report = _report(item, "failed", f"{error}\n{tail}".strip(), wall_s)
    # All of it is with the report; in a line there is room for the end of the end.
    last = f" Its last words: {tail.splitlines()[-1].strip()}" if tail else ""
    note = note_on(item, report, error) | {"outcome": "lost", "reason": f"{error}{last}"}
    report.user_properties.append((PROPERTY, note))
    return report


def _refused(item: pytest.Item, where: Plan) -> pytest.TestReport:
    path, line, _ = item.location
    skipped = (path, line or 0, f"Skipped: not run: {where.missing}")
    report = _report(item, "skipped", skipped, 0.0)
    note = note_on(item, report, None) | {"outcome": "not-run", "reason": where.missing}
    report.user_properties.append((PROPERTY, note))
    return report


def _report(
    item: pytest.Item, outcome: str, longrepr: str | tuple[str, int, str], duration: float
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=longrepr,
        when="call" if outcome == "failed" else "setup",
        duration=duration,
    )
