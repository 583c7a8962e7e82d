# SPDX-License-Identifier: GPL-2.0-or-later
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from harness.capture.secrets import Secrets
from harness.capture.wireshark import write_profile
from harness.ike import payloads_v2 as v2
from harness.ike.transforms import encryption, key_exchange
from harness.ike.v1.configuration import Phase1, Phase1Mode
from tests.capture.packets import (
    esp_secret,
    frames,
    header,
    ike,
    ike_secret,
    ip,
    pcapng_of,
    sealed,
    sealer,
    udp,
)
from tests.cli.commands import command, ikelab
from tests.ike.v1.pair import Pair, seil, swan

USAGE = 2
NOT_NEEDED = ("pytest", "pyroute2", "scapy", "harness.machine.qmp", "harness.plugin", "rich")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture of two messages and two packets, with Wireshark's tables in `keys` beside it."""
    secret, esp = ike_secret(), esp_secret(encryption("AES_GCM_16_128"))
    messages = [
        *sealed(secret, header(37, 4), [v2.Notify(16384)]),
        *sealed(secret, header(37, 4, initiator=False, response=True), []),
    ]
    sending = sealer(esp)
    inner = ip(udp(b"hello", 7, 9), 17, "10.1.0.10", "10.2.0.10")
    packets = [ike(one, back=bool(back)) for back, one in enumerate(messages)]
    packets += [ip(sending.seal(inner, 4), 50) for _ in range(2)]
    path = tmp_path / "some.pcapng"
    path.write_bytes(pcapng_of(frames(packets)))
    write_profile(tmp_path / "keys", Secrets(ike_v2=(secret,), ipsec=(esp,)))
    return path


def test_a_capture_from_anywhere_is_a_ladder_with_wireshark_s_tables(capture: Path) -> None:
    done = ikelab("decrypt", capture, "--secrets", capture.parent / "keys")
    assert done.returncode == 0
    request, response, packets = (line.partition("  ")[2] for line in done.stdout.splitlines())
    assert "INFORMATIONAL request 4: HDR, SK {N(INITIAL_CONTACT)}" in request
    assert "INFORMATIONAL response 4: HDR, SK {}" in response
    assert "(2 packets), tunnel: UDP 10.1.0.10 port 7 → 10.2.0.10 port 9" in packets
    assert "\033" not in done.stdout


def test_without_keys_each_line_says_what_is_missing(capture: Path) -> None:
    done = ikelab("decrypt", capture)
    assert done.returncode == 0
    assert done.stdout.count("no key: there is no key for the IKE SA 1111111111111111") == 2
    assert done.stdout.count("unknown SPI: no SA with SPI 0xc0ffee01 to 192.0.2.2 is known") == 1


def test_verbose_shows_every_field(capture: Path) -> None:
    done = ikelab("decrypt", capture, "--secrets", capture.parent / "keys", "--verbose")
    assert "header: initiator SPI 1111111111111111, responder SPI 2222222222222222" in done.stdout
    assert "notify_type: 16384" in done.stdout


def test_only_the_modules_that_it_needs_are_imported(capture: Path) -> None:
    """It is to start within 0.4 s, which no import of a test framework leaves room for."""
    code = (
        "import sys; from harness.cli import main; "
        f"main(['decrypt', {str(capture)!r}]); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stderr.split()
    assert "harness.capture.ladder" in imported
    assert [name for name in NOT_NEEDED if name in imported] == []


def test_the_folder_of_a_run_stands_for_its_capture_and_its_keys(capture: Path) -> None:
    run = capture.parent / "run"
    run.mkdir()
    capture.rename(run / "capture.pcapng")
    (capture.parent / "keys").rename(run / "wireshark")
    done = ikelab("decrypt", run)
    assert done.returncode == 0
    assert "INFORMATIONAL request 4: HDR, SK {N(INITIAL_CONTACT)}" in done.stdout


def test_a_terminal_gets_lines_that_fit_and_a_file_the_same_words(capture: Path) -> None:
    arguments = command("decrypt", capture, "--secrets", capture.parent / "keys")
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "", "LINES": ""}
    shown = pexpect.run(
        shlex.join(map(str, arguments)), env=environment, encoding="utf-8", dimensions=(24, 60)
    )
    assert max(map(len, shown.splitlines())) <= 60
    piped = ikelab(*arguments[arguments.index("decrypt") :]).stdout
    assert max(map(len, piped.splitlines())) > 60
    assert shown.split() == piped.split()


