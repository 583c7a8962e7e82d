# SPDX-License-Identifier: GPL-2.0-or-later
"""Under the virtual clock equal seeds give equal bytes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import ikelab
from tests.lab.repeated import PEERS, differences, runs

pytestmark = pytest.mark.xdist_group("determinism")

# Certificates, a starter, and keys by hand; ci/nightly takes every scenario.
SCENARIOS = ("net2net-rekey-psk", "net2net-rekey-native", "manual-rekey-hitless")
REKEYED = SCENARIOS[0]


def run(out: Path, seed: int, *arguments: str) -> Path:
    """Run scenarios in the lab kernel; the folder of their evidence."""
    done = ikelab("run", *arguments, *PEERS, "--seed", str(seed), "--out", out)
    assert done.returncode == 0, done.stdout
    return out


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("first"), 7, *SCENARIOS, "--jobs", "1")


def evidence(out: Path, scenario: str) -> Path:
    (folder,) = (out / name for name, told in runs(out).items() if told["scenario"] == scenario)
    return folder


def test_one_seed_gives_the_same_bytes_in_however_many_processes(
    first: Path, tmp_path: Path
) -> None:
    again = run(tmp_path, 7, *SCENARIOS, "--jobs", "2")
    assert list(differences(first, again)) == []
    names = {path.name for path in evidence(first, REKEYED).iterdir()}
    assert names >= {"capture.pcapng", "sad.json", "events.jsonl", "replay.json", "ladder.txt"}


def test_another_seed_gives_other_bytes(first: Path, tmp_path: Path) -> None:
    other = evidence(run(tmp_path, 8, REKEYED), REKEYED)
    for name in ("capture.pcapng", "sad.json"):
        assert (other / name).read_bytes() != (evidence(first, REKEYED) / name).read_bytes(), name


def test_a_run_is_replayed_byte_for_byte(first: Path) -> None:
    done = ikelab("replay", evidence(first, REKEYED))
    assert done.returncode == 0, done.stdout
    assert "the capture is the same, byte for byte" in done.stdout


def test_a_difference_is_found_in_any_file_and_any_fact(first: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(first, other)
    assert list(differences(first, other)) == []
    (evidence(other, REKEYED) / "moon" / "charon.log").write_text("another")
    (evidence(other, REKEYED) / "ladder.txt").unlink()
    document = json.loads((other / "results.json").read_text())
    document["runs"][0] |= {"lab_s": -1, "wall_s": -1}
    (other / "results.json").write_text(json.dumps(document))
    found = list(differences(first, other))
    assert len(found) == 3
    assert any("lab_s: " in line for line in found)
    assert any(line.endswith("moon/charon.log: the contents differ") for line in found)
    assert any(line.endswith("ladder.txt: the contents differ") for line in found)
