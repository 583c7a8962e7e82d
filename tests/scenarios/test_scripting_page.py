# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/scripting.md shows is what a scenario runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_rule_on_the_page_is_the_rule_of_the_scenario() -> None:
    page = (ROOT / "docs" / "scripting.md").read_text()
    (shown,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    scenario = (ROOT / "scenarios" / "conformance" / "test_ignored.py").read_text()
    run = "\n".join(line.removeprefix("    ") for line in scenario.splitlines())
    assert shown.rstrip() in run


def test_every_rule_and_scenario_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "scripting.md").read_text()
    table = page.partition("## Coming from conftest")[2].partition("##")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[2])}
    folders = (ROOT / "scenarios").glob("conformance*")
    sources = "".join(one.read_text() for folder in folders for one in folder.glob("*.py"))
    there = set(re.findall(r'(?:rule|scenario)\(\s*"([^"]+)"', sources))
    assert named
    assert named - there == set()
