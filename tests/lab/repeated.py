# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios run twice with one seed, and compared byte for byte.

``python -m tests.lab.repeated [--seed N] [OPTION ...]`` does so with every scenario; what it does
not know is an option of ``ikelab run``. Exit status 0 if all is the same, 1 if not, 3 if a run was
lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.cli.commands import ikelab

PEERS = ("--moon", "strongswan@5.9.8", "--sun", "strongswan@6.0.1")
RESULTS = "results.json"
# What the time on the wall is in.
TIMED = {RESULTS, "junit.xml", "report.html"}
LOST = 3


def runs(out: Path) -> dict[str, dict[str, Any]]:
    """The runs of a session by the name of their folder, without the time of the wall."""
    listed = json.loads((out / RESULTS).read_text())["runs"]
    return {run["artifacts"]: {**run, "wall_s": None} for run in listed}


def differences(first: Path, again: Path) -> Iterator[str]:
    """Yield a line for each file, and each fact of a result, that two sessions differ in."""
    one, other = runs(first), runs(again)
    if list(one) != list(other):
        yield f"the runs: {', '.join(one)} and {', '.join(other)}"
    for name in one.keys() & other.keys():
        for fact, value in one[name].items():
            if value != other[name][fact]:
                yield f"{name}: {fact}: {value!r} and {other[name][fact]!r}"
    files = sorted({path for out in (first, again) for path in _files(out)})
    for path in files:
        if path.name not in TIMED and _content(first / path) != _content(again / path):
            yield f"{path}: the contents differ"


def _files(out: Path) -> Iterator[Path]:
    return (path.relative_to(out) for path in out.rglob("*") if path.is_file())


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything twice and say what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.repeated")
    parser.add_argument("--seed", default="7")
    options, further = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        # The second time in another number of processes: that must not matter.
        for out, jobs in (("first", "2"), ("again", "1")):
            done = ikelab(
                *("run", *PEERS, "--both-ways", "--seed", options.seed, "--jobs", jobs),
                *("--out", Path(name) / out, *further),
            )
            print(done.stdout, flush=True)
            if done.returncode >= LOST:
                return LOST
        found = list(differences(Path(name) / "first", Path(name) / "again"))
        count = len(runs(Path(name) / "first"))
    for line in found:
        print(line)
    print(f"{count} runs twice: {f'{len(found)} differences' if found else 'the same bytes'}")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
