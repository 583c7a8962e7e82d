# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine without /dev/net/tun, as a container often is: the lab kernel has its own."""

import os
import subprocess
from pathlib import Path

from tests.cli.commands import command
from tests.plugin.folder import results

PASS, FAIL = 0, 1


def without_tun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `ikelab` where the device is not to be seen."""
    script = 'mount -t tmpfs tmpfs /dev/net && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command(*arguments)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=dict(os.environ),
    )


def test_a_scenario_that_could_run_on_the_host_runs_in_the_lab_kernel(tmp_path: Path) -> None:
    done = without_tun("run", "delete-ike", "--out", tmp_path)
    assert done.returncode == PASS, done.stdout
    (told,) = results(tmp_path).values()
    assert (told["outcome"], told["kernel"]) == ("pass", "debian-6.1")


def test_the_hosts_kernel_is_refused_for_the_reason(tmp_path: Path) -> None:
    done = without_tun("run", "delete-ike", "--kernel", "host", "--out", tmp_path)
    assert done.returncode == FAIL
    (told,) = results(tmp_path).values()
    assert told["outcome"] == "not-run"
    assert told["reason"].startswith("the kernel lacks tun: /dev/net/tun: No such file")
    assert "Traceback" not in done.stdout


def test_the_doctor_says_that_wires_are_only_in_the_lab_kernel() -> None:
    done = without_tun("doctor")
    (line,) = [line for line in done.stdout.splitlines() if "host kernel: tun" in line]
    assert line.startswith("no ")
    assert line.endswith("no wires on the host; the lab kernel has them")
    assert done.returncode == PASS
