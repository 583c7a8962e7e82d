# SPDX-License-Identifier: GPL-2.0-or-later
import io
import os
import pty
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capture.decryption import decrypt
from harness.capture.entries import Entry
from harness.capture.exchanges import Rekey, exchanges
from harness.capture.ladder import ANSI, PLAIN, colours_for, ladder, safe, write_ladder
from harness.capture.secrets import Secrets
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.transforms import encryption
from harness.ike.wire import VERSION_1, Message, encode
from harness.network.traffic import PORT
from tests.capture.packets import (
    MOON,
    SUN,
    clear,
    esp_secret,
    frame,
    frames,
    header,
    ike,
    ike_secret,
    ip,
    sealed,
    sealer,
    udp,
)
from tests.capture.runs import RUNS, Runs

SECRET = ike_secret()


def lines(entries: tuple[Entry, ...], **options: bool) -> list[str]:
    return list(ladder(entries, **options))  # type: ignore[arg-type]


def test_main_mode_and_quick_mode_are_nine_messages_in_clear(runs: Runs) -> None:
    entries = runs.decrypted("ikev1-psk").entries
    (_, quick_mode, *_) = exchanges(entries)
    number = f"{quick_mode.about.message_id:08x}"
    shown = lines(entries)
    nine = [line[20:] for line in shown if line[:6].strip()][:9]
    natt = ", VID(RFC 3706 DPD), VID(FRAGMENTATION), VID(RFC 3947 NAT-T)"
    assert nine == [
        "  moon:500 ───────▶ sun:500    Main Mode: HDR, SA, VID(XAUTH)" + natt
        + ", VID(draft-ietf-ipsec-nat-t-ike-02\\n)",
        "  moon:500 ◀─────── sun:500    Main Mode: HDR, SA, VID(XAUTH)" + natt,
        "  moon:500 ───────▶ sun:500    Main Mode: HDR, KE, NONCE, NAT-D, NAT-D",
        "  moon:500 ◀─────── sun:500    Main Mode: HDR, KE, NONCE, NAT-D, NAT-D",
        " moon:4500 ───────▶ sun:4500   Main Mode: HDR*, ID(moon.strongswan.org), HASH,"
        " N(INITIAL-CONTACT)",
        " moon:4500 ◀─────── sun:4500   Main Mode: HDR*, ID(sun.strongswan.org), HASH",
        f" moon:4500 ───────▶ sun:4500   Quick Mode {number}: HDR*, HASH, SA, NONCE, KE,"
        " ID(10.1.0.0/255.255.0.0), ID(10.2.0.0/255.255.0.0)",
        f" moon:4500 ◀─────── sun:4500   Quick Mode {number}: HDR*, HASH, SA, NONCE, KE,"
        " ID(10.1.0.0/255.255.0.0), ID(10.2.0.0/255.255.0.0)",
        f" moon:4500 ───────▶ sun:4500   Quick Mode {number}: HDR*, HASH",
    ]  # fmt: skip
    proofs = [line.strip() for line in shown if not line[:6].strip()]
    assert proofs[:2] == ["HASH_I verifies with SKEYID", "HASH_R verifies with SKEYID"]


def test_a_rekeying_is_told_with_its_spis_and_its_esp_between(runs: Runs) -> None:
    entries = runs.decrypted("ikev2-psk").entries
    shown = "\n".join(lines(entries))
    rekey = next(one for one in exchanges(entries) if isinstance(one, Rekey))
    spi = f"{rekey.spi:08x}"
    assert f"CREATE_CHILD_SA request 2: HDR, SK {{N(REKEY_SA ESP {spi}), SA, Nonce, KE" in shown
    assert f"INFORMATIONAL request 3: HDR, SK {{D(ESP {spi})}}" in shown
    assert "INFORMATIONAL response 1: HDR, SK {}" in shown
    told = re.search(
        rf"ESP in UDP SPI 0x{spi} sequence 1–(\d+) \(\1 packets\), tunnel: "
        rf"UDP 10.2.0.10 port {PORT + 1} → 10.1.0.10 port {PORT + 1}",
        shown,
    )
    assert told is not None


@pytest.mark.parametrize("run", RUNS)
def test_each_message_is_one_line_and_nothing_is_left_out(runs: Runs, run: str) -> None:
    numbers = [int(line[:6]) for line in lines(runs.decrypted(run).entries) if line[:6].strip()]
    messages = [entry.number for entry in runs.decrypted(run).ike]
    assert [number for number in numbers if number in messages] == messages


def test_what_cannot_be_read_says_why_in_its_line(runs: Runs) -> None:
    shown = lines(decrypt(runs.captured("ikev2-psk").frames).entries)
    assert "SK {no key: there is no key for the IKE SA " in shown[2]
    assert re.search("unknown SPI: no SA with SPI 0x[0-9a-f]{8} to 192.168.0.[12] is", shown[4])
    tampered = bytearray(sealed(SECRET, header(37, 2), [])[0])
    tampered[-1] ^= 1
    found = decrypt(frames([ike(bytes(tampered))]), Secrets(ike_v2=(SECRET,)))
    assert lines(found.entries)[0].endswith("HDR, SK {bad ICV: its ICV does not match}")


def test_retransmissions_are_folded_with_their_times() -> None:
    message = ike(clear(replace(header(34, 0), responder_spi=bytes(8)), [v2.Nonce(b"n" * 16)]))
    sent = [
        frame(message, n, time_ns=at) for n, at in ((1, 10**9), (2, 5 * 10**9), (3, 12 * 10**9))
    ]
    first, note = lines(decrypt(sent).entries)
    assert first.endswith("IKE_SA_INIT request 0: HDR, Nonce")
    assert note.strip() == "sent again after 4.000, 11.000 s"


