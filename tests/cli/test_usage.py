# SPDX-License-Identifier: GPL-2.0-or-later
import json
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.commands import ikelab

USAGE, LOST = 2, 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "delete-ike", "nonsense"], "there is no scenario 'nonsense'; there is "),
        (["run", "net2net-reky"], "there is no scenario 'net2net-reky'; did you mean"),
        (["run", "delete-ike", "--moon", "strongswan@9"], "there is no peer 'strongswan@9'; there"),
        (
            ["run", "delete-ike", "--sun", "racoon"],
            "there is no peer 'racoon'; there is ikelabd, ip-xfrm",
        ),
        (
            ["run", "delete-ike", "--pair", "ikelabd"],
            "--pair ikelabd: name a moon and a sun, such as ikelabd:strongswan@6.0.1;",
        ),
        (
            ["run", "delete-ike", "--pair", "ikelabd:ikelabd,strongswan@5.9.8"],
            "for another pair give --pair again",
        ),
        (["run", "delete-ike", "--pair", "ikelabd:swan"], "there is no peer 'swan'; there is"),
        (
            ["run", "delete-ike", "--pair", "ikelabd:ikelabd", "--sun", "ikelabd"],
            "--sun and --pair: a pair has its sun already; leave one of the two out",
        ),
        (["run", "delete-ike", "--kernel", "debian-9"], "--kernel debian-9: there is no such"),
        (["run", "delete-ike", "--seed", "-4"], "--seed -4: a seed is a whole number from 0"),
        (["run", "delete-ike", "--clock", "lunar"], "argument --clock: invalid choice: 'lunar'"),
        (["run", "delete-ike", "--clock", "virtual", "--kernel", "host"], "only real time"),
        (["run", "--folder", "nowhere"], "--folder nowhere: there is no such folder"),
        (["run", "delete-ike", "--out", "/proc/nowhere"], "--out /proc/nowhere: "),
        (
            ["run", "--fast"],
            "unrecognized arguments: --fast; what is for pytest stands behind --",
        ),
        (["decrypt", "--fast", "x"], "unrecognized arguments: --fast\n"),
        (["run", "delete-ike", "--seed", "1", "nonsense"], "there is no scenario 'nonsense'"),
        (["replay"], "the following arguments are required: DIR"),
        (["replay", "nowhere"], "nowhere/replay.json: No such file or directory; name the folder"),
        (["wander"], "invalid choice: 'wander'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    if arguments[:1] == ["run"] and "--out" not in arguments:
        arguments = [*arguments, "--out", str(tmp_path)]
    done = ikelab(*arguments)
    assert done.returncode == USAGE, done.stdout
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"peers": 1, "kernel": "host"}', "\xff"])
def test_a_replay_record_that_no_run_wrote_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "replay.json").write_text(text, encoding="latin-1")
    done = ikelab("replay", tmp_path)
    assert done.returncode == USAGE, done.stdout
    assert "this is not what a run writes" in done.stdout


def test_the_version_is_told() -> None:
    done = ikelab("--version")
    assert (done.returncode, done.stdout) == (0, f"ikelab {metadata.version('ikelab')}\n")


def test_the_peers_are_listed_with_what_they_can_do() -> None:
    done = ikelab("peers")
    assert done.returncode == 0
    listed = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:]}
    assert {"ip-xfrm", "strongswan@5.9.8", "strongswan@6.0.1"} <= set(listed)
    assert listed["ip-xfrm"][1:] == ["-", "-", "ip-xfrm", "kernel"]
    assert listed["strongswan@5.9.8"][1:3] == ["strongswan-bookworm", "yes"]
    assert listed["strongswan@6.0.1"][3:] == [
        *("vici,", "swanctl.conf,", "ipsec.conf", "kernel,", "userspace")
    ]


def test_a_peer_whose_image_is_not_built_is_listed_as_such(tmp_path: Path) -> None:
    done = ikelab("peers", IKELAB_CACHE=str(tmp_path / "none"), IKELAB_CACHE_SHARED="")
    listed = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:]}
    assert listed["strongswan@5.9.8"][1:3] == ["strongswan-bookworm", "no"]
    assert list(tmp_path.iterdir()) == []


def test_a_peer_without_the_feature_is_unsupported_and_no_pass(tmp_path: Path) -> None:
    done = ikelab("run", "delete-ike", "--moon", "ip-xfrm", "--kernel", "host", "--out", tmp_path)
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert run["outcome"] == "unsupported"
    assert done.returncode == 1


def test_a_peer_that_cannot_be_built_is_lost_and_no_failure_of_the_peer(tmp_path: Path) -> None:
    done = ikelab(
        *("run", "delete-ike", "--kernel", "host", "--out", tmp_path),
        IKELAB_CACHE=str(tmp_path / "cache"),
        IKELAB_CACHE_SHARED="",
        PATH="/nowhere",
    )
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert (done.returncode, run["outcome"]) == (LOST, "lost"), done.stdout
    assert "mmdebstrap" in run["reason"]
    assert "Traceback" not in done.stdout
    # What takes long is shown when it begins, and not when all is over.
    begun, _, _ = done.stdout.partition(" FAILURES ")
    assert "image strongswan-trixie: begun" in begun
