# SPDX-License-Identifier: GPL-2.0-or-later
"""A run on the host is run again from its folder; one that cannot be is a sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import ikelab
from tests.plugin.folder import results

PASS, USAGE = 0, 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the host."""
    out = tmp_path_factory.mktemp("out")
    done = ikelab(
        *("run", "auth-failure", "--moon", "strongswan@5.9.8+userspace"),
        *("--kernel", "host", "--out", out),
    )
    assert done.returncode == PASS, done.stdout
    (told,) = results(out).values()
    return Path(out / told["artifacts"])


def changed(run: Path, place: Path, **changes: Any) -> Path:
    """A copy of the run's folder with another record in it."""
    copy = place / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "replay.json").read_text())
    (copy / "replay.json").write_text(json.dumps({**record, **changes}))
    return copy


def test_a_run_on_the_host_is_run_again_and_compared(run: Path) -> None:
    done = ikelab("replay", run)
    assert done.returncode == PASS, done.stdout
    assert "(on the host nothing is the same twice)" in done.stdout
    (told,) = results(run / "replay").values()
    assert (told["scenario"], told["outcome"]) == ("auth-failure", "pass")
    assert told["peers"] == {"moon": "strongswan@5.9.8", "sun": "strongswan@6.0.1"}
    assert told["data_planes"] == {"moon": "userspace", "sun": "userspace"}
    record = (run / "replay.json").read_bytes()
    assert json.loads(record)["peers"]["moon"] == "strongswan@5.9.8+userspace"
    (again,) = (run / "replay").glob("*/replay.json")
    assert again.read_bytes() == record


def test_the_evidence_goes_where_it_is_told_to(run: Path, tmp_path: Path) -> None:
    done = ikelab("replay", run, "--out", tmp_path / "again")
    assert done.returncode == PASS, done.stdout
    assert len(results(tmp_path / "again")) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"peers": {"moon": "racoon@1", "sun": "ip-xfrm"}}, "there is no peer 'racoon@1'; there"),
        ({"kernel": "debian-9"}, "--kernel debian-9: there is no such kernel; there is auto"),
        ({"kernel": "debian-6.1", "seed": -1}, "--seed -1: a seed is a whole number from 0"),
        ({"kernel": "debian-6.1", "seed": "x"}, "argument --seed: invalid int value: 'x'"),
        ({"clock": "lunar"}, "argument --clock: invalid choice: 'lunar'"),
        (
            {"nodeid": "scenarios/none.py::test"},
            "in scenarios/none.py, which is not in",
        ),
        ({"nodeid": "none.py::test"}, "; say where its scenarios are with --folder"),
        ({"nodeid": 5}, "this is not what a run writes"),
        ({"peers": [1]}, "this is not what a run writes"),
        ({"schema": 99}, "this is of schema 99, and this version reads 1"),
    ],
)
def test_a_record_that_cannot_be_run_is_a_sentence(
    run: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    done = ikelab("replay", changed(run, tmp_path, **changes))
    assert done.returncode == USAGE, done.stdout
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


def test_a_damaged_capture_does_not_keep_a_run_from_being_run_again(
    run: Path, tmp_path: Path
) -> None:
    copy = changed(run, tmp_path)
    (copy / "capture.pcapng").write_bytes(b"no capture at all")
    done = ikelab("replay", copy)
    assert done.returncode == PASS, done.stdout
    assert "replay: the captures differ" in done.stdout
    assert "Traceback" not in done.stdout
