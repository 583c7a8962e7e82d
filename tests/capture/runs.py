# SPDX-License-Identifier: GPL-2.0-or-later
"""Real runs in the lab, made once for all tests of a session, and what is in them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness.capture.captured import Captured, load
from harness.capture.decryption import Decryption, decrypt
from harness.capture.secrets import Reading
from harness.capture.strongswan_log import read_log
from tests.cli.commands import ikelab

RECORDED = Path(__file__).with_name("runs_to_record.py")
RUNS = ("ikev1-psk", "ikev1-certificates", "ikev2-psk", "ikev2-certificates", "ikev2-kernel")


class Runs:
    """The runs of `runs_to_record`, by their scenario's name; two charons rekey, and end."""

    def __init__(self, runs: Iterable[Made]) -> None:
        self.runs = {one.scenario: one for one in runs}

    def folder(self, run: str) -> Path:
        one = self.runs[run]
        assert one.outcome == "pass", one.reason
        return one.folder

    def log(self, run: str, node: str = "moon") -> str:
        """A charon's log of its keys."""
        return (self.folder(run) / node / "charon-keys.log").read_text()

    @cache  # noqa: B019 - there is one for the session
    def captured(self, run: str) -> Captured:
        return load(self.folder(run) / "capture.pcapng")

    @cache  # noqa: B019
    def keys(self, run: str, node: str = "moon") -> Reading:
        return read_log(self.folder(run) / node / "charon-keys.log")

    @cache  # noqa: B019
    def decrypted(self, run: str, node: str = "moon") -> Decryption:
        """The run decrypted with the log of one end alone."""
        return decrypt(self.captured(run).frames, self.keys(run, node).secrets)


class Made(NamedTuple):
    """A run that was made for this session: of which scenario, what came of it, and its folder."""

    scenario: str
    outcome: str
    reason: str
    folder: Path


def made(shared: Path, name: str, *arguments: str | Path) -> list[Made]:
    """The runs that `ikelab run` makes, for the first process of a session that asks.

    `shared` is a folder that all workers of the session see.
    """
    out = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "done").exists():
            done = ikelab("run", *arguments, "--out", out)
            assert (out / "results.json").exists(), done.stdout
            (out / "done").touch()
    results = json.loads((out / "results.json").read_text())["runs"]
    return [
        Made(one["scenario"], one["outcome"], one["reason"], out / one["artifacts"])
        for one in results
    ]
