# SPDX-License-Identifier: GPL-2.0-or-later
"""One pytest item in a lab kernel: what comes out, what is the same, what is lost."""

import getpass
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.machine.cache import Cache, locate
from harness.machine.errors import Lost, MachineError
from harness.machine.job import Job, Result, from_wire
from harness.machine.labkernel import LabKernel
from tests.lab.guests import item, make_rootdir, open_small

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cache() -> Cache:
    return locate()


@pytest.fixture(scope="module")
def rootdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootdir(tmp_path_factory.mktemp("some-rootdir"))


@pytest.fixture(scope="module")
def lab(cache: Cache, rootdir: Path) -> LabKernel:
    return open_small(cache, rootdir)


def outcomes(result: Result) -> list[tuple[str, str]]:
    return [(report["when"], report["outcome"]) for report in result.reports]


def artifact(result: Result, folder: Path, name: str) -> bytes:
    result.unpack(folder)
    return (folder / name).read_bytes()


def test_an_item_passes_with_the_fixtures_of_both_conftests(lab: LabKernel) -> None:
    result = lab.run(Job(item("test_passes")))
    assert outcomes(result) == [("setup", "passed"), ("call", "passed"), ("teardown", "passed")]
    assert result.status == 0
    assert 0 < result.lab_s < 5


def test_a_failure_comes_out_as_pytest_would_show_it(
    lab: LabKernel, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    result = lab.run(Job(item("test_fails")))
    assert outcomes(result)[1] == ("call", "failed")
    report = pytestconfig.hook.pytest_report_from_serializable(
        config=pytestconfig, data=from_wire(result.reports[1], tmp_path)
    )
    assert "At index" not in report.longreprtext.splitlines()[0]
    assert "['root', 'near', 'own'] == ['root']" in report.longreprtext
    assert report.capstdout == "said before it failed\n"
    assert report.nodeid == item("test_fails")


def test_a_skip_comes_out_as_a_skip(lab: LabKernel, tmp_path: Path) -> None:
    report = from_wire(lab.run(Job(item("test_skips"))).reports[0], tmp_path)
    path = str(tmp_path / "checks/test_items.py")
    assert report["outcome"] == "skipped"
    assert report["longrepr"][0] == path
    assert report["longrepr"][2] == "Skipped: not today"


def test_the_options_of_the_job_count_when_the_item_is_collected(lab: LabKernel) -> None:
    job = Job(item("test_has_the_option[green]"), {"colour": "green"})
    assert outcomes(lab.run(job))[1] == ("call", "passed")


def test_the_guest_has_the_kernel_the_rootdir_and_the_peers(lab: LabKernel) -> None:
    result = lab.run(Job(item("test_knows_where_it_runs")))
    assert outcomes(result)[1] == ("call", "passed"), result.reports[1]["longrepr"]


def test_ten_hours_of_sleep_pass_in_a_minute(lab: LabKernel) -> None:
    result = lab.run(Job(item("test_sleeps_ten_hours")))
    assert outcomes(result)[1] == ("call", "passed")
    assert result.lab_s > 36000
    assert result.wall_s < 60


def test_equal_jobs_give_the_same_bytes_and_another_seed_gives_others(lab: LabKernel) -> None:
    job = Job(item("test_measures"), seed=1)
    one, two = lab.run(job), lab.run(job)
    assert outcomes(one)[1] == ("call", "passed"), one.reports[1]["longrepr"]
    assert (one.reports, one.artifacts, one.lab_s) == (two.reports, two.artifacts, two.lab_s)
    other = lab.run(Job(item("test_measures"), seed=2))
    assert other.artifacts != one.artifacts


def test_two_boots_of_the_same_parts_give_the_same_bytes(
    lab: LabKernel, cache: Cache, rootdir: Path, tmp_path: Path
) -> None:
    # A cache of its own has to boot anew; the images are those of the first.
    fresh = open_small(Cache(tmp_path / "cache", shared=(cache.root,)), rootdir)
    assert fresh.snapshot.ram != lab.snapshot.ram
    job = Job(item("test_measures"), seed=1)
    one, two = lab.run(job), fresh.run(job)
    assert (one.reports, one.artifacts) == (two.reports, two.artifacts)


def test_nothing_of_the_host_is_seen_in_the_guest(
    lab: LabKernel, rootdir: Path, tmp_path: Path
) -> None:
    result = lab.run(Job(item("test_tells_of_its_world")))
    world = artifact(result, tmp_path, "world").decode()
    assert "ikelab" in world
    assert "checks/test_items.py" in world
    own = [str(rootdir), str(lab.cache.root), socket.gethostname(), os.uname().release, str(ROOT)]
    assert [text for text in own if text in world] == []
    assert getpass.getuser() == "root" or getpass.getuser() not in world


def test_the_guest_cannot_write_to_the_hosts_files(lab: LabKernel, tmp_path: Path) -> None:
    paths = [path for _, path in lab.snapshot.vm.layers] + [lab.snapshot.ram]
    before = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in paths]
    result = lab.run(Job(item("test_writes_to_its_images")))
    # The guest's kernel takes the writes: it is QEMU that keeps them from the files.
    assert b"taken" in artifact(result, tmp_path, "tried.json")
    after = [hashlib.file_digest(path.open("rb"), "sha256").hexdigest() for path in paths]
    assert before == after


