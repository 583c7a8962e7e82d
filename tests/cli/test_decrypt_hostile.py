# SPDX-License-Identifier: GPL-2.0-or-later
"""`ikelab decrypt` on what no honest program wrote: a sentence, and what could be read is shown."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capture.secrets import Secrets
from harness.capture.wireshark import write_profile
from harness.cli import main
from harness.ike import payloads_v2 as v2
from tests.capture.packets import (
    clear,
    ethernet,
    frames,
    header,
    ike,
    ike_secret,
    ip,
    pcapng_of,
    sealed,
    udp,
)

CORPUS = [
    line.split(" | ")
    for line in Path(__file__).with_name("hostile_captures.txt").read_text().splitlines()
    if not line.startswith("#")
]
PCAP = struct.Struct("<IHHiIII")
RECORD = struct.Struct("<IIII")
HOSTILE = settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Said(NamedTuple):
    status: int
    output: str
    errors: str


def decrypting(*arguments: Path | str) -> Said:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(["decrypt", *map(str, arguments)])
    return Said(status, output.getvalue(), errors.getvalue())


@pytest.mark.parametrize(("status", "sentence", "octets"), CORPUS)
def test_each_capture_of_the_corpus_is_told_in_one_sentence(
    status: str, sentence: str, octets: str, tmp_path: Path
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(bytes.fromhex(octets))
    said = decrypting(path)
    assert said.status == int(status)
    assert sentence in said.output + said.errors
    assert len(said.errors.splitlines()) <= 1
    assert bool(said.output) == (said.status == 0)


def test_keys_of_the_wrong_length_are_told_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pcapng_of(frames([ike(clear(header(34, 0), []))])))
    (tmp_path / "ikev1_decryption_table").write_text("1122,aabb\n")
    (tmp_path / "ikev2_decryption_table").write_text(
        '# a comment\n1111111111111111,2222222222222222,aa,bb,"AES-CBC-128 [RFC3602]",,,"NONE"\n'
    )
    (tmp_path / "esp_sa").write_text('"IPv4","*","*","0x1","AES-CBC [RFC3602]","0xaa","NULL",""\n')
    said = decrypting(path, "--secrets", tmp_path)
    assert said.errors.splitlines() == [
        f"ikelab: {tmp_path}/ikev1_decryption_table line 1 is not used: "
        "its cookie has 2 octets and should have 8",
        f"ikelab: {tmp_path}/ikev2_decryption_table line 2 is not used: "
        "its key for AES-CBC-128 [RFC3602] has 1 octets and should have 16",
        f"ikelab: {tmp_path}/esp_sa line 1 is not used: "
        "its key for AES-CBC [RFC3602] has 1 octets and should have 16 or 24 or 32",
    ]
    assert said.status == 0
    assert said.output.splitlines()[0].endswith("IKE_SA_INIT request 0: HDR")


def test_a_message_is_found_among_very_many_unrelated_packets(tmp_path: Path) -> None:
    unrelated = ethernet(ip(udp(b"unrelated", 7, 9), 17))
    message = ethernet(ike(clear(header(34, 0), [])))
    records = [RECORD.pack(0, 0, len(unrelated), len(unrelated)) + unrelated] * 100_000
    records.append(RECORD.pack(1, 0, len(message), len(message)) + message)
    path = tmp_path / "large.pcap"
    path.write_bytes(PCAP.pack(0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    said = decrypting(path)
    line, *_ = said.output.splitlines()
    assert line.split()[0] == "100001"
    assert line.endswith("IKE_SA_INIT request 0: HDR")


def given_capture() -> bytes:
    secret = ike_secret()
    packets = [
        ike(clear(header(34, 0), [v2.Nonce(bytes(32))])),
        *(ike(one) for one in sealed(secret, header(37, 4), [v2.Notify(16384)])),
    ]
    return pcapng_of(frames(packets))


CAPTURE = given_capture()


@HOSTILE
@given(
    octets=st.one_of(
        st.binary(max_size=300),
        st.tuples(st.integers(0, len(CAPTURE)), st.binary(max_size=8)).map(
            lambda change: CAPTURE[: change[0]] + change[1] + CAPTURE[change[0] + len(change[1]) :]
        ),
        st.integers(0, len(CAPTURE)).map(lambda end: CAPTURE[:end]),
    )
)
def test_no_octets_are_an_error_of_ours(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(octets)
    write_profile(tmp_path / "keys", Secrets(ike_v2=(ike_secret(),)))
    said = decrypting(path, "--secrets", tmp_path / "keys", "--verbose")
    assert said.status in (0, 2)
    assert all(line.isprintable() for line in (said.output + said.errors).splitlines())
    assert bool(said.output) == (said.status == 0)


@HOSTILE
@given(
    rows=st.lists(st.text(max_size=120), max_size=5),
    name=st.sampled_from(("ikev1_decryption_table", "ikev2_decryption_table", "esp_sa")),
)
def test_no_table_is_an_error_of_ours(rows: list[str], name: str, tmp_path: Path) -> None:
    path, keys = tmp_path / "capture", tmp_path / "keys"
    path.write_bytes(CAPTURE)
    write_profile(keys, Secrets(ike_v2=(ike_secret(),)))
    with (keys / name).open("a", encoding="utf-8", errors="replace") as table:
        table.writelines(f"{row}\n" for row in rows)
    said = decrypting(path, "--secrets", keys)
    # The good row stays in use whatever stands beside it.
    assert said.status == 0
    assert "SK {N(INITIAL_CONTACT)}" in said.output
