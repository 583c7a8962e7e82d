# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk without room for the evidence: one sentence, and what was recorded stays readable."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.capture import pcapng
from tests.plugin.folder import environment, results, write_folder

LOST = 3


@dataclass(frozen=True)
class Tried:
    """A session whose evidence was to go onto a small disk; `kept` is a copy of that disk."""

    status: int
    shown: str
    kept: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("somewhere") / "own")


def run_on_small_disk(folder: Path, place: Path, size: str, *arguments: str) -> Tried:
    """Run scenarios one after the other with `--out` on a disk that only they can see."""
    disk, kept = place / "disk", place / "kept"
    disk.mkdir()
    kept.mkdir()
    # The disk is gone with the namespace that it is mounted in, so it is copied in there.
    script = (
        f'mount -t tmpfs -o size={size} tmpfs {disk} && {{ "$@"; status=$?; '
        f"cp -a {disk}/. {kept}/; exit $status; }}"
    )
    ikelab = [sys.executable, "-m", "harness.cli", "run", *arguments, "--jobs", "1"]
    ikelab += ["--folder", str(folder), "--out", str(disk)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *ikelab],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    )
    return Tried(done.returncode, done.stdout, kept)


@pytest.fixture(scope="module")
def filled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """One run that passes, then one while which the disk becomes full."""
    place = tmp_path_factory.mktemp("full")
    return run_on_small_disk(
        folder, place, "1m", "own-pass", "own-filling", "own-fail", "--kernel", "host"
    )


def test_a_disk_that_becomes_full_is_one_sentence_and_the_session_is_lost(filled: Tried) -> None:
    assert filled.status == LOST
    assert "lost: own-filling: the capture " in filled.shown
    assert (
        "disk: the results cannot be written: No space left on device; "
        "make room, or choose another folder with --out"
    ) in filled.shown
    assert "Traceback" not in filled.shown
    assert "INTERNALERROR" not in filled.shown


def test_the_results_that_there_were_are_whole(filled: Tried) -> None:
    told = results(filled.kept)
    assert told["own-fail"]["outcome"] == "fail"
    assert "own-filling" not in told
    partial = [path.name for path in filled.kept.iterdir() if path.name.startswith(".results")]
    assert partial == []


def test_the_capture_is_readable_up_to_where_it_is_cut(filled: Tried) -> None:
    (cut,) = filled.kept.glob("own-filling*/capture.pcapng")
    (record,) = filled.kept.glob("own-filling*/replay.json")
    assert json.loads(record.read_text())["scenario"] == "own-filling"
    kept = pcapng.read(cut)
    assert kept.problem is None
    assert 4 <= len(kept.packets) < 100
    assert f"capture.pcapng ends with frame {len(kept.packets)}: No space left" in filled.shown
    read = subprocess.run(
        ["tshark", "-r", cut, "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == [str(number) for number in range(1, len(kept.packets) + 1)]
    assert "cut short" not in read.stderr


def test_the_evidence_of_the_run_before_is_whole(filled: Tried) -> None:
    (before,) = filled.kept.glob("own-pass*/capture.pcapng")
    assert pcapng.read(before).problem is None
    (sad,) = filled.kept.glob("own-pass*/sad.json")
    assert set(json.loads(sad.read_text())) == {"moon", "sun"}


@pytest.mark.parametrize(
    ("size", "kernel"), [("4k", "host"), ("16k", "host"), ("40k", "host"), ("40k", "debian-6.1")]
)
def test_a_disk_with_no_room_for_a_run_is_one_sentence(
    folder: Path, tmp_path: Path, size: str, kernel: str
) -> None:
    tried = run_on_small_disk(folder, tmp_path, size, "own-pass", "--kernel", kernel)
    assert tried.status == LOST
    assert "lost: own-pass: " in tried.shown
    assert "No space left on device; make room" in tried.shown
    assert "Traceback" not in tried.shown
    assert "INTERNALERROR" not in tried.shown
