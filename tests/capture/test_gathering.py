# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from harness.capture.captured import load
from harness.capture.decryption import decrypt
from harness.capture.entries import Ike, Ipsec, Status
from harness.capture.gathering import secrets_in
from harness.capture.kernel_sas import read_events
from harness.capture.wireshark import write_profile
from tests.capture.runs import RUNS, Runs


@pytest.mark.parametrize("run", RUNS)
def test_a_run_s_folder_decrypts_all_of_its_capture(runs: Runs, run: str, tmp_path: Path) -> None:
    reading = secrets_in(runs.folder(run))
    assert reading.problems == ()
    found = decrypt(runs.captured(run).frames, reading.secrets)
    contents = [one.content for one in (*found.ike, *found.ipsec)]
    assert {one.status for one in contents if isinstance(one, Ike | Ipsec)} == {
        Status.CLEAR,
        Status.DECRYPTED,
    }
    # And so does the profile that is made of it, alone or in the folder of a run.
    write_profile(tmp_path / "wireshark", found.secrets)
    for folder in (tmp_path, tmp_path / "wireshark"):
        again = decrypt(
            load(runs.folder(run) / "capture.pcapng").frames, secrets_in(folder).secrets
        )
        assert [one.content.status for one in (*again.ike, *again.ipsec)] == [  # type: ignore[union-attr]
            one.status
            for one in contents  # type: ignore[union-attr]
        ]


def test_the_keys_that_kernels_were_given_are_among_those_that_both_logs_tell(runs: Runs) -> None:
    """The events have those of replaced SAs too; at the end of this run no SA is left."""
    given = read_events(runs.folder("ikev2-kernel") / "events.jsonl")
    assert given.problems == ()
    held = set(given.secrets.ipsec)
    assert len(held) == 3 * 2
    for node in ("moon", "sun"):
        told = {
            (one.spi, one.destination, one.encryption, one.encryption_key)
            for one in runs.keys("ikev2-kernel", node).secrets.ipsec
        }
        for one in held:
            assert (one.spi, one.destination, one.encryption, one.encryption_key) in told
            assert (one.mode, one.esn, one.encapsulated) == ("tunnel", False, False)


def test_the_kernels_events_alone_decrypt_all_esp_of_a_run(runs: Runs) -> None:
    given = read_events(runs.folder("ikev2-kernel") / "events.jsonl").secrets
    found = decrypt(runs.captured("ikev2-kernel").frames, given).ipsec
    assert {one.content.status for one in found} == {Status.DECRYPTED}  # type: ignore[union-attr]


def test_a_folder_without_secrets_is_one_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        (problem,) = secrets_in(folder).problems
        assert problem.startswith(f"{folder} holds no secrets; they are in files named ikev1_")
