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
