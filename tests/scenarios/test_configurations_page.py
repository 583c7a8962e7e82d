# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/configurations.md shows is what comes out of it."""

import re
from pathlib import Path

import pytest

from tests.cli.commands import ikelab

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configurations.md").read_text()
PASS, FAIL = 0, 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page in a folder."""
    files = re.findall(r"^`([\w.]+)`:\n\n```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(files) == 4
    own = tmp_path / "own"
    own.mkdir()
    for name, text in files:
        (own / name).write_text(text)
    return own


def test_the_page_shows_why_its_configurations_fail_and_what_mends_them(
    folder: Path, tmp_path: Path
) -> None:
    command = ("run", "--folder", folder, "--kernel", "host", "--jobs", "1", "--out", tmp_path)
    failed = ikelab(*command)
    assert failed.returncode == FAIL, failed.stdout
    (said,) = re.findall(r"^```\n(sun wants .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for part in said.split("...\n"):
        assert part in failed.stdout
    mended = said.partition("on seil: ")[2].splitlines()[0]
    (folder / "seil.conf").write_text(f"{(folder / 'seil.conf').read_text()}{mended}\n")
    passed = ikelab(*command)
    assert passed.returncode == PASS, passed.stdout
