# SPDX-License-Identifier: GPL-2.0-or-later
"""How long runs take: to the first ping on the host and in the lab kernel, and an hour of rekeys.

The host's figure is the real thing beside which the lab kernel's stands; the hour's is real time.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = Path(__file__).parent / "runs"
PEERS = ("--moon", "strongswan@5.9.8", "--sun", "strongswan@6.0.1")
KERNEL = "debian-6.1"


def run(scenario: str, kernel: str, out: Path) -> dict[str, object]:
    """The one run of a scenario, as results.json has it."""
    command = [sys.executable, "-m", "harness.cli", "run", scenario, "--folder", str(RUNS)]
    command += [*PEERS, "--kernel", kernel, "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (only,) = json.loads((out / "results.json").read_text())["runs"]
    assert only["outcome"] == "pass", only["reason"]
    return dict(only)


def seconds(scenario: str, kernel: str, out: Path, times: int) -> float:
    """The median wall time of a run, after one that makes what was never made."""
    run(scenario, kernel, out)
    return statistics.median(float(run(scenario, kernel, out)["wall_s"]) for _ in range(times))  # type: ignore[arg-type]


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.monotonic()
        host = seconds("first-ping", "host", out, 5)
        lab = seconds("first-ping", KERNEL, out, 5)
        hour = run("hour-of-rekeys", KERNEL, out)
    wall, inside = float(hour["wall_s"]), float(hour["lab_s"])  # type: ignore[arg-type]
    print(f"{'what':<42} {'wall':>8} {'ratio':>22}")
    print(f"{'moon/sun to the first ping, host':<42} {host:>6.2f} s")
    print(
        f"{'moon/sun to the first ping, lab kernel':<42} {lab:>6.2f} s {lab / host:>12.1f} x host"
    )
    print(f"{'an hour of rekeys every 5 s, lab kernel':<42} {wall:>6.2f} s"
          f" {inside / wall:>12.0f} x real time")  # fmt: skip
    print(f"measured in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
