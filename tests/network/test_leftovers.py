# SPDX-License-Identifier: GPL-2.0-or-later
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from harness.capture.pcapng import read

KINDS = ("net", "mnt", "pid", "uts", "ipc")
PROGRAM = "tests.network.harness_that_is_killed"
ROOT = Path(__file__).parents[2]


def test_a_killed_harness_leaves_its_capture_and_nothing_else(tmp_path: Path) -> None:
    mounts = mounted()
    interfaces = sorted(os.listdir("/sys/class/net"))
    named = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    capture = tmp_path / "capture.pcapng"
    argv = [sys.executable, "-m", PROGRAM, str(capture)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as harness:
        assert harness.stdout is not None
        owned = json.loads(harness.stdout.readline())
        handles = [os.pidfd_open(pid) for pid in owned["pids"]]
        # Held open, so that no other lab on this machine gets the same numbers meanwhile.
        held = [
            os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
            for pid in owned["nodes"]
            for kind in KINDS
        ]
        namespaces = {os.fstat(fd).st_ino for fd in held}
        assert namespaces_in_use() >= namespaces
        harness.send_signal(signal.SIGKILL)
    for handle in handles:
        assert select.select([handle], [], [], 10)[0], "a process outlived its harness"
        os.close(handle)
    assert not namespaces_in_use() & namespaces
    for fd in held:
        os.close(fd)
    assert mounted() == mounts
    assert sorted(os.listdir("/sys/class/net")) == interfaces
    assert (sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []) == named
    kept = read(capture)
    assert kept.problem is None
    assert len(kept.packets) >= owned["frames"] >= 300


def mounted() -> list[str]:
    """The mounts of this mount namespace that a node could have made."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return sorted(line for line in lines if line.split()[2] in ("overlay", "tmpfs", "devpts"))


def namespaces_in_use() -> set[int]:
    """Every namespace that another process is in, or holds open."""
    found = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            # A process that has ended and that nobody has asked about yet holds nothing.
            if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            entries = [*(process / "ns").iterdir(), *(process / "fd").iterdir()]
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                kind, _, number = os.readlink(entry).partition(":[")
                if kind in KINDS:
                    found.add(int(number.rstrip("]")))
    return found
