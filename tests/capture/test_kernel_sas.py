# SPDX-License-Identifier: GPL-2.0-or-later
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from harness.capture.kernel_sas import read_events, read_sad, read_sas
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES
from harness.kernel.algorithms import Algorithm
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, SecurityAssociation

MOON, SUN = ip_address("192.168.0.1"), ip_address("192.168.0.2")


def sa(**changes: Any) -> SecurityAssociation:
    return SecurityAssociation(0xC0FFEE01, MOON, SUN, **changes)


def test_what_the_kernel_tells_of_an_sa_is_its_secret() -> None:
    held = sa(
        mode="transport",
        encryption=Algorithm("cbc(aes)", b"e" * 32),
        integrity=Algorithm("hmac(sha256)", b"i" * 32, 128),
        esn=True,
        encapsulation=Encapsulation("espinudp", 4500, 4500),
    )
    (secret,) = read_sas([held.as_json()], "moon").secrets.ipsec
    assert secret.encryption is not None
    assert secret.integrity is not None
    assert (secret.spi, secret.destination) == (0xC0FFEE01, "192.168.0.2")
    assert (secret.encryption.name, secret.encryption_key) == ("AES_CBC_256", b"e" * 32)
    assert (secret.integrity.name, secret.integrity_key) == ("HMAC_SHA2_256_128", b"i" * 32)
    assert (secret.esn, secret.mode, secret.encapsulated) == (True, "transport", True)


@pytest.mark.parametrize("record", ENCRYPTIONS, ids=lambda one: one.name)
def test_every_encryption_of_the_kernel_is_known_by_its_name_there(record: Any) -> None:
    algorithm = Algorithm(record.names.xfrm, bytes(record.keymat_size), record.icv_size * 8)
    held = sa(aead=algorithm) if record.combined else sa(encryption=algorithm)
    reading = read_sas([held.as_json()], "moon")
    assert reading.problems == ()
    assert [one.encryption for one in reading.secrets.ipsec] == [record]


@pytest.mark.parametrize(
    "record",
    [one for one in INTEGRITIES if one.icv_size and one.names.xfrm],
    ids=lambda one: one.name,
)
def test_every_integrity_of_the_kernel_is_known_by_name_and_truncation(record: Any) -> None:
    algorithm = Algorithm(record.names.xfrm, bytes(record.key_size), record.icv_bits)
    reading = read_sas([sa(protocol="ah", integrity=algorithm).as_json()], "moon")
    assert [one.integrity for one in reading.secrets.ipsec] == [record]
    assert reading.secrets.ipsec[0].protocol == "ah"


def test_the_old_default_truncation_of_sha256_is_96_bits() -> None:
    held = sa(
        encryption=Algorithm("cbc(aes)", bytes(16)), integrity=Algorithm("hmac(sha256)", bytes(32))
    )
    (secret,) = read_sas([held.as_json()], "moon").secrets.ipsec
    assert secret.integrity is not None
    assert secret.integrity.icv_size == 12


def test_the_upper_half_of_extended_sequence_numbers_is_that_of_the_sa() -> None:
    key = Algorithm("rfc4106(gcm(aes))", bytes(20), 128)
    inbound = sa(aead=key, esn=True, replay=Replay(64, seq=5, seq_hi=3))
    outbound = sa(aead=key, esn=True, replay=Replay(64, oseq=5, oseq_hi=2))
    for values in ("as_json", "keys_as_json"):
        given = [getattr(held, values)() for held in (inbound, outbound)]
        assert [one.high for one in read_sas(given, "moon").secrets.ipsec] == [3, 2]


def test_what_is_kept_of_each_sa_is_enough_to_decrypt() -> None:
    held = sa(
        encryption=Algorithm("cbc(aes)", b"e" * 32),
        integrity=Algorithm("hmac(sha256)", b"i" * 32, 128),
        encapsulation=Encapsulation("espinudp", 4500, 4500),
    )
    kept = read_sas([held.keys_as_json()], "moon")
    assert kept == read_sas([held.as_json()], "moon")


def test_a_reservation_has_no_secret_and_is_no_problem() -> None:
    reading = read_sas([sa().as_json()], "moon")
    assert (len(reading.secrets), reading.problems) == (0, ())


def test_an_algorithm_that_nobody_knows_is_one_sentence() -> None:
    held = sa(encryption=Algorithm("cbc(serpent)", bytes(16)))
    (problem,) = read_sas([held.as_json()], "moon").problems
    assert problem == "moon: SA 0xc0ffee01 has an unknown algorithm, cbc(serpent) with 128 bits"


@pytest.mark.parametrize("broken", [{}, {"protocol": "esp", "aead": 7}])
def test_values_that_are_no_sa_are_a_problem_and_no_error(broken: dict[str, Any]) -> None:
    assert len(read_sas([broken], "moon").problems) == 1


def test_a_run_s_files_hold_the_same_as_the_values(tmp_path: Path) -> None:
    held = sa(aead=Algorithm("rfc4106(gcm(aes))", bytes(20), 128)).as_json()
    (tmp_path / "sad.json").write_text(json.dumps({"moon": {"sad": [held]}, "sun": {"sad": []}}))
    lines = [json.dumps({"node": "moon", "sa": held}), json.dumps({"node": "moon"}), "{broken"]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    expected = read_sas([held], "").secrets
    assert read_sad(tmp_path / "sad.json").secrets == expected
    events = read_events(tmp_path / "events.jsonl")
    assert events.secrets == expected
    assert events.problems == (
        f"{tmp_path / 'events.jsonl'} line 3 is no event; it is passed over",
    )


@pytest.mark.parametrize("text", ["", "[]", "7", '{"moon": 1}', '{"moon": {"sad": 3}}', "\0"])
def test_a_file_that_is_no_sad_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "sad.json").write_text(text)
    assert len(read_sad(tmp_path / "sad.json").problems) == 1
