# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that is ended from outside leaves its capture, and nothing else."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.capture import pcapng
from tests.cli.commands import command
from tests.processes import PATIENCE, alive, descendants, until


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_leaves_its_capture_and_no_process(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    arguments = ("run", "dpd-dead-peer", "--kernel", "host", "--out", tmp_path)
    log = tmp_path / "terminal"
    with log.open("w") as terminal:
        running = subprocess.Popen(
            command(*arguments),
            stdout=terminal,
            stderr=terminal,
            stdin=subprocess.DEVNULL,
            # A shell ignores Ctrl-C for what it puts into the background, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        (mounts, run) = (Path("/proc/self/mountinfo").read_text(), None)
        until(lambda: bool(list(tmp_path.glob("*/sun/charon.log"))), log.read_text())
        (run,) = tmp_path.glob("dpd-dead-peer*")
        until(lambda: len(pcapng.read(run / "capture.pcapng").packets) > 5, "the tunnel is up")
        family = descendants(running.pid)
        assert len(family) > 6, "the harness, its spawner, four nodes and two daemons"
        os.kill(running.pid, number)
        assert running.wait(PATIENCE) == status
    until(lambda: not alive(family), f"still there: {alive(family)}")
    assert Path("/proc/self/mountinfo").read_text() == mounts
    kept = pcapng.read(run / "capture.pcapng")
    assert kept.problem is None
    assert len(kept.packets) > 5
    said = log.read_text()
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert "ikelab: interrupted; what was recorded until then is kept" in said
