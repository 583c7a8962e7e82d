# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab scenarios``: what can be run, and what each claims."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.run import HERE, STATUS, rooted_in
from harness.scenario import Scenario

if TYPE_CHECKING:
    import pytest


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "scenarios",
        help="list the scenarios, and what each claims",
        description="List the scenarios of the catalogue, or those with one of the words in their "
        "name or claim.",
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="such as rekey")
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
    """Print one line a scenario, below the folder it is in; 2 when there is none."""
    if not options.folder.exists():
        return _usage(f"--folder {options.folder}: there is no such folder")
    import pytest

    catalogue = Catalogue()
    folder = options.folder.absolute()
    quiet = ("-p", "harness.plugin", "-p", "no:terminal", "-p", "no:cacheprovider")
    unwarned = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    arguments = [*quiet, *unwarned, "--collect-only", *rooted_in(folder), str(folder)]
    status = pytest.main(arguments, plugins=[catalogue])
    if catalogue.problems:
        return _usage("\n".join(catalogue.problems))
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return STATUS.get(int(status), 3)
    found = {
        where: chosen
        for where, members in catalogue.scenarios.items()
        if (chosen := [one for one in members.values() if _is_asked(one, options.words)])
    }
    if not found:
        asked = " or ".join(repr(word) for word in options.words)
        return _usage(
            f"no scenario has {asked} in it; without words all are listed"
            if asked
            else f"there is no scenario in {options.folder}"
        )
    width = max(len(one.name) for members in found.values() for one in members)
    for where, members in found.items():
        print(where)
        for one in members:
            source = f" (RFC {one.rfc})" if one.rfc else ""
            print(f"  {one.name:<{width}}  {one.sentence}{source}")
    return 0


class Catalogue:
    """A pytest plugin that notes the scenarios by the folder that they are in, and by name."""

    def __init__(self) -> None:
        self.scenarios: dict[str, dict[str, Scenario]] = {}
        self.problems: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the scenarios that were found."""
        for item in session.items:
            for mark in item.iter_markers("scenario"):
                where = item.nodeid.rpartition("/")[0] or "."
                self.scenarios.setdefault(where, {})[mark.args[0].name] = mark.args[0]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a file that cannot be imported."""
        if report.failed:
            why = report.longreprtext.splitlines()[-1].removeprefix("E").strip()
            self.problems.append(f"{report.nodeid} cannot be imported: {why}")


def _is_asked(one: Scenario, words: Iterable[str]) -> bool:
    text = f"{one.name} {one.sentence}".lower()
    return not words or any(word.lower() in text for word in words)


def _usage(sentence: str) -> int:
    print(f"ikelab: {sentence}", file=sys.stderr)
    return 2
