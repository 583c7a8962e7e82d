# SPDX-License-Identifier: GPL-2.0-or-later
"""A failed negotiation is explained wherever somebody may look for it."""

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.commands import ikelab

SENTENCE = (
    "moon asks for traffic 10.1.0.0/16 === 10.3.0.0/16, and sun wants 10.1.0.0/16 === 10.2.0.0/16: "
    "it answered TS_UNACCEPTABLE."
)
ROW = "  > traffic of sun   10.3.0.0/16  10.2.0.0/16"
LINE = "    on moon: connections.net-net.children.net-net.remote_ts = 10.2.0.0/16"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of ts-mismatch, and what was on the terminal."""
    out = tmp_path_factory.mktemp("out")
    done = ikelab("run", "ts-mismatch", "--kernel", "host", "--out", out)
    assert done.returncode == 0, done.stdout
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    return folder, done.stdout


def test_the_terminal_has_the_sentence_the_table_and_what_to_change(run: tuple[Path, str]) -> None:
    told = run[1].splitlines()
    assert [line in told for line in (SENTENCE, ROW, LINE)] == [True, True, True]


def test_the_folder_and_the_results_have_it_for_people_and_programs(run: tuple[Path, str]) -> None:
    folder, _ = run
    assert (folder / "diagnosis.txt").read_text().startswith(f"{SENTENCE}\n")
    (of_folder,) = json.loads((folder / "diagnosis.json").read_text())
    (of_results,) = json.loads((folder.parent / "results.json").read_text())["runs"]
    assert of_results["diagnosis"] == [of_folder]
    assert of_folder["cause"] == "no common traffic selectors"
    assert of_folder["differing"] == {"traffic of sun": ["10.3.0.0/16", "10.2.0.0/16"]}
    assert [one["node"] for one in of_folder["remedies"]] == ["moon", "sun"]


def test_junit_has_the_sentence_as_a_property(run: tuple[Path, str]) -> None:
    tree = ElementTree.parse(run[0].parent / "junit.xml")
    properties = {one.get("name"): one.get("value") for one in tree.iter("property")}
    assert properties["diagnosis"] == SENTENCE


def test_decrypt_says_the_same_of_the_capture_with_the_folder_of_its_run(
    run: tuple[Path, str],
) -> None:
    folder, _ = run
    done = decrypted(folder)
    assert done.stdout.endswith((folder / "diagnosis.txt").read_text())


def test_without_configurations_decrypt_says_what_is_known(
    run: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = run
    (tmp_path / "keys").mkdir()
    for table in (folder / "wireshark").iterdir():
        (tmp_path / "keys" / table.name).write_bytes(table.read_bytes())
    done = ikelab("decrypt", folder / "capture.pcapng", "--secrets", tmp_path / "keys")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "sun refused IKE_AUTH of moon with TS_UNACCEPTABLE; the packets and configurations do not "
        "say more."
    )


def decrypted(folder: Path) -> subprocess.CompletedProcess[str]:
    done = ikelab("decrypt", folder / "capture.pcapng", "--secrets", folder)
    assert done.returncode == 0
    return done
