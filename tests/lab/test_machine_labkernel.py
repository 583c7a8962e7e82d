# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening lab kernels: several processes at once, another clock, other kernels."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.machine.cache import Cache, locate
from harness.machine.errors import Lost, MachineError
from harness.machine.job import Job
from harness.machine.labkernel import Settings, open_lab_kernel, own_settings
from harness.machine.microvm import JOB_SIZE, OUT_SIZE, Files, Guest, make_hole
from harness.machine.project import ProjectTree
from tests.lab.guests import item, make_rootdir, open_small

ROOT = Path(__file__).parents[2]
WORKER = """
import hashlib, json, sys
from pathlib import Path
from harness.machine.cache import locate
from harness.machine.job import Job
from harness.machine.labkernel import Settings, open_lab_kernel
from harness.machine.project import ProjectTree
from tests.lab.guests import item
said = []
def progress(step, state, seconds):
    said.append((step, state))
settings = Settings(
    ProjectTree(Path(sys.argv[1]), ("checks",)), warm=("checks",)
)
lab = open_lab_kernel(settings, locate(), progress)
result = lab.run(Job(item("test_measures"), seed=5))
print(json.dumps([said, result.status, hashlib.sha256(result.artifacts).hexdigest()]))
"""


def test_of_several_processes_one_makes_the_snapshot_and_all_run_alike(tmp_path: Path) -> None:
    rootdir = make_rootdir(tmp_path / "rootdir")
    # Images and packages come from the cache of the machine; snapshots are made anew.
    environment = {
        **os.environ,
        "IKELAB_CACHE": str(tmp_path / "cache"),
        "IKELAB_CACHE_SHARED": str(locate().root),
        "PYTHONPATH": str(ROOT),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rootdir)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [json.loads(worker.communicate()[0]) for worker in workers]
    assert {(status, digest) for _, status, digest in answers} == {(0, answers[0][2])}
    steps = [tuple(step) for said, _, _ in answers for step in said]
    for step in ("boot of debian-6.1", "warm snapshot of the project"):
        assert steps.count((step, "begun")) == 1
        # Who came late may have found it done, and had nothing to wait for.
        assert steps.count((step, "waiting")) <= 2
    assert steps.count(("boot of debian-6.1", "waiting")) >= 1


def test_under_the_real_clock_time_passes_as_on_the_wall(tmp_path: Path) -> None:
    rootdir = make_rootdir(
        tmp_path,
        {"checks/test_time.py": "import time\ndef test_sleeps():\n    time.sleep(2)\n"},
    )
    lab = open_small(locate(), rootdir, clock="real")
    assert lab.snapshot.vm.accelerator in ("kvm", "tcg")
    result = lab.run(Job("checks/test_time.py::test_sleeps"))
    assert [report["outcome"] for report in result.reports] == ["passed"] * 3
    assert result.wall_s > result.lab_s > 2


@pytest.mark.parametrize("kernel", ["debian-5.10", "debian-6.12"])
def test_each_kernel_has_esp_and_knows_its_name(kernel: str, tmp_path: Path) -> None:
    rootdir = make_rootdir(
        tmp_path,
        {
            "checks/test_kernel.py": """
            import os, subprocess

            def test_esp(request):
                assert request.config.option.ikelab_inside == KERNEL
                assert os.uname().release.startswith(KERNEL.removeprefix("debian-") + ".")
                cbc = "enc 'cbc(aes)' 0x%s auth 'hmac(sha256)' 0x%s" % ("11" * 32, "22" * 32)
                for kind in ("aead 'rfc4106(gcm(aes))' 0x%s 128" % ("11" * 20), cbc):
                    spi = "0x%x" % (len(kind) + 256)
                    subprocess.run(f"ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp "
                                   f"spi {spi} mode tunnel {kind}", shell=True, check=True)
                subprocess.run("ip link add x0 type xfrm if_id 7", shell=True, check=True)
                subprocess.run("tc qdisc add dev lo root netem delay 1ms", shell=True, check=True)
                subprocess.run("nft add table inet lab", shell=True, check=True)
            """.replace("KERNEL", repr(kernel))
        },
    )
    result = open_small(locate(), rootdir, kernel=kernel).run(
        Job("checks/test_kernel.py::test_esp")
    )
    assert [report["outcome"] for report in result.reports] == ["passed"] * 3, result.reports[1]


def test_a_kernel_or_a_peer_of_no_such_name_is_one_sentence(tmp_path: Path) -> None:
    rootdir = make_rootdir(tmp_path)
    with pytest.raises(MachineError, match=r"images: there is no kernel 'bsd'; there are debian-5"):
        open_small(locate(), rootdir, kernel="bsd")
    settings = Settings(ProjectTree(rootdir, ("checks",)), peers=("racoon",))
    with pytest.raises(MachineError, match=r"images: there is no peer 'racoon'; there are"):
        open_lab_kernel(settings, locate())


def test_a_pytest_that_cannot_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    rootdir = make_rootdir(tmp_path, {"conftest.py": "raise RuntimeError('no such thing')\n"})
    with pytest.raises(Lost, match="pytest cannot start in the lab kernel") as caught:
        open_small(locate(), rootdir)
    assert "no such thing" in caught.value.console_tail


def test_a_missing_qemu_is_one_sentence(tmp_path: Path) -> None:
    program = WORKER.replace("print(", "raise SystemExit(").replace(
        "lab = ", "import os; os.environ['PATH'] = '/nowhere'\nlab = "
    )
    rootdir = make_rootdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program, str(rootdir)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == (
        "harness.machine.errors.MachineError: qemu-system-x86_64 is not installed, and the lab "
        "kernel runs in it; have an administrator run: apt-get install qemu-system-x86."
    )


def test_a_snapshot_that_is_damaged_is_lost_and_not_a_hang(tmp_path: Path) -> None:
    lab = open_small(locate(), make_rootdir(tmp_path / "rootdir"))
    state = tmp_path / "state"
    state.write_bytes(lab.snapshot.state.read_bytes()[:20000])
    lab = type(lab)(
        Cache(tmp_path / "cache"),
        type(lab.snapshot)(lab.snapshot.vm, lab.snapshot.ram, state, "damaged"),
    )
    with pytest.raises(Lost, match=r"QEMU refused a command|The guest died"):
        lab.run(Job(item("test_passes")), deadline_s=30)


def test_the_projects_own_rootdir_opens_with_its_plugin() -> None:
    settings = own_settings()
    assert settings.tree.rootdir == ROOT
    assert settings.plugins == ("harness.plugin",)
    assert open_lab_kernel(settings, locate()).snapshot.state.is_file()


def test_a_guest_is_ended_with_its_block_whatever_is_raised_in_it(tmp_path: Path) -> None:
    lab = open_small(locate(), make_rootdir(tmp_path / "rootdir"))
    job = make_hole(tmp_path / "job", JOB_SIZE)
    out = make_hole(tmp_path / "out", OUT_SIZE)
    files = Files(lab.snapshot.ram, True, job, out, tmp_path / "console")

    def own_children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    before = own_children()

    def fail() -> None:
        with Guest(lab.snapshot.vm, files, 30, restored=True) as guest:
            guest.greet()
            assert own_children() != before
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert own_children() == before
