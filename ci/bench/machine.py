# SPDX-License-Identifier: GPL-2.0-or-later
"""From the call to a test's first instruction in the lab kernel, beside a cold boot, same run.

    python ci/bench/machine.py [RUNS]

The cold row is what one would wait without snapshots: the same guest booted, everything
imported, the item run, from the same images. The warm rows restore the snapshot RUNS times
(default 15). Prints a table of seconds; exits 1 when even the quickest of the restored guests
takes more than half a second to the first instruction. The processor time, QEMU's and the
harness's together, tells a slow harness from a busy machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from harness.machine.cache import Cache, locate
from harness.machine.job import Job, Result
from harness.machine.labkernel import LabKernel, Settings, open_lab_kernel
from harness.machine.project import ProjectTree

DEMANDED_S = 0.5
WORD = b"first instruction"
ITEM = f"""
import os
def test_first():
    os.write(os.open("/dev/console", os.O_WRONLY), {WORD + bytes([10])!r})
"""


def first_instruction(lab: LabKernel, job: Job) -> tuple[float, Result]:
    """Return the seconds from the call until the item's word was on the console, and the result."""
    began = time.monotonic()
    seen: list[float] = []
    done = threading.Event()
    runs = lab.cache.root / "runs"
    known = set(runs.iterdir())

    def look() -> None:
        while not done.is_set():
            for folder in set(runs.iterdir()) - known:
                try:
                    if WORD in (folder / "console").read_bytes():
                        seen.append(time.monotonic() - began)
                        return
                except OSError:
                    pass
            time.sleep(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()
    result = lab.run(job)
    done.set()
    watcher.join()
    if not seen:
        raise SystemExit("the item never said its word; nothing was measured")
    return seen[0], result


def processor_time() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def row(name: str, values: Sequence[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{name:<44} {low:8.3f} {middle:8.3f} {high:8.3f}"


def main(arguments: Sequence[str]) -> int:
    runs = int(arguments[0]) if arguments else 15
    with tempfile.TemporaryDirectory() as name:
        rootdir = Path(name) / "rootdir"
        rootdir.mkdir()
        (rootdir / "test_one.py").write_text(ITEM)
        settings = Settings(ProjectTree(rootdir, ("test_one.py",)), warm=("test_one.py",))
        job = Job("test_one.py::test_first")
        # Images and packages are there in both cases: only the guest is compared.
        open_lab_kernel(settings, locate())
        cold_cache = Cache(Path(name) / "cache", shared=(locate().root,))
        began = time.monotonic()
        lab = open_lab_kernel(settings, cold_cache)
        opened = time.monotonic() - began
        cold = opened + first_instruction(lab, job)[0]

        firsts, restores, walls, processor = [], [], [], []
        for _ in range(runs):
            before = processor_time()
            first, result = first_instruction(lab, job)
            processor.append(processor_time() - before)
            firsts.append(first)
            restores.append(result.restore_s)
            walls.append(result.wall_s)
    middle = statistics.median(firsts)
    print(f"{'seconds':<44} {'least':>8} {'median':>8} {'most':>8}")
    print(row("cold boot to the first instruction", [cold]))
    print(row("restore until the guest runs", restores))
    print(row("restore to the first instruction", firsts))
    print(row("restore to the result", walls))
    print(row("processor time of all that", processor))
    print(f"a restore is {cold / middle:.0f} times as fast as a boot")
    if min(firsts) > DEMANDED_S:
        print(f"the first instruction may take {DEMANDED_S} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