def test_ports_that_a_nat_changed_are_shown() -> None:
    (message,) = sealed(SECRET, header(37, 2), [])
    inside = ip(udp(bytes(4) + message, 4500, 4500), 17, "10.1.0.1", SUN)
    outside = ip(udp(bytes(4) + message, 1027, 4500), 17, MOON, SUN)
    taken = [frame(inside, 1, "lan"), frame(outside, 2, "wan")]
    first, note = lines(decrypt(taken, Secrets(ike_v2=(SECRET,))).entries)
    assert "10.1.0.1:4500 ───────▶ 192.0.2.2:4500" in first
    assert note.strip() == "on wan (frame 2): 192.0.2.1 port 1027 to 192.0.2.2 port 4500"


def test_fragments_say_where_the_whole_is() -> None:
    pieces = sealed(SECRET, header(35, 1), [v2.Nonce(b"n" * 40)], fragments=2)
    found = decrypt(frames([ike(one) for one in pieces]), Secrets(ike_v2=(SECRET,)))
    shown = lines(found.entries)
    assert shown[0].endswith("IKE_AUTH request 1: HDR, SKF(1/2) {whole in frame 2}")
    assert shown[1].endswith("IKE_AUTH request 1: HDR, SKF(2/2) {Nonce}")
    assert shown[2].strip() == "put together from frames 1, 2"


def test_replays_keepalives_and_faults_are_told() -> None:
    esp = esp_secret(encryption("AES_GCM_16_128"))
    packet = ip(sealer(esp).seal(ip(b"x" * 8, 1, "10.1.0.1", "10.2.0.1"), 4), 50)
    (message,) = sealed(SECRET, header(37, 2), [])
    alive = ip(udp(b"\xff", 4500, 4500), 17)
    taken = frames([packet, packet, alive, alive, ike(message)])
    taken[4] = taken[4]._replace(comment="dropped\x1b[2J")
    shown = lines(decrypt(taken, Secrets(ike_v2=(SECRET,), ipsec=(esp,))).entries)
    assert (
        "ESP SPI 0xc0ffee01 sequence 1 (2 packets), 1 replayed, tunnel: ICMP 10.1.0.1" in shown[0]
    )
    assert shown[1].endswith("NAT-keepalive, 2 times")
    assert shown[3].strip() == "frame 5: dropped�[2J"


def test_verbose_shows_every_field_but_passwords() -> None:
    proposal = v2.Proposal(1, 1, b"", (v2.Transform.of(1, 12, 256),))
    message = clear(header(34, 0), [v2.SecurityAssociation((proposal,)), v2.Nonce(b"\xab" * 32)])
    shown = "\n".join(lines(decrypt(frames([ike(message)])).entries, verbose=True))
    assert "responder SPI 2222222222222222, next payload 33, version 2.0, exchange type 34" in shown
    assert "transforms 1: Transform" in shown
    assert "value: 256" in shown
    assert "data: " + "ab" * 32 in shown
    secret = v1.ModeConfig(2, 7, (v1.Attribute(16521, b"open sesame"),))
    asked = encode(Message(VERSION_1, 6, b"c" * 8, b"r" * 8, 9, payloads=(secret,)))
    shown = "\n".join(lines(decrypt(frames([ike(asked)])).entries, verbose=True))
    assert "identifier: 7" in shown
    assert b"open sesame".hex() not in shown
    assert "open sesame" not in shown


def test_a_file_is_plain_and_a_terminal_has_colour(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    entries = runs.decrypted("ikev2-psk").entries[:12]
    plain = io.StringIO()
    write_ladder(plain, entries)
    assert "\033" not in plain.getvalue()
    assert "\033[1;36mIKE_SA_INIT request 0\033[0m" in "".join(ladder(entries, colours=ANSI))
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as file:
        assert colours_for(file) is ANSI
        monkeypatch.setenv("NO_COLOR", "1")
        assert colours_for(file) is PLAIN
    os.close(controller)


def test_an_empty_capture_says_so() -> None:
    assert lines(()) == ["There is no IKE, ESP or AH in this capture."]


def test_a_thousand_messages_take_less_than_a_second() -> None:
    packets = []
    for number in range(500):
        payloads = [v2.Notify(16393, b"", 3, b"\1\2\3\4"), v2.Nonce(b"n" * 32)]
        packets += [ike(one) for one in sealed(SECRET, header(36, number), payloads)]
        answer = header(36, number, initiator=False, response=True)
        packets += [ike(one, back=True) for one in sealed(SECRET, answer, payloads)]
    taken = frames(packets)
    started = time.process_time()
    shown = lines(decrypt(taken, Secrets(ike_v2=(SECRET,))).entries)
    assert len(shown) == 1000
    assert time.process_time() - started < 1


@given(st.text())
def test_safe_text_moves_no_cursor(text: str) -> None:
    assert safe(text).isprintable()
    assert len(safe(text)) == len(text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RUNS), st.lists(st.tuples(st.integers(0, 59), st.integers(14, 400),
                                                  st.integers(0, 255)), max_size=20))  # fmt: skip
def test_a_damaged_run_has_a_ladder_that_is_printable(
    runs: Runs, run: str, changes: list[tuple[int, int, int]]
) -> None:
    taken = list(runs.captured(run).frames[:60])
    for place, at, value in changes:
        octets = bytearray(taken[place].data)
        if at < len(octets):
            octets[at] = value
            taken[place] = taken[place]._replace(data=bytes(octets))
    found = decrypt(taken, runs.keys(run, "moon").secrets)
    for line in ladder(found.entries, verbose=True):
        assert line.isprintable()
