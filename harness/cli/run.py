# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab run``: scenarios by name, through pytest."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[2]
STATUS = {0: 0, 1: 1, 2: 130, 3: 3, 4: 2, 5: 2}
"""Exit statuses by pytest's: a usage error and an empty selection are both the caller's."""


COMMON = (
    *("-p", "harness.plugin", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=short"),
    # The command itself has imported the plugin before pytest could.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
ROOTED = ("--rootdir", str(HERE), "-c", str(HERE / "pyproject.toml"))


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run scenarios and write their evidence",
        description="Run scenarios of the catalogue, all of them if none is named. What follows "
        "-- is given to pytest as it stands.",
        allow_abbrev=False,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="by name")
    parser.add_argument("--moon", metavar="PEER", help="peers in the role of moon, by commas")
    parser.add_argument("--sun", metavar="PEER", help="peers in the role of sun, by commas")
    parser.add_argument("--both-ways", action="store_true", help="exchange the roles too")
    parser.add_argument("--kernel", metavar="auto|host|NAME", help="the kernel to run in")
    parser.add_argument("--clock", choices=("auto", "virtual", "real"), help="whose time it is")
    parser.add_argument(
        "--data-plane", choices=("auto", "kernel", "userspace"), help="who does ESP"
    )
    parser.add_argument("--seed", type=int, help="where all randomness comes from (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the evidence")
    parser.add_argument(
        "--strict", action="store_true", help="unsupported and not-run count as failures"
    )
    parser.add_argument(
        "--ladder",
        action="store_true",
        help="show the decrypted messages of every run, as for one run on its own",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="how many at once (default: one for each processor)"
    )
    parser.add_argument(
        "--folder", type=Path, default=HERE / "scenarios", help="where the scenarios are"
    )
    parser.set_defaults(command=command)


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

    return STATUS.get(int(pytest.main(list(arguments))), 3)


def evidence_in(out: Path) -> list[str]:
    """The arguments that send results and evidence into a folder."""
    return [f"--out={out}", f"--junitxml={out / 'junit.xml'}"]


def pytest_arguments(options: argparse.Namespace) -> list[str]:
    """The command line of pytest for the options of this one."""
    out = options.out.absolute()
    own = options.folder.absolute().is_relative_to(HERE)
    arguments = [*COMMON, *evidence_in(out)]
    if own:
        arguments += ROOTED
    for name in ("moon", "sun", "kernel", "clock", "data_plane", "seed"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--{name.replace('_', '-')}={value}")
    arguments += ["--both-ways"] * options.both_ways + ["--strict-verdicts"] * options.strict
    arguments += ["--ladder"] * options.ladder
    arguments += [f"--scenario={name}" for name in options.scenarios]
    jobs = options.jobs or (1 if len(options.scenarios) == 1 else os.cpu_count() or 1)
    if jobs > 1:
        arguments += ["-n", str(jobs)]
    return [*arguments, *options.for_pytest, str(options.folder.absolute())]
