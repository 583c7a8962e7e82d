# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab run``: scenarios by name, through pytest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plugin.options import DEFAULT_PEER

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parents[2]
STATUS = {0: 0, 1: 1, 2: 130, 3: 3, 4: 2, 5: 2}
"""Exit statuses by pytest's: a usage error and an empty selection are both the caller's."""


COMMON = (
    *("-p", "harness.plugin", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=short"),
    # The command itself has imported the plugin before pytest could.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
ROOTED = ("--rootdir", str(HERE), "-c", str(HERE / "pyproject.toml"))


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run scenarios and write their evidence",
        description="Run scenarios of the catalogue, all of them if none is named. What follows "
        "-- is given to pytest as it stands.",
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="by name")
    for role in ("moon", "sun"):
        parser.add_argument(
            f"--{role}",
            metavar="PEER",
            help=f"peers in the role of {role}, by commas (default: {DEFAULT_PEER})",
        )
    parser.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="MOON:SUN",
        help="one pair of peers, instead of all that --moon and --sun make; may be given again",
    )
    parser.add_argument("--both-ways", action="store_true", help="exchange the roles too")
    parser.add_argument(
        "--in-turns",
        action="store_true",
        help="run each scenario with one pair only: the pairs take turns",
    )
    parser.add_argument(
        "--kernel",
        metavar="auto|host|NAME",
        help="the host's, a lab kernel such as debian-6.1, or auto (default): the host's where it"
        " has what a scenario needs",
    )
    parser.add_argument(
        "--clock",
        choices=("auto", "virtual", "real"),
        help="virtual time, which needs a lab kernel, real time, or auto (default): virtual in a"
        " lab kernel",
    )
    parser.add_argument(
        "--data-plane",
        choices=("auto", "kernel", "userspace"),
        help="who does ESP: the kernel, the daemon, or auto (default): the kernel if it can",
    )
    parser.add_argument(
        "--front-end",
        metavar="DIALECT",
        help="how a strongSwan opposite a SEIL gets its files: ipsec.conf (default), swanctl.conf,"
        " or both, by commas",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="where all randomness of a lab kernel comes from (default: 1); with it there is one",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("out"),
        help="folder for results.json, report.html and one folder a run (default: out)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="unsupported and not-run count as failures"
    )
    parser.add_argument(
        "--ladder",
        action="store_true",
        help="show the decrypted messages of every run, as for one run on its own",
    )
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="how many at once (default: one for each processor); what took longest in the results "
        "that --out has starts first",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=HERE / "scenarios",
        help="where the scenarios are, if not the project's",
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Run what the options say and return the exit status."""
    if not options.folder.exists():
        print(f"ikelab: --folder {options.folder}: there is no such folder", file=sys.stderr)
        return 2
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"ikelab: --out {options.out}: {error.strerror}; name another", file=sys.stderr)
        return 2
    return run_pytest(pytest_arguments(options))


def run_pytest(arguments: Sequence[str]) -> int:
    """Run pytest with the project's plugin and return our exit status for it."""
    import pytest

    ends = Ends()
    status = int(pytest.main(list(arguments), plugins=[ends]))
    if ends.uncollected or (status == pytest.ExitCode.INTERRUPTED and not ends.interrupted):
        # pytest says "interrupted" of what cannot be collected, and "failed" when run in parallel.
        return STATUS[pytest.ExitCode.USAGE_ERROR]
    if ends.interrupted:
        print("ikelab: interrupted; what was recorded until then is kept", file=sys.stderr)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        print("ikelab: no scenario was run: none was found that was asked for", file=sys.stderr)
    return STATUS.get(status, 3)


class Ends:
    """A pytest plugin that notes what ends a session before its scenarios do."""

    def __init__(self) -> None:
        self.interrupted = False
        self.uncollected = False

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Take note of Ctrl-C; pytest uses the same word for what it ends itself."""
        self.interrupted = type(excinfo.value) is KeyboardInterrupt

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a file that holds no scenarios because it cannot be imported."""
        self.uncollected = self.uncollected or report.failed


def evidence_in(out: Path) -> list[str]:
    """The arguments that send results and evidence into a folder."""
    return [f"--out={out}", f"--junitxml={out / 'junit.xml'}"]


def pytest_arguments(options: argparse.Namespace) -> list[str]:
    """The command line of pytest for the options of this one."""
    out = options.out.absolute()
    folder = options.folder.absolute()
    arguments = [*COMMON, *evidence_in(out), *rooted_in(folder)]
    for name in ("moon", "sun", "kernel", "clock", "data_plane", "front_end", "seed"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--{name.replace('_', '-')}={value}")
    arguments += ["--in-turns"] * options.in_turns
    arguments += ["--both-ways"] * options.both_ways + ["--strict-verdicts"] * options.strict
    arguments += ["--ladder"] * options.ladder
    arguments += [f"--pair={pair}" for pair in options.pair]
    arguments += [f"--scenario={name}" for name in options.scenarios]
    jobs = options.jobs or (1 if len(options.scenarios) == 1 else os.cpu_count() or 1)
    if jobs > 1:
        # One run after the other goes to whoever is free: by then most of the time is known.
        arguments += ["-n", str(jobs), "--maxschedchunk=1", "--longest-first"]
    return [*arguments, *options.for_pytest, str(folder)]


def rooted_in(folder: Path) -> Sequence[str]:
    """The arguments that make the folder of the scenarios, if not the project, the rootdir.

    What lies below it, and nothing else, is in the lab kernel too.
    """
    if folder.is_relative_to(HERE):
        return ROOTED
    return ("--rootdir", str(folder if folder.is_dir() else folder.parent))


def count(text: str) -> int:
    """A number of processes from the command line; raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 on")
    return int(text)
