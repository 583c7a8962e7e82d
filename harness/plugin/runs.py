# SPDX-License-Identifier: GPL-2.0-or-later
"""A run: one scenario, with its peers, in one kernel; its name, its folder, its replay."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.capture.presentation import present
from harness.lab.event_log import spell_out
from harness.plugin.options import options_of
from harness.plugin.selection import Plan, front_end_of, peers_of, plan, scenario_of
from harness.report.results import REPLAY
from harness.verdict.diagnosis.evidence import diagnose_run, write_diagnoses

PLAN = pytest.StashKey[Plan]()
SCHEMA = 1
# A file system takes names of 255 octets, and the peers and the kernel need theirs.
LONGEST_ID = 60
DIAGNOSIS = "diagnosis"
"""The user property of a report, and so of JUnit's file, with the sentence of a diagnosis."""


def plan_of(item: pytest.Item) -> Plan:
    """The plan of an item, made once."""
    if PLAN not in item.stash:
        item.stash[PLAN] = plan(item)
    return item.stash[PLAN]


def seated(item: pytest.Item, peers: Mapping[str, str]) -> dict[str, str]:
    """Peers by their node, in the order of the scenario's parameters and not of their starts."""
    seats = [*getattr(item, "fixturenames", ()), *peers]
    return {node: peers[node] for node in seats if node in peers}


def run_name(item: pytest.Item) -> str:
    """The name of an item's folder: scenario, peers, kernel and seed; no two runs share one.

    A test that is no scenario is called by its file and its name; other parameters follow the
    peers.
    """
    facts = scenario_of(item)
    where = plan_of(item)
    own = f"{item.path.stem}.{item.name.partition('[')[0]}"
    parts = [facts.name if facts else own, *peers_of(item).values()]
    parts += _further_parameters(item)
    parts.append(where.kernel)
    if where.kernel != "host":
        parts.append(f"seed-{where.seed}")
    return re.sub(r"[^\w.@,+-]", "_", ",".join(parts))


def _further_parameters(item: pytest.Item) -> list[str]:
    """What an item's id says beside the peers, as part of a file name."""
    whole = getattr(getattr(item, "callspec", None), "id", "")
    peers = "-".join(peers_of(item).values())
    rest = whole.replace(peers, "", 1).strip("-") if peers else whole
    if len(rest) > LONGEST_ID:
        rest = f"{rest[:LONGEST_ID]}.{hashlib.sha256(rest.encode()).hexdigest()[:8]}"
    return [rest] if rest else []


def run_folder(item: pytest.Item) -> Path:
    """Where the evidence of an item goes; inside a guest there is only one run."""
    options = options_of(item.config)
    return options.out if options.inside is not None else options.out / run_name(item)


def replay_record(item: pytest.Item) -> dict[str, Any]:
    """All that is needed to run an item again, with nothing of this machine or time in it."""
    facts = scenario_of(item)
    where = plan_of(item)
    return {
        "schema": SCHEMA,
        "scenario": facts.name if facts else None,
        "nodeid": item.nodeid,
        "peers": peers_of(item),
        "kernel": where.kernel,
        "clock": where.clock,
        "seed": where.seed,
        "data_plane": options_of(item.config).data_plane,
        "front_end": front_end_of(item),
    }


def clear_folder(item: pytest.Item) -> None:
    """Remove what an earlier run of the same name left: its logs would be taken for those of this.

    Raises OSError.
    """
    folder = run_folder(item)
    if (folder / REPLAY).exists():
        shutil.rmtree(folder)


def write_replay(item: pytest.Item) -> None:
    """Leave `replay.json` in the run's folder, for `ikelab replay`."""
    path = run_folder(item) / REPLAY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(replay_record(item), indent=1, sort_keys=True) + "\n")


def tell(item: pytest.Item) -> list[str]:
    """Leave events in words, ladder, Wireshark profile and diagnosis in the run's complete folder.

    Returns the sentence of each diagnosis.
    """
    folder = run_folder(item)
    try:
        spell_out(folder)
        told = present(folder)
        found = diagnose_run(folder, told.decryption, told.secrets)
        write_diagnoses(folder, found)
    except OSError as error:
        why = f"{folder}: ladder and diagnosis cannot be written: {error.strerror}"
        item.warn(pytest.PytestWarning(why))
        return []
    except Exception as error:
        # The run has its verdict; what peers put onto a wire must not take that away.
        why = f"{folder}: the run could not be explained, which is a fault of ikelab: {error!r}"
        item.warn(pytest.PytestWarning(why))
        return []
    return [one.sentence for one in found]
