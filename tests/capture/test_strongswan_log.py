# SPDX-License-Identifier: GPL-2.0-or-later
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capture.exchanges import exchanges
from harness.capture.strongswan_log import parse_log, read_log
from tests.capture.runs import Runs

HOSTILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_both_ends_logs_hold_the_same_keys(runs: Runs) -> None:
    moon, sun = runs.keys("ikev2-psk", "moon").secrets, runs.keys("ikev2-psk", "sun").secrets
    assert len(moon.ike_v2) == 2
    assert set(moon.ike_v2) == set(sun.ike_v2)
    assert len(moon.ipsec) == 3 * 2 * 2
    assert set(moon.ipsec) == set(sun.ipsec)
    one, other = runs.keys("ikev1-psk", "moon").secrets, runs.keys("ikev1-psk", "sun").secrets
    assert len(one.ike_v1) == 1
    assert one.ike_v1 == other.ike_v1
    assert len(one.ike_v1[0].skeyid) == len(one.ike_v1[0].skeyid_a) == 20
    assert len(one.ike_v1[0].key) == len(one.ike_v1[0].initial_iv) == 16


def test_each_spi_has_a_candidate_for_either_key(runs: Runs) -> None:
    first, second = runs.keys("ikev1-psk", "moon").secrets.ipsec[:2]
    made = next(
        one.made for one in exchanges(runs.decrypted("ikev1-psk").entries) if hasattr(one, "made")
    )
    # moon installs its inbound SA first.
    assert (first.spi, first.destination) == (made[0], "192.168.0.1")
    assert first.encryption is not None
    assert first.integrity is not None
    assert (first.encryption.name, first.integrity.name) == ("AES_CBC_256", "HMAC_SHA2_256_128")
    assert first.encryption_key != second.encryption_key
    assert (
        replace(first, encryption_key=second.encryption_key, integrity_key=second.integrity_key)
        == second
    )


def test_threads_that_talk_at_once_do_not_mix_their_dumps() -> None:
    interleaved = """\
05[IKE] <a|1> Sk_d secret => 4 bytes @ 0x1
06[IKE] <b|2> Sk_d secret => 4 bytes @ 0x2
05[IKE] <a|1>    0: 00 00 00 00                                      ....
06[IKE] <b|2>    0: 00 00 00 00                                      ....
05[IKE] <a|1> Sk_ei secret => 20 bytes @ 0x1
06[IKE] <b|2> Sk_ei secret => 4 bytes @ 0x2
05[IKE] <a|1>    0: 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11  ................
06[IKE] <b|2>    0: BB BB BB BB                                      AA A
05[IKE] <a|1>   16: 22 22 22 22                                      ....
05[IKE] <a|1> Sk_er secret => 4 bytes @ 0x1
06[IKE] <b|2> Sk_er secret => 4 bytes @ 0x2
06[IKE] <b|2>    0: CC CC CC CC                                      ....
05[IKE] <a|1>    0: 33 33 33 33                                      ....
"""
    found = parse_log(interleaved).secrets.ike_v2
    assert [(one.ei.hex(), one.er.hex()) for one in found] == [
        ("bb" * 4, "cc" * 4),
        ("11" * 16 + "22" * 4, "33" * 4),
    ]


def test_a_log_with_times_before_each_line_reads_the_same(runs: Runs) -> None:
    log = runs.log("ikev2-psk")
    stamped = "".join(f"Nov 21 09:08:16 {line}\n" for line in log.splitlines())
    assert parse_log(stamped).secrets == parse_log(log).secrets


@pytest.mark.parametrize("name", ["to>sun", "a|b", "a> b", "<x>", "with a blank"])
def test_a_connection_may_have_any_name(name: str, runs: Runs) -> None:
    log = runs.log("ikev2-psk")
    called = re.sub(r"\] <[^|>\n]+(?=\|\d+> )", lambda _: f"] <{name}", log)
    assert called != log
    assert parse_log(called).secrets == parse_log(log).secrets


def test_a_log_that_ends_anywhere_gives_no_key_that_the_whole_does_not(runs: Runs) -> None:
    log = runs.log("ikev2-psk")
    whole = parse_log(log).secrets
    bare = {replace(one, pi=b"", pr=b"") for one in whole.ike_v2}
    for end in range(0, len(log), 997):
        part = parse_log(log[:end]).secrets
        # SK_p is logged after the keys that decrypt, which serve without it.
        assert set(part.ike_v2) <= {*whole.ike_v2, *bare}
        assert set(part.ipsec) <= set(whole.ipsec)


def test_a_missing_log_is_one_sentence(tmp_path: Path) -> None:
    (problem,) = read_log(tmp_path / "none.log").problems
    assert problem == (
        f"{tmp_path / 'none.log'} cannot be read (No such file or directory); its keys are missing"
    )


@HOSTILE
@given(data=st.data())
def test_no_log_is_an_error(runs: Runs, data: st.DataObject) -> None:
    real = st.sampled_from(runs.log("ikev2-psk").splitlines())
    lines = data.draw(st.lists(st.one_of(real, st.text(max_size=80)), max_size=60))
    assert parse_log("\n".join(lines)).problems == ()
