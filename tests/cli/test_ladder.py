# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from tests.cli.commands import ikelab

REFUSED = "IKE_SA_INIT response 0: HDR, N(NO_PROPOSAL_CHOSEN)"
FAILED = "IKE_AUTH response 1: HDR, SK {N(AUTHENTICATION_FAILED)}"
BOTH = ("proposal-mismatch-ike", "auth-failure")


def test_a_run_on_its_own_shows_what_was_said(tmp_path: Path) -> None:
    done = ikelab("run", "proposal-mismatch-ike", "--out", tmp_path)
    assert done.returncode == 0, done.stdout
    assert REFUSED in done.stdout
    assert "\033" not in done.stdout
    (ladder,) = tmp_path.glob("*/ladder.txt")
    assert ladder.read_text() in done.stdout


@pytest.mark.parametrize(("option", "shown"), [((), 0), (("--ladder",), 1)])
def test_of_several_runs_it_is_shown_when_asked_for(
    option: tuple[str, ...], shown: int, tmp_path: Path
) -> None:
    done = ikelab("run", *BOTH, *option, "--out", tmp_path)
    assert done.returncode == 0, done.stdout
    for line in (REFUSED, FAILED):
        assert done.stdout.count(line) == shown
    assert len(list(tmp_path.glob("*/ladder.txt"))) == len(BOTH)
