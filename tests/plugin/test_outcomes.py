# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of somebody's own scenarios: every outcome, on the host and in the lab kernel."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harness.capture import pcapng
from harness.kernel.capabilities import probe
from tests.cli.test_interrupted import alive, descendants
from tests.plugin.folder import (
    NAMES,
    environment,
    ikelab,
    results,
    run_pytest,
    write_folder,
)

# The runs that all of them look at are made once.
pytestmark = pytest.mark.xdist_group("own-folder")

PASS, FAIL, USAGE, LOST, INTERRUPTED = 0, 1, 2, 3, 130
IN_GUEST = ("own-pass", "own-fail", "own-unsupported")
SEED = ("--kernel", "debian-6.1", "--seed", "3")


@dataclass(frozen=True)
class Session:
    """A session of `ikelab run` that has ended."""

    out: Path
    status: int
    shown: str

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return results(self.out)

    def evidence(self, scenario: str, name: str) -> Path:
        return self.out / self.runs[scenario]["artifacts"] / name


def run(folder: Path, out: Path, *arguments: str) -> Session:
    done = ikelab("run", *arguments, "--folder", folder, "--out", out)
    return Session(out, done.returncode, done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("somewhere") / "own")


@pytest.fixture(scope="module")
def on_host(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    out = tmp_path_factory.mktemp("host")
    return run(folder, out, *NAMES, "--kernel", "host", "--jobs", "1")


@pytest.fixture(scope="module")
def in_guest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return run(folder, tmp_path_factory.mktemp("guest"), *IN_GUEST, *SEED, "--jobs", "1")


def test_each_outcome_is_told_with_its_reason(on_host: Session) -> None:
    lacking = probe().missing("esp")
    told = {name: (on_host.runs[name]["outcome"], on_host.runs[name]["reason"]) for name in NAMES}
    if lacking is None:
        assert told.pop("own-esp") == ("pass", "")
        assert told.pop("own-unsupported")[0] == "unsupported"
    else:
        assert told.pop("own-esp") == ("not-run", f"the kernel lacks esp: {lacking}")
        assert told.pop("own-unsupported") == (
            "unsupported",
            "ip-xfrm keys the kernel's ESP, and this kernel has none",
        )
    assert told == {
        "own-pass": ("pass", ""),
        "own-fail": ("fail", "moon has no IKE SA"),
        "own-disagree": (
            "fail",
            "loss: of the datagrams from alice to bob 1 lost, the first lost is number 1",
        ),
        "own-error": ("fail", "TopologyError: topology 'mine': there are two nodes called 'a'"),
        "own-moon": ("pass", ""),
    }
    assert on_host.runs["own-moon"]["peers"] == {"moon": "strongswan@6.0.1"}


def test_a_run_with_a_failure_exits_with_1_and_shows_a_table_with_the_reasons(
    on_host: Session,
) -> None:
    assert on_host.status == FAIL
    assert "fail: own-fail: moon has no IKE SA" in on_host.shown
    line = next(line for line in on_host.shown.splitlines() if line.startswith("own-pass"))
    assert line.split()[1:7] == [
        *("strongswan@6.0.1", "-", "strongswan@6.0.1"),
        *("userspace", "host", "pass"),
    ]


def test_what_the_harness_says_is_told_at_the_scenarios_line_and_not_inside_of_it(
    on_host: Session,
) -> None:
    told = on_host.shown.partition("_ test_error _")[2].partition("\nE   harness.network")[0]
    assert re.findall(r"(\w+\.py):\d+: in (\w+)", told) == [("test_own.py", "test_error")]
    assert "in verify" not in on_host.shown


def test_what_failed_comes_with_the_command_that_runs_it_again(
    on_host: Session, folder: Path
) -> None:
    again = [shlex.split(one)[1:] for one in on_host.shown.splitlines() if one[:6] == "again:"]
    assert [Path(one[2]).name.partition(",")[0] for one in again] == [
        name for name, run in on_host.runs.items() if run["outcome"] == "fail"
    ]
    assert {Path(one[4]).name for one in again} == {folder.name}


def test_a_scenario_with_parameters_of_its_own_has_a_folder_for_each(
    folder: Path, tmp_path: Path
) -> None:
    tried = run(folder, tmp_path, "own-ways", "--kernel", "host", "--jobs", "2")
    assert tried.status == PASS, tried.shown
    ways = {path.parent.name: path.read_text() for path in tmp_path.glob("own-ways*/way")}
    assert sorted(ways.values()) == ["back " * 60, "there"]
    assert "own-ways,strongswan@6.0.1,strongswan@6.0.1,there,host" in ways


def test_the_run_is_described_where_its_evidence_is(on_host: Session) -> None:
    run = on_host.runs["own-pass"]
    assert (run["kernel"], run["clock"], run["seed"]) == ("host", "real", None)
    # In the order of the scenario's parameters: it starts sun first.
    assert list(run["peers"].items()) == [("moon", "strongswan@6.0.1"), ("sun", "strongswan@6.0.1")]
    kept = pcapng.read(on_host.evidence("own-pass", "capture.pcapng"))
    assert kept.problem is None
    assert len(kept.packets) > 4
    names = {path.name for path in on_host.evidence("own-pass", "").iterdir()}
    assert names >= {"capture.pcapng", "sad.json", "events.jsonl", "replay.json", "moon", "sun"}


def test_the_report_has_the_same_verdicts_and_leads_to_the_evidence(on_host: Session) -> None:
    text = (on_host.out / "report.html").read_text()
    runs = re.findall(r'href="#run-(\d+)" class="pill is-([a-z-]+)', text)
    assert [outcome for _, outcome in sorted(runs, key=lambda one: int(one[0]))] == [
        run["outcome"] for run in on_host.runs.values()
    ]
    claims = [run["claim"] for run in on_host.runs.values()]
    assert [claim in text for claim in claims if claim] == [True] * len(claims)
    assert f'href="{quote(on_host.runs["own-fail"]["artifacts"])}/ladder.txt"' in text


def test_junit_has_the_same_verdicts(on_host: Session) -> None:
    cases = ElementTree.parse(on_host.out / "junit.xml").getroot().iter("testcase")
    told = {
        str(case.get("name")).partition("[")[0]: {child.tag for child in case} - {"properties"}
        for case in cases
    }
    assert told["test_pass"] == set()
    assert told["test_fail"] == told["test_disagree"] == told["test_error"] == {"failure"}
    assert told["test_unsupported"] == {"skipped"}


def test_several_processes_tell_the_same_in_the_same_order(
    on_host: Session, folder: Path, tmp_path: Path
) -> None:
    together = run(folder, tmp_path, *NAMES, "--kernel", "host", "--jobs", "2")
    assert together.status == on_host.status
    assert list(together.runs) == list(on_host.runs)
    assert together.runs == on_host.runs


def test_in_the_lab_kernel_a_folder_from_outside_runs_with_all_that_is_in_it(
    in_guest: Session,
) -> None:
    assert in_guest.status == FAIL
    told = {name: (run["outcome"], run["reason"]) for name, run in in_guest.runs.items()}
    assert told == {
        "own-pass": ("pass", ""),
        "own-fail": ("fail", "moon has no IKE SA"),
        "own-unsupported": ("unsupported", "ip-xfrm keys by hand: it has no IKE"),
    }
    for run in in_guest.runs.values():
        assert (run["kernel"], run["clock"], run["seed"]) == ("debian-6.1", "virtual", 3)
        assert run["lab_s"] > 0


def test_in_the_lab_kernel_several_processes_give_the_same_bytes(
    in_guest: Session, folder: Path, tmp_path: Path
) -> None:
    together = run(folder, tmp_path, *IN_GUEST, *SEED, "--jobs", "2")
    assert (together.status, together.runs) == (in_guest.status, in_guest.runs)
    for scenario in IN_GUEST:
        for name in ("capture.pcapng", "sad.json", "events.jsonl", "replay.json"):
            first, again = (each.evidence(scenario, name) for each in (in_guest, together))
            assert first.read_bytes() == again.read_bytes(), name


def test_a_run_of_somebodys_own_scenario_is_replayed_byte_for_byte(
    in_guest: Session, folder: Path
) -> None:
    done = ikelab("replay", in_guest.evidence("own-pass", ""), "--folder", folder)
    assert done.returncode == PASS, done.stdout
    assert "the capture is the same, byte for byte" in done.stdout


def test_unsupported_is_no_failure_unless_it_is_to_be(folder: Path, tmp_path: Path) -> None:
    names = ("own-pass", "own-unsupported", "--kernel", "host", "--jobs", "1")
    assert run(folder, tmp_path, *names).status == PASS
    again = run(folder, tmp_path, *names, "--strict")
    assert again.status == FAIL
    # What lies where the evidence goes is this run's alone.
    log = again.evidence("own-pass", "moon/charon.log").read_text()
    assert log.count("Starting IKE charon daemon") == 1


def start(folder: Path, out: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start the scenario that has no end, in the lab kernel."""
    arguments = ["run", "own-long", *SEED, "--folder", str(folder), "--out", str(out)]
    with log.open("w") as terminal:
        return subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *arguments],
            stdout=terminal,
            stderr=terminal,
            stdin=subprocess.DEVNULL,
            env=environment(),
            # A shell ignores Ctrl-C for what it puts into the background, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def test_a_guest_that_is_killed_is_lost_with_its_last_words(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "terminal"
    running = start(folder, tmp_path, log)
    os.kill(guest_that_runs(running), signal.SIGKILL)
    assert running.wait(60) == LOST
    (told,) = results(tmp_path).values()
    assert told["outcome"] == "lost"
    assert told["reason"].startswith("The guest died before it gave a result")
    assert told["reason"].endswith("Its last words: the scenario runs")
    # All of the end of its console is with the failure.
    assert log.read_text().count("the scenario runs") >= 2
    assert "Traceback" not in log.read_text()
    # It can still be run again.
    assert (tmp_path / told["artifacts"] / "replay.json").exists()


def test_a_run_in_a_guest_that_is_interrupted_leaves_no_guest(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "terminal"
    running = start(folder, tmp_path, log)
    guest_that_runs(running)
    family = descendants(running.pid)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == INTERRUPTED
    assert not alive(family)
    assert "ikelab: interrupted; what was recorded until then is kept" in log.read_text()
    assert "Traceback" not in log.read_text()


def guest_that_runs(harness: "subprocess.Popen[bytes]") -> int:
    """The process id of the guest of a harness, once the scenario runs in it."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert harness.poll() is None
        for pid, _ in descendants(harness.pid):
            if b"the scenario runs" in console_of(pid):
                return pid
        time.sleep(0.02)
    raise AssertionError("the scenario never ran")


def console_of(pid: int) -> bytes:
    """What is on the console of a guest; nothing of a process that is none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "qemu-system" not in words[0]:
            return b""
        paths = [Path(word.partition("path=")[2]) for word in words if "path=" in word]
        return next(path for path in paths if path.name == "console").read_bytes()
    except (OSError, StopIteration):
        return b""


# -- as a plugin of pytest ----------------------------------------------------------------------

FAST = ("--kernel", "host", "-q", "--out", "evidence")


def test_pytests_own_options_pick_stop_and_repeat(folder: Path) -> None:
    picked = run_pytest(*FAST, "-k", "unsupported or error", "--junitxml=own.xml", cwd=folder)
    assert picked.returncode == FAIL
    assert set(results(folder / "evidence")) == {"own-unsupported", "own-error"}
    cases = list(ElementTree.parse(folder / "own.xml").getroot().iter("testcase"))
    assert len(cases) == 2
    stopped = run_pytest(*FAST, "-x", "-k", "fail or disagree", cwd=folder)
    assert stopped.returncode == FAIL
    assert list(results(folder / "evidence")) == ["own-fail"]
    again = run_pytest(*FAST, "--lf", "-k", "fail or error or unsupported", cwd=folder)
    assert again.returncode == FAIL
    assert set(results(folder / "evidence")) == {"own-fail", "own-error"}


@pytest.mark.parametrize(
    ("name", "text", "arguments", "sentence"),
    [
        (
            "test_twice.py",
            "from harness.scenario import scenario\n"
            "@scenario('twice', 'x')\ndef test_a(lab): pass\n"
            "@scenario('twice', 'x')\ndef test_b(lab): pass\n",
            (),
            "two scenarios are called 'twice': test_twice.py::test_a and test_twice.py::test_b;",
        ),
        (
            "test_needs.py",
            "from harness.scenario import scenario\n"
            "@scenario('needs', 'x', needs=('espp',))\ndef test_a(lab): pass\n",
            (),
            "test_needs.py::test_a: there is no capability 'espp' to need; did you mean 'esp'?",
        ),
        ("test_none.py", "", (), "no scenario was run: none was found that was asked for"),
        ("test_broken.py", "import nothing\n", (), "No module named 'nothing'"),
        ("test_none.py", "", ("--jobs", "0"), "'0' is not a number of processes from 1 on"),
        ("test_none.py", "", ("any",), "there is no scenario 'any'; there is none"),
    ],
)
def test_a_folder_that_cannot_be_run_is_a_sentence(
    name: str, text: str, arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text(text)
    tried = run(folder, tmp_path / "out", *(arguments or ("--jobs", "1")))
    assert tried.status == USAGE, tried.shown
    assert sentence in tried.shown
    assert "INTERNALERROR" not in tried.shown


def test_what_a_guest_has_not_is_said_to_be_missing_there(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    text = "import hypothesis\nfrom harness.scenario import scenario\n"
    text += "@scenario('more', 'x')\ndef test_more(lab): pass\n"
    (folder / "test_more.py").write_text(text)
    tried = run(folder, tmp_path / "out", *SEED, "--jobs", "1")
    assert tried.status == LOST
    reason = tried.runs["more"]["reason"]
    assert reason.startswith("test_more.py::test_more: it cannot be collected in the lab kernel")
    assert reason.endswith("ModuleNotFoundError: No module named 'hypothesis'")