def test_a_reader_that_stops_early_ends_it_quietly(capture: Path) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "w") as closed:
        done = subprocess.run(
            command("decrypt", capture), stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_what_cannot_be_read_at_all_is_one_sentence_and_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("this is no capture")
    missing = tmp_path / "missing"
    for arguments, sentence in (
        ((missing,), f"{missing} cannot be read: No such file or directory"),
        ((tmp_path,), f"{tmp_path} cannot be read: Is a directory"),
        ((tmp_path / "empty",), f"{tmp_path / 'empty'}: the capture is empty"),
        (
            (tmp_path / "text",),
            f"{tmp_path / 'text'}: the file is no capture: it begins",
        ),
    ):
        done = ikelab("decrypt", *arguments)
        assert done.returncode == USAGE
        assert len(done.stdout.splitlines()) == 1
        assert done.stdout.startswith(f"ikelab: {sentence}")


def test_a_folder_without_keys_is_a_usage_error(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = ikelab("decrypt", capture, "--secrets", tmp_path / "nothing")
    assert done.returncode == USAGE
    assert f"{tmp_path / 'nothing'} holds no secrets" in done.stdout


def test_rows_that_are_malformed_are_told_by_file_and_line_and_the_others_used(
    capture: Path,
) -> None:
    table = capture.parent / "keys" / "ikev2_decryption_table"
    table.write_text("11,22\n" + table.read_text())
    done = ikelab("decrypt", capture, "--secrets", table.parent)
    assert done.returncode == 0
    assert f"ikelab: {table} line 1 is not used: it has 2 fields and should have 8" in done.stdout
    assert "SK {N(INITIAL_CONTACT)}" in done.stdout


def test_a_damaged_capture_is_shown_as_far_as_it_goes(capture: Path) -> None:
    whole = capture.read_bytes()
    capture.write_bytes(whole[:-30])
    done = ikelab("decrypt", capture, "--secrets", capture.parent / "keys")
    assert done.returncode == 0
    assert "the capture is damaged after packet 3" in done.stdout
    assert "SK {N(INITIAL_CONTACT)}" in done.stdout


@pytest.fixture
def aggressive(tmp_path: Path) -> Path:
    """A capture of an Aggressive Mode exchange with the preshared key of the seed."""
    phase1 = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
    pair = Pair(seil(phase1=phase1), swan(phase1=phase1))
    pair.up()
    ends = {"10.0.0.1": False, "10.0.0.2": True}
    packets = [ike(one.data, back=ends[one.source.host]) for one in pair.sent]
    path = tmp_path / "aggressive.pcapng"
    path.write_bytes(pcapng_of(frames(packets)))
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"password\nxeeB5gohvaYi\n", "guess: the preshared key is 'xeeB5gohvaYi'"),
        (b"password\nletmein\n\xff\xfe\n", "guess: none of 3 words is the preshared key"),
    ],
)
def test_a_word_list_is_tried_on_aggressive_mode(aggressive: Path, words: bytes, said: str) -> None:
    list_of = aggressive.parent / "words"
    list_of.write_bytes(words)
    done = ikelab("decrypt", aggressive, "--guess", list_of)
    assert done.returncode == 0
    assert said in done.stdout.splitlines()


def test_a_guess_needs_aggressive_mode_and_a_list(capture: Path) -> None:
    (capture.parent / "words").write_bytes(b"word\n")
    done = ikelab("decrypt", capture, "--guess", capture.parent / "words")
    assert done.stdout.splitlines()[-1] == (
        "guess: no first two messages of Aggressive Mode with a preshared key are there"
    )
    done = ikelab("decrypt", capture, "--guess", capture.parent / "none")
    assert done.returncode == USAGE
    assert done.stdout.endswith("/none cannot be read: No such file or directory\n")


def test_why_a_negotiation_failed_is_said_below_the_ladder(tmp_path: Path) -> None:
    pair = Pair(seil(phase1=Phase1(groups=(key_exchange("MODP_1024"),))), swan())
    pair.initiate()
    pair.run()
    path = tmp_path / "refused.pcapng"
    first, refusal = (one.data for one in pair.sent)
    path.write_bytes(pcapng_of(frames([ike(first), ike(refusal, back=True)])))
    done = ikelab("decrypt", path)
    assert done.returncode == 0
    ladder, _, explanation = done.stdout.partition("\n\n")
    assert "NO-PROPOSAL-CHOSEN" in ladder
    assert explanation.startswith("192.0.2.2 refused the proposals of 192.0.2.1 with ")
    assert "MODP 1024" in explanation
