# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of somebody's own scenarios, outside of the project, with every outcome in it."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

AGREED = """
    from harness.peers.connection import Connection, End, PreSharedKey
    from scenarios.agreements import NET_NET

    assert NET_NET.name == "net-net", "the project's own connections can be taken"
    NET = Connection.between(
        End("moon", "192.168.0.1", "moon.example.org", ("10.1.0.0/16",)),
        End("sun", "192.168.0.2", "sun.example.org", ("10.2.0.0/16",)),
        name="net",
        authentication=PreSharedKey("known to both"),
    )
"""
SCENARIOS = """
    from pathlib import Path

    import pytest
    from agreed import NET
    from harness.network.topologies import HOST_TO_HOST, MOON_SUN
    from harness.network.topology import NodeSpec, Topology
    from harness.network.traffic import PORT
    from harness.peers.manual import IpXfrm
    from harness.scenario import scenario

    @scenario("own-pass", "Both ends agree, and traffic crosses.")
    def test_pass(lab, moon, sun):
        assert Path(__file__).with_name("beside.txt").read_text() == "it travels along"
        net = lab.up(MOON_SUN, sun=sun, moon=moon, connection=NET)
        net.moon.initiate("net")
        with net.traffic("alice", "bob") as flow:
            flow.await_crossed(3)
        assert flow.lost == 0

    @scenario("own-fail", "Nobody brings up an SA, and one is missed.")
    def test_fail(lab, moon, sun):
        net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET)
        assert list(net.moon.sas()), "moon has no IKE SA"

    @scenario("own-disagree", "All asserts hold, but a packet is lost.")
    def test_disagree(lab, moon, sun):
        net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET)
        net.moon.initiate("net")
        port = (PORT + 1).to_bytes(2)
        net.wire("sun-lan").drop(lambda frame: frame.data[36:38] == port, sender="sun", nth=2)
        with net.traffic("alice", "bob") as flow:
            flow.await_crossed(4)

    @scenario("own-unsupported", "Asks for what the peer has not.")
    def test_unsupported(lab):
        net = lab.up(HOST_TO_HOST, host1=IpXfrm(), host3=IpXfrm())
        net.host1.initiate("net")

    @scenario("own-error", "The topology contradicts itself.")
    def test_error(lab):
        lab.up(Topology("mine", (NodeSpec("a"), NodeSpec("a")), ()))

    @scenario("own-moon", "Takes one of the two peers.")
    def test_moon(lab, moon):
        lab.up(MOON_SUN, moon=moon, connection=NET)

    @pytest.mark.parametrize("way", ["there", "back " * 60])
    @scenario("own-ways", "Runs in two ways.")
    def test_ways(lab, moon, sun, way):
        lab.up(MOON_SUN, moon=moon, sun=sun)
        (lab.folder / "way").write_text(way)

    @scenario("own-esp", "Needs ESP in the kernel.", needs=("esp",))
    def test_esp(lab):
        lab.up(HOST_TO_HOST)
"""
LONG = """
    from pathlib import Path
    from harness.scenario import scenario

    @scenario("own-long", "Runs until it is ended.")
    def test_long(lab):
        Path("/dev/console").write_text("the scenario runs\\n")
        while True:
            pass
"""
FILLING = """
    import contextlib

    from agreed import NET
    from harness.network.topologies import MOON_SUN
    from harness.scenario import scenario

    @scenario("own-filling", "Leaves no room on the disk while traffic is recorded.")
    def test_filling(lab, moon, sun):
        net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET)
        net.moon.initiate("net")
        with contextlib.suppress(OSError), (lab.folder / "filler").open("wb", 0) as filler:
            while True:
                filler.write(bytes(4096))
        with net.traffic("alice", "bob", every=0.01) as flow:
            flow.await_crossed(60)
"""
NAMES = (
    "own-pass",
    "own-fail",
    "own-disagree",
    "own-unsupported",
    "own-error",
    "own-moon",
    "own-esp",
)


def write_folder(folder: Path, extra: Mapping[str, str] | None = None) -> Path:
    """Write the scenarios into a folder; always the same content, so that a snapshot is kept."""
    files = {
        "agreed.py": AGREED,
        "test_own.py": SCENARIOS,
        "test_long.py": LONG,
        "test_then_filling.py": FILLING,
        **(extra or {}),
    }
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text).lstrip())
    (folder / "beside.txt").write_text("it travels along")
    return folder


def ikelab(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `ikelab` to its end; output and errors are both in `stdout`."""
    return _run("harness.cli", *arguments, cwd=cwd)


def run_pytest(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest itself to its end, with the project's plugin."""
    return _run("pytest", "-p", "harness.plugin", *arguments, cwd=cwd)


def environment() -> dict[str, str]:
    """The environment of this process, in which the project is found from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _run(module: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=environment(),
    )


def results(out: Path) -> dict[str, dict[str, Any]]:
    """The runs of `results.json` by their scenario, without what the wall's time decides."""
    runs = json.loads((out / "results.json").read_text())["runs"]
    return {
        run["scenario"]: {
            **run,
            "wall_s": None,
            "reason": re.sub(r"of \d+ datagrams", "of the datagrams", run["reason"]),
        }
        for run in runs
    }
