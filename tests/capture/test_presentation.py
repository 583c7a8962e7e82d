# SPDX-License-Identifier: GPL-2.0-or-later
import stat
from pathlib import Path

import pytest

from harness.capture import presentation
from harness.capture.presentation import ladder_of, present
from harness.capture.secrets import Secrets
from harness.capture.wireshark import write_profile
from harness.ike import payloads_v2 as v2
from tests.capture.packets import (
    ethernet,
    frames,
    header,
    ike,
    ike_secret,
    pcapng_of,
    sealed,
)


def run_of(folder: Path) -> Path:
    """A run's folder with one message of an SA, and the keys where a peer left them."""
    secret = ike_secret()
    packets = [ike(one) for one in sealed(secret, header(37, 4), [v2.Notify(16384)])]
    (folder / "capture.pcapng").write_bytes(pcapng_of(frames(packets)))
    write_profile(folder / "moon", Secrets(ike_v2=(secret,)))
    return folder


def test_a_run_gets_its_ladder_and_a_profile_that_are_for_its_owner_alone(tmp_path: Path) -> None:
    folder = run_of(tmp_path)
    present(folder)
    (line,) = (folder / "ladder.txt").read_text().splitlines()
    assert line.endswith("INFORMATIONAL request 4: HDR, SK {N(INITIAL_CONTACT)}")
    assert list(ladder_of(folder)) == [line]
    assert stat.S_IMODE((folder / "ladder.txt").stat().st_mode) == 0o600
    moons = (folder / "moon" / "ikev2_decryption_table").read_text()
    assert (folder / "wireshark" / "ikev2_decryption_table").read_text() == moons


def test_keys_of_an_earlier_run_in_the_same_folder_are_not_taken_over(tmp_path: Path) -> None:
    folder = run_of(tmp_path)
    write_profile(folder / "wireshark", Secrets(ike_v2=(ike_secret(seed=9),)))
    present(folder)
    moons = (folder / "moon" / "ikev2_decryption_table").read_text()
    assert (folder / "wireshark" / "ikev2_decryption_table").read_text() == moons


def test_what_cannot_be_read_is_a_sentence_in_the_ladder_without_the_folder_s_name(
    tmp_path: Path,
) -> None:
    present(tmp_path)
    assert (tmp_path / "ladder.txt").read_text().splitlines() == [
        "There is no IKE, ESP or AH in this capture.",
        "capture.pcapng cannot be read: No such file or directory",
    ]
    run_of(tmp_path)
    whole = (tmp_path / "capture.pcapng").read_bytes()
    (tmp_path / "capture.pcapng").write_bytes(whole[:-1])
    (tmp_path / "moon" / "ikev2_decryption_table").write_text("11\n")
    present(tmp_path)
    problems = (tmp_path / "ladder.txt").read_text().splitlines()[1:]
    assert [one.partition(":")[0] for one in problems] == [
        "capture.pcapng",
        "moon/ikev2_decryption_table line 1 is not used",
    ]
    assert str(tmp_path) not in "".join(problems)


def test_a_fault_of_the_decryptor_takes_no_run_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(presentation, "decrypt", broken)
    present(run_of(tmp_path))
    (line,) = (tmp_path / "ladder.txt").read_text().splitlines()
    assert (
        line == "capture.pcapng could not be told, which is a fault of ikelab: KeyError('a fault')"
    )


def test_a_capture_without_ike_has_a_ladder_too(tmp_path: Path) -> None:
    (tmp_path / "capture.pcapng").write_bytes(pcapng_of(frames([ethernet(bytes(60))])))
    present(tmp_path)
    assert (tmp_path / "ladder.txt").read_text().startswith("There is no IKE, ESP or AH")
