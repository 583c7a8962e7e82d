# SPDX-License-Identifier: GPL-2.0-or-later
"""Which runs a command line leads to; nothing is run here."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ("--moon", "strongswan@5.9.8,ikelabd", "--sun", "strongswan@6.0.1")


def collected(*options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "-q", "--collect-only"]
    return subprocess.run(
        [*command, *options, "scenarios"],
        cwd=ROOT, capture_output=True, text=True, check=check,
    )  # fmt: skip


def runs(*options: str, peers: tuple[str, ...] = PEERS) -> list[tuple[str, str]]:
    """Each run's scenario function and the peers that it is with."""
    listed = collected(*peers, *options)
    lines = (line for line in listed.stdout.splitlines() if "::" in line)
    split = (line.partition("[") for line in lines)
    return [(function, peers.rstrip("]")) for function, _, peers in split]


def test_in_turns_runs_each_scenario_once_and_gives_each_pair_its_share() -> None:
    every, turns = runs("--both-ways"), runs("--both-ways", "--in-turns")
    assert set(turns) <= set(every)
    assert {function for function, _ in turns} == {function for function, _ in every}
    assert max(Counter(function for function, _ in turns).values()) == 1
    # Behind the peers stand parameters of the scenario's own.
    pairs = Counter(
        "-".join(peers.split("-")[:2])
        for _, peers in turns
        if peers.partition("-")[2].startswith(("strongswan", "ikelabd"))
    )
    assert set(pairs) == {
        "strongswan@5.9.8-strongswan@6.0.1",
        "ikelabd-strongswan@6.0.1",
        "strongswan@6.0.1-strongswan@5.9.8",
        "strongswan@6.0.1-ikelabd",
    }
    assert max(pairs.values()) <= 2 * min(pairs.values())


def test_the_only_role_of_a_scenario_is_played_by_the_peers_that_are_named_for_it() -> None:
    assert {
        peers for function, peers in runs("--both-ways") if function.endswith("::test_dpd")
    } == {"strongswan@6.0.1-ipsec.conf"}


def test_pairs_are_those_that_are_named_and_no_others() -> None:
    named = ("--pair", "strongswan@5.9.8:strongswan@6.0.1", "--pair", "ikelabd+userspace:ikelabd")
    both = runs("--both-ways", peers=named)
    with_both = {peers for function, peers in both if function.endswith("::test_delete_ike")}
    assert with_both == {
        "strongswan@5.9.8-strongswan@6.0.1",
        "strongswan@6.0.1-strongswan@5.9.8",
        "ikelabd+userspace-ikelabd",
        "ikelabd-ikelabd+userspace",
    }
    # Where there is one role, none are exchanged.
    suns = {peers for function, peers in both if function.endswith("::test_dpd")}
    assert suns == {"strongswan@6.0.1-ipsec.conf", "ikelabd-ipsec.conf"}


def test_a_scenario_with_files_for_both_front_ends_runs_with_each_that_is_asked_for() -> None:
    both = ("--front-end", "swanctl.conf,ipsec.conf")
    every, turns = runs(*both), runs(*both, "--in-turns")
    asked = Counter(peers for function, peers in every if function.endswith("::test_dpd"))
    assert asked == {"strongswan@6.0.1-swanctl.conf": 1, "strongswan@6.0.1-ipsec.conf": 1}
    assert {function for function, _ in turns} == {function for function, _ in every}
    taken = Counter(peers for _, peers in turns if peers in asked)
    assert taken.keys() == asked.keys()
    assert max(taken.values()) - min(taken.values()) <= sum(taken.values()) / 2


def test_a_front_end_that_there_is_not_is_refused_by_name() -> None:
    refused = collected("--front-end", "ipsec.conf,ipsec.cnf", check=False)
    sentence = (
        "--front-end ipsec.cnf: there is no such front end; there is ipsec.conf, swanctl.conf"
    )
    assert (refused.returncode, sentence in refused.stderr) == (4, True)
