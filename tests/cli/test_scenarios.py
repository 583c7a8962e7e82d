# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from tests.cli.commands import ikelab
from tests.plugin.folder import NAMES, write_folder

USAGE = 2
BROKEN = "import nothing_of_that_name\n"


def listed(shown: str) -> list[str]:
    return [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]


def test_the_scenarios_are_listed_once_each_with_their_claims_by_folder() -> None:
    done = ikelab("scenarios")
    assert done.returncode == 0, done.stdout
    names = listed(done.stdout)
    assert len(names) == len(set(names)) > 100
    lines = done.stdout.splitlines()
    assert any(
        line.split(maxsplit=1)
        == [
            "delete-child",
            "A CHILD_SA that one end deletes is gone at both, and the IKE SA stays. "
            "(RFC 7296 1.4.1)",
        ]
        for line in lines[lines.index("scenarios/ikev2") : lines.index("scenarios/manual")]
    )


def test_words_choose_the_scenarios_that_have_one_of_them_in_name_or_claim() -> None:
    done = ikelab("scenarios", "narrow", "ADDRESS changes")
    assert listed(done.stdout) == ["ts-narrowing", "fragmentation", "mobike", "mobike-responder"]


def test_the_scenarios_of_somebodys_own_folder_are_listed(tmp_path: Path) -> None:
    done = ikelab("scenarios", "--folder", write_folder(tmp_path / "own"))
    assert set(NAMES) < set(listed(done.stdout))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "ikelab: no scenario has 'nonsense' in it; without words all are listed"),
        (["--folder", "nowhere"], "ikelab: --folder nowhere: there is no such folder"),
        (
            ["--folder", "broken"],
            "ikelab: test_broken.py cannot be imported: "
            "ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        (["--folder", "empty"], "ikelab: there is no scenario in "),
    ],
)
def test_where_there_is_nothing_to_list_one_sentence_says_why(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "test_broken.py").write_text(BROKEN)
    folders = ("broken", "empty")
    done = ikelab("scenarios", *[tmp_path / one if one in folders else one for one in arguments])
    assert done.returncode == USAGE
    assert done.stdout.strip().startswith(sentence)
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_that_cannot_be_imported_is_the_callers_to_mend(jobs: str, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "test_broken.py").write_text(BROKEN)
    done = ikelab("run", "--folder", folder, "--out", tmp_path / "out", "--jobs", jobs)
    assert done.returncode == USAGE
    assert "No module named 'nothing_of_that_name'" in done.stdout
