# SPDX-License-Identifier: GPL-2.0-or-later
"""What README and docs/ tell to type can be typed: commands, options, scenarios, files."""

import re
import shlex
from pathlib import Path

import pytest

from harness.cli import COMMANDS
from tests.cli.commands import ikelab

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What stands for something of the reader's own.
PLACEHOLDER = re.compile(r"[A-Z]+|\.\.\.|…")
CATALOGUE = "\n".join(path.read_text() for path in (ROOT / "scenarios").rglob("test_*.py"))


def commands() -> list[tuple[str, list[str]]]:
    """Each command line that begins with `ikelab` and one of its commands, with its page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        lines = re.findall(r"^(?:\$ )?(ikelab .+)$", text, re.MULTILINE)
        lines += [re.sub(r"\s+", " ", one) for one in re.findall(r"`(ikelab [^`|]+)`", text)]
        for line in lines:
            words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)[1:]
            if words and words[0] in COMMANDS:
                found.append((page.name, words))
    return found


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    return {name: ikelab(name, "--help").stdout for name in COMMANDS}


def test_every_command_that_is_shown_has_its_options(helps: dict[str, str]) -> None:
    shown = commands()
    assert len(shown) > 10
    unknown = [
        (page, command, word)
        for page, (command, *words) in shown
        for word in words
        if word.startswith("--") and not re.search(rf"{word}\b", helps[command])
    ]
    assert unknown == []


def test_every_scenario_that_is_shown_is_in_the_catalogue() -> None:
    unknown = []
    for page, (command, *words) in commands():
        if command != "run":
            continue
        # Every option of a run that is shown has a value, but for these.
        flags = ("--both-ways", "--in-turns", "--ladder", "--strict")
        valued = {at + 1 for at, word in enumerate(words) if word[:2] == "--" and word not in flags}
        names = [word for at, word in enumerate(words) if word[:2] != "--" and at not in valued]
        names = [name for name in names if not PLACEHOLDER.fullmatch(name)]
        unknown += [(page, name) for name in names if f'"{name}"' not in CATALOGUE]
    assert unknown == []


def test_every_file_of_the_project_that_is_named_is_there() -> None:
    named = [
        (page.name, name)
        for page in PAGES
        for name in re.findall(
            r"`((?:harness|scenarios|tests|images|ci|docs)/[\w/.-]+)`", page.read_text()
        )
    ]
    assert len(named) > 20
    # A layer that is one module is called without its suffix.
    there = [one for one in named if any((ROOT / (one[1] + end)).exists() for end in ("", ".py"))]
    assert [one for one in named if one not in there] == []


def test_every_link_between_pages_leads_to_a_page_and_a_heading() -> None:
    dead = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]*(?:#[\w-]+)?)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            other = (page.parent / name) if name else page
            if not other.exists():
                dead.append((page.name, target))
            elif anchor:
                heads = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
                if anchor not in slugs:
                    dead.append((page.name, target))
    assert dead == []
