# SPDX-License-Identifier: GPL-2.0-or-later
"""Every capture of the catalogue, decrypted by us and by tshark with the run's profile."""

import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

import scenarios
from harness.capture.entries import Ike, Ipsec, Status
from harness.capture.presentation import Told, told_by
from harness.scenario import MARKER
from tests.capture.runs import Made, made
from tests.capture.second_opinion import NoOracle, compare

PASS = "pass"
PAIRS = (
    *("--pair=strongswan@5.9.8:strongswan@6.0.1", "--pair=ikelabd:strongswan@6.0.1"),
    *("--pair=ikelabd:strongswan@5.9.8", "--both-ways"),
)
FRONT_ENDS = "--front-end=ipsec.conf,swanctl.conf"
ABLE = ("--moon=ikelabd", "--sun=strongswan@6.0.1,ikelabd")
"""Pairs of which one has every feature."""
READ = (Status.CLEAR, Status.DECRYPTED, Status.FRAGMENT)
UNREADABLE = {
    "conformance-ikev1-established-initiator": {Status.BAD_ICV: 2, Status.NO_KEY: 1},
    "conformance-ikev1-first-answer": {Status.BAD_ICV: 1},
    "conformance-ikev1-first-message": {Status.MALFORMED: 4, Status.NO_KEY: 1},
    "conformance-ikev1-ignored": {Status.BAD_ICV: 7, Status.MALFORMED: 3, Status.NO_KEY: 1},
    "conformance-ikev1-main-mode": {Status.BAD_ICV: 3},
    "conformance-ikev1-quick-answer": {Status.BAD_ICV: 2},
    "conformance-first-message": {Status.MALFORMED: 4},
    "conformance-fragment-number": {Status.BAD_ICV: 1},
    "conformance-fragments": {Status.BAD_ICV: 1},
    "conformance-ignored": {Status.BAD_ICV: 2, Status.NO_KEY: 2},
    "version-2.1": {Status.MALFORMED: 2},
}
"""What a scenario sends so that nobody can read it; all else of every scenario is read."""

WITHOUT_ORACLE = {
    "conformance-ikev1-established-initiator": {NoOracle.BAD_ICV, NoOracle.FORGED},
    "conformance-ikev1-first-message": {NoOracle.MALFORMED},
    "conformance-ikev1-ignored": {NoOracle.BAD_ICV, NoOracle.FORGED, NoOracle.MALFORMED},
    "conformance-first-message": {NoOracle.MALFORMED},
    "conformance-fragment-number": {NoOracle.BAD_ICV},
    "conformance-fragmented-informational": {NoOracle.PIECES},
    "conformance-fragments": {NoOracle.BAD_ICV, NoOracle.PIECES},
    "conformance-ignored": {NoOracle.BAD_ICV},
    "esn": {NoOracle.ESN},
    "multi-ke": {NoOracle.EARLIER_KEYS},
    "multi-ke-ml-kem": {NoOracle.EARLIER_KEYS},
    "version-2.1": {NoOracle.MALFORMED},
}
"""Where tshark has no opinion of some frames; any IKEv1 message may also come again."""


def catalogue() -> list[str]:
    """The name of every scenario, as its marker has it."""
    found = []
    for module in pkgutil.walk_packages(scenarios.__path__, "scenarios."):
        for _, function in inspect.getmembers(importlib.import_module(module.name)):
            marks = getattr(function, "pytestmark", ())
            found += [mark.args[0].name for mark in marks if mark.name == MARKER]
    return sorted(set(found))


@pytest.fixture(scope="session")
def runs_of_all(shared: Path) -> list[Made]:
    """Each scenario for this session; pairs and front ends of the main job take turns.

    Where it was the turn of a peer that has no such feature, others run it too.
    """
    runs = made(shared, "catalogue", *PAIRS, FRONT_ENDS, "--in-turns")
    open_ = {one.scenario for one in runs} - {one.scenario for one in runs if one.outcome == PASS}
    return [*runs, *(made(shared, "others", *ABLE, *sorted(open_)) if open_ else ())]


@pytest.mark.parametrize("name", catalogue())
def test_every_packet_of_a_scenario_is_read_and_tshark_agrees_with_every_field(
    runs_of_all: list[Made], name: str
) -> None:
    runs = [one for one in runs_of_all if one.scenario == name]
    assert {run.reason for run in runs if run.outcome not in (PASS, "unsupported")} == set()
    passed = [run for run in runs if run.outcome == PASS]
    assert passed, "nobody ran it"
    for run in passed:
        told = told_by(run.folder)
        assert told.problems == ()
        assert unread(told) == UNREADABLE.get(name, {})
        found = compare(told.decryption, run.folder / "capture.pcapng", run.folder / "wireshark")
        assert found.differing == []
        assert found.compared >= 2
        assert set(found.left_out) - {NoOracle.REPEATED} == WITHOUT_ORACLE.get(name, set())


def unread(told: Told) -> Counter[Status]:
    """The IKE and IPsec packets that could not be read; each of them says why."""
    found = [
        entry.content
        for entry in told.decryption.entries
        if isinstance(entry.content, Ike | Ipsec) and entry.content.status not in READ
    ]
    assert all(one.detail for one in found)
    return Counter(one.status for one in found)


def test_no_scenario_is_without_a_run_and_no_run_without_a_scenario(
    runs_of_all: list[Made],
) -> None:
    assert sorted({one.scenario for one in runs_of_all}) == catalogue()
    assert {*UNREADABLE, *WITHOUT_ORACLE} <= set(catalogue())
