# SPDX-License-Identifier: GPL-2.0-or-later
import json
import stat
from pathlib import Path

from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Phase1
from harness.verdict.diagnosis.context import Exit
from harness.verdict.diagnosis.evidence import exits_in, read_diagnoses, text_of, write_diagnoses
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Row
from harness.verdict.diagnosis.text import lines, text
from tests.ike.v1.pair import seil, swan
from tests.verdict.diagnosis.engines import tried_v1

SEED = Phase1((encryption("AES_CBC_256"),), (prf("HMAC_SHA2_256"),), (key_exchange("MODP_1024"),))
SWAN = Phase1((encryption("AES_CBC_256"),), (prf("HMAC_SHA2_256"),), (key_exchange("MODP_1536"),))


def mismatch() -> Diagnosis:
    return tried_v1(seil(phase1=SEED), swan(phase1=SWAN)).diagnosis()


def test_a_diagnosis_is_a_sentence_a_table_with_marks_and_what_to_change() -> None:
    assert text([mismatch()]).splitlines() == [
        "sun wants the DH group MODP 1536 for the ISAKMP SA and was offered MODP 1024: it answered "
        "NO-PROPOSAL-CHOSEN.",
        "",
        "                    moon offers     sun wants",
        "    encryption      AES_CBC_256     AES_CBC_256",
        "    hash            HMAC_SHA2_256   HMAC_SHA2_256",
        "  > DH group        MODP 1024       MODP 1536",
        "    authentication  pre-shared key  pre-shared key",
        "    lifetime        86400 s         86400 s",
        "",
        "  To mend it, change one side:",
        "    on moon: proposals for IKE: aes256-sha256-modp1536",
        "    on sun: proposals for IKE: aes256-sha256-modp1024",
    ]


def test_nothing_that_a_peer_sent_can_move_the_cursor() -> None:
    row = Row("identity", "evil\033[2Jname", "moon", True)
    told = list(lines(Diagnosis(Cause.IDENTITY, "who is \033[1m this", "a\n", "b", rows=(row,))))
    assert all(line.isprintable() for line in told)


def test_a_run_keeps_its_diagnosis_for_its_owner_alone_and_never_that_of_an_earlier_run(
    tmp_path: Path,
) -> None:
    write_diagnoses(tmp_path, [mismatch()])
    assert stat.S_IMODE((tmp_path / "diagnosis.txt").stat().st_mode) == 0o600
    assert text_of(tmp_path) == text([mismatch()]) + "\n"
    (found,) = read_diagnoses(tmp_path)
    assert found["differing"] == {"DH group": ["MODP 1024", "MODP 1536"]}
    assert found["remedies"][0]["text"] == "proposals for IKE: aes256-sha256-modp1536"
    write_diagnoses(tmp_path, [])
    assert read_diagnoses(tmp_path) == []
    assert text_of(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_none_are_none(tmp_path: Path) -> None:
    for wrong in ("", "{", "3", '["x"]'):
        (tmp_path / "diagnosis.json").write_text(wrong)
        assert read_diagnoses(tmp_path) == []


def test_the_end_of_a_daemon_is_read_from_the_events_of_a_run(tmp_path: Path) -> None:
    events = [
        {"node": "moon", "time_ns": 5, "event": "IkeUp(...)"},
        {"node": "sun", "time_ns": 7, "event": "Exited(status=-11)"},
    ]
    lines_of = [json.dumps(one) for one in events]
    (tmp_path / "events.jsonl").write_text("\n".join([*lines_of, "Exited(status=1) but no JSON"]))
    assert exits_in(tmp_path) == {"sun": Exit(-11, 7)}
    assert exits_in(tmp_path / "nowhere") == {}
