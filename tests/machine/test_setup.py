# SPDX-License-Identifier: GPL-2.0-or-later
"""A set-up that is ended while it builds images leaves no process, no mount and no half image."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE, alive, descendants, until

# A network in which every question for a name goes out, and nothing ever comes back.
SILENT_NETWORK = """
ip link add silent type veth peer name nobody
ip link set nobody up
ip link set silent up
ip addr add 192.0.2.1/24 dev silent
ip neigh add 192.0.2.53 lladdr 02:00:00:00:00:53 dev silent
mount --bind "$1" /etc/resolv.conf
shift
exec "$@"
"""


def building(family: set[tuple[int, str]]) -> list[int]:
    """Those of the processes that are a mmdebstrap."""
    found = []
    for pid, _ in family:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"bin/mmdebstrap") for word in words[:2]):
            found.append(pid)
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_set_up_that_is_ended_takes_along_what_builds_its_images(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    names = tmp_path / "resolv.conf"
    names.write_text("nameserver 192.0.2.53\noptions timeout:30 attempts:5\n")
    cache = tmp_path / "cache"
    mounts = Path("/proc/self/mountinfo").read_text()
    inside = ["unshare", "--net", "--mount", "sh", "-ec", SILENT_NETWORK, "sh", str(names)]
    setup = subprocess.Popen(
        [*inside, sys.executable, "-m", "harness.machine.setup"],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "IKELAB_CACHE": str(cache), "IKELAB_CACHE_SHARED": ""},
        # A shell ignores Ctrl-C for what it puts into the background, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: len(building(descendants(setup.pid))) >= 2, "two images are being built")
    family = descendants(setup.pid)
    # To this one process: from a terminal an interrupt reaches all of them.
    os.kill(setup.pid, number)
    said, _ = setup.communicate(timeout=PATIENCE)
    assert setup.returncode == status
    until(lambda: not alive(family), f"still there: {alive(family)}")
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not list(cache.glob("*/[!.]*"))
    if number == signal.SIGINT:
        assert said == "ci/setup: interrupted; what was made is kept, what was half made is not.\n"
        assert not list(cache.glob("*/.part-*"))
