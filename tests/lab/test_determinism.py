# SPDX-License-Identifier: GPL-2.0-or-later
"""Under the virtual clock equal seeds give equal bytes."""

import json
from pathlib import Path
from typing import Any

from tests.cli.commands import ikelab

EVIDENCE = (
    *("capture.pcapng", "sad.json", "events.jsonl", "replay.json", "ladder.txt"),
    *("wireshark/ikev1_decryption_table", "wireshark/ikev2_decryption_table", "wireshark/esp_sa"),
)


def run(out: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    """Run a scenario with rekeys in the lab kernel; its folder and its result without wall time."""
    done = ikelab(
        *("run", "net2net-rekey-psk", "--moon", "strongswan@5.9.8", "--sun", "strongswan@6.0.1"),
        *("--seed", str(seed), "--out", out),
    )
    assert done.returncode == 0, done.stdout
    (result,) = json.loads((out / "results.json").read_text())["runs"]
    return out / result["artifacts"], {**result, "wall_s": None}


def test_one_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    first, said_first = run(tmp_path / "first", 7)
    again, said_again = run(tmp_path / "again", 7)
    other, _ = run(tmp_path / "other", 8)
    assert said_first == said_again
    for name in EVIDENCE:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    for name in ("capture.pcapng", "sad.json"):
        assert (first / name).read_bytes() != (other / name).read_bytes(), name


def test_a_run_is_replayed_byte_for_byte(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, 7)
    done = ikelab("replay", folder)
    assert done.returncode == 0, done.stdout
    assert "the capture is the same, byte for byte" in done.stdout