def test_thirty_megabytes_of_artifacts_come_out(lab: LabKernel, tmp_path: Path) -> None:
    result = lab.run(Job(item("test_leaves_much")))
    assert len(artifact(result, tmp_path, "much")) == 30 << 20


def test_an_item_that_is_not_there_is_one_sentence(lab: LabKernel) -> None:
    with pytest.raises(MachineError, match=r"ran no such item: not found: .*::test_nothing\.$"):
        lab.run(Job(item("test_nothing")))


def test_a_file_that_does_not_import_is_reported_when_it_is_asked_for(lab: LabKernel) -> None:
    result = lab.run(Job("checks/test_broken.py::test_any"))
    assert result.reports[0]["$report_type"] == "CollectReport"
    assert result.reports[0]["outcome"] == "failed"
    assert "nothing_of_this_name" in str(result.reports[0]["longrepr"])


def test_an_item_that_crashes_its_process_is_lost_with_the_signal(lab: LabKernel) -> None:
    with pytest.raises(Lost, match=r"test_crashes: the item was lost: .* killed by SIGSEGV\.$"):
        lab.run(Job(item("test_crashes")))


@pytest.mark.parametrize("name", ["test_hangs_in_python", "test_hangs_on_nothing"])
def test_an_item_that_hangs_is_lost_at_its_limit_and_says_where(lab: LabKernel, name: str) -> None:
    with pytest.raises(Lost, match="still running after 7200 s of lab time") as caught:
        lab.run(Job(item(name), limit_s=7200))
    assert name in caught.value.console_tail


def test_an_item_that_burns_is_ended_at_the_deadline(lab: LabKernel) -> None:
    with pytest.raises(Lost, match="no result within 3 s of wall time"):
        lab.run(Job(item("test_burns")), deadline_s=3)


def test_a_guest_whose_kernel_panics_is_lost_with_its_last_words(lab: LabKernel) -> None:
    with pytest.raises(Lost, match="The guest died before it gave a result") as caught:
        lab.run(Job(item("test_panics")))
    assert "Kernel panic" in caught.value.console_tail


def test_a_guest_that_restarts_is_lost(lab: LabKernel) -> None:
    with pytest.raises(Lost, match="The guest died before it gave a result"):
        lab.run(Job(item("test_restarts")))


def test_a_killed_harness_leaves_no_guest_and_the_next_run_clears_up(
    cache: Cache, rootdir: Path, lab: LabKernel
) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom harness.machine.cache import locate\n"
        "from harness.machine.job import Job\nfrom tests.lab.guests import item, open_small\n"
        f"lab = open_small(locate(), Path({str(rootdir)!r}))\n"
        "lab.run(Job(item('test_says_that_it_runs_and_burns')))\n"
    )
    known = set((cache.root / "runs").iterdir())
    harness = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    console = await_console(cache, known, harness)
    guests = children_of(harness.pid)
    assert len(guests) == 1
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    await_death(guests[0])
    assert console.parent.is_dir()
    lab.run(Job(item("test_passes")))
    assert not console.parent.exists()


def await_console(cache: Cache, known: set[Path], harness: subprocess.Popen[bytes]) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert harness.poll() is None
        for folder in set((cache.root / "runs").iterdir()) - known:
            console = folder / "console"
            if console.exists() and b"the item runs" in console.read_bytes():
                return console
        time.sleep(0.02)
    raise AssertionError("the item never ran")


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def await_death(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError(f"the guest {pid} outlived its harness")
