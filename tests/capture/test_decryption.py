# SPDX-License-Identifier: GPL-2.0-or-later
import struct
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capture.captured import CapturedFrame, of_recording
from harness.capture.decryption import Decryption, decrypt
from harness.capture.entries import Ike, Ipsec, Keepalive, Status, Unrelated
from harness.capture.exchanges import exchanges
from harness.capture.recording import Recording
from harness.capture.secrets import Secrets
from harness.ike import payloads_v2 as v2
from tests.capture.opened import ike_of, ipsec_of, opened
from tests.capture.packets import (
    GCM,
    INNER,
    SPI_I,
    SPI_R,
    clear,
    esp_secret,
    ethernet,
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


@pytest.mark.parametrize("node", ["moon", "sun"])
@pytest.mark.parametrize("run", RUNS)
def test_everything_of_a_run_is_decrypted_with_one_end_s_log(
    runs: Runs, run: str, node: str
) -> None:
    decryption = runs.decrypted(run, node)
    assert [entry.frame for entry in decryption.entries] == list(runs.captured(run).frames)
    assert {ike_of(one).status for one in decryption.ike} == {Status.CLEAR, Status.DECRYPTED}
    assert {ipsec_of(one).status for one in decryption.ipsec} == {Status.DECRYPTED}
    assert all(ipsec_of(one).authentic and not ipsec_of(one).replays for one in decryption.ipsec)
    assert len(decryption.ipsec) > 30


@pytest.mark.parametrize("run", RUNS)
def test_without_a_key_each_packet_says_so(runs: Runs, run: str) -> None:
    found = decrypt(runs.captured(run).frames)
    assert len(found.entries) == len(runs.captured(run).frames)
    sealed_ones = [ike_of(one) for one in found.ike if ike_of(one).status is not Status.CLEAR]
    assert {one.status for one in sealed_ones} == {Status.NO_KEY}
    assert all("there is no key for the I" in one.detail for one in sealed_ones)
    assert {ipsec_of(one).status for one in found.ipsec} == {Status.UNKNOWN_SPI}


def test_an_sa_that_was_negotiated_but_has_no_key_is_told_from_a_stranger(runs: Runs) -> None:
    only_ike = replace(runs.keys("ikev2-psk", "moon").secrets, ipsec=())
    found = decrypt(runs.captured("ikev2-psk").frames, only_ike)
    assert {ipsec_of(one).status for one in found.ipsec} == {Status.NO_KEY}
    assert "which was negotiated" in ipsec_of(found.ipsec[0]).detail


def test_messages_of_no_known_version_and_broken_ones_are_listed() -> None:
    strange = bytearray(clear(header(37, 4), []))
    strange[17] = 0x30
    broken = clear(header(37, 4), [])[:-2] + b"\xff\xff"
    found = opened([ike(bytes(strange)), ike(broken)])
    assert [ike_of(one).status for one in found] == [Status.MALFORMED] * 2
    assert ike_of(found[0]).detail == "IKE has no major version 3"
    assert "length 65535" in ike_of(found[1]).detail


def test_keepalives_and_what_is_no_ipsec_are_listed() -> None:
    found = opened([ip(udp(b"\xff", 4500, 4500), 17), INNER])
    assert [type(one.content) for one in found] == [Keepalive, Unrelated]


def test_a_recording_s_nodes_and_numbers_are_kept() -> None:
    secret = esp_secret(GCM)
    recording = Recording()
    wire = recording.wire("wan", ("moon", "sun"))
    wire.add(1, wire.next(1, 5, ethernet(ip(sealer(secret).seal(INNER, 4), 50))))
    (entry,) = decrypt(of_recording(recording.frames), Secrets(ipsec=(secret,))).entries
    assert (entry.number, entry.sender, entry.receiver) == (1, "sun", "moon")
    assert ipsec_of(entry).inner_octets == INNER


def test_what_the_wire_kept_back_is_no_replay_and_what_it_doubled_is() -> None:
    secret, keys_ = esp_secret(GCM), ike_secret()
    packet = ethernet(ip(sealer(secret).seal(INNER, 4), 50))
    message = ethernet(ike(sealed(keys_, header(37, 4), [])[0]))
    recording = Recording()
    wire = recording.wire("wan", ("moon", "sun"))
    for data, fault in (
        (packet, "delayed 2 s"),
        (message, "held"),
        (packet, "frame 1, delayed 2 s"),
        (message, "frame 2, held until now"),
        (packet, "frame 1 again"),
        (message, "frame 2 again"),
    ):
        wire.add(0, wire.next(0, 5, data)._replace(fault=fault))
    store = Secrets(ipsec=(secret,), ike_v2=(keys_,))
    found = decrypt(of_recording(recording.frames), store).entries
    esp = [ipsec_of(found[place]) for place in (0, 2, 4)]
    assert [(one.replays, one.forwards) for one in esp] == [(0, 0), (0, 1), (1, 0)]
    ike_ = [ike_of(found[place]) for place in (1, 3, 5)]
    assert [(one.repeats, one.elsewhere) for one in ike_] == [(0, False), (2, True), (2, False)]


# -- hostile ----------------------------------------------------------------------------------

HOSTILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(taken: list[CapturedFrame], secrets: Secrets) -> Decryption:
    decryption = decrypt(taken, secrets)
    assert [entry.frame for entry in decryption.entries] == taken
    for entry in decryption.entries:
        if isinstance(entry.content, Ike | Ipsec):
            assert "\n" not in entry.content.detail
        if isinstance(entry.content, Ipsec):
            assert isinstance(entry.content.inner_octets, bytes)
    exchanges(decryption.entries)
    return decryption


@HOSTILE
@given(st.sampled_from(RUNS), st.data())
def test_a_run_with_changed_octets_is_never_an_error(
    runs: Runs, run: str, data: st.DataObject
) -> None:
    taken = list(runs.captured(run).frames[:60])
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(taken) - 1))
        octets = bytearray(taken[place].data)
        if len(octets) < 15:
            continue
        at = data.draw(st.integers(14, len(octets) - 1))
        octets[at] = data.draw(st.integers(0, 255))
        kept = octets[: data.draw(st.integers(0, len(octets)))] if at % 3 == 0 else octets
        taken[place] = taken[place]._replace(data=bytes(kept))
    survives(taken, runs.keys(run, "moon").secrets)


@HOSTILE
@given(st.lists(st.tuples(st.binary(max_size=120), st.sampled_from([17, 50, 51]),
                          st.sampled_from([500, 4500]), st.sampled_from([1, 101, 113, 276, 9, 0])),
                max_size=12))  # fmt: skip
def test_any_octets_behind_any_header_are_never_an_error(
    pieces: list[tuple[bytes, int, int, int]],
) -> None:
    taken = []
    for number, (octets, protocol, port, link) in enumerate(pieces, 1):
        packet = ip(udp(octets, port, port) if protocol == 17 else octets, protocol)
        taken.append(frame(packet, number)._replace(link_type=link))
    secrets = Secrets(ipsec=(esp_secret(GCM, spi=0),), ike_v2=(ike_secret(),))
    survives(taken, secrets)


@HOSTILE
@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255))
def test_any_plaintext_from_who_has_the_keys_is_never_an_error(
    inner: bytes, number: int, kind: int
) -> None:
    from harness.ike.encrypted_payload import seal_payloads, sealed_size
    from harness.ike.protection import protection
    from harness.ike.wire import sealed_prefix

    esp, secret = esp_secret(GCM), ike_secret()
    assert secret.encryption is not None
    ready = protection(secret.encryption, secret.ei, secret.integrity, secret.ai)
    message = replace(header(kind, number), payloads=(v2.Encrypted(number, b""),))
    prefix = sealed_prefix(message, sealed_size(ready, len(inner)))
    whole = prefix + seal_payloads(ready, prefix, inner, bytes(16))
    packets = [ip(sealer(esp).seal(inner, number), 50), ike(whole)]
    survives(frames(packets), Secrets(ipsec=(esp,), ike_v2=(secret,)))


def test_a_hundred_thousand_strangers_are_listed_quickly(runs: Runs) -> None:
    import time

    strangers = frames(
        [ip(udp(bytes(60), 500, 500), 17), ip(struct.pack(">II", 7, 1) + bytes(64), 50)] * 50_000
    )
    started = time.process_time()
    found = decrypt(strangers, runs.keys("ikev2-psk", "moon").secrets)
    assert time.process_time() - started < 10
    kinds = Counter(type(one.content) for one in found.entries)
    assert kinds == {Ike: 50_000, Ipsec: 50_000}


def test_the_spis_of_the_helpers_are_those_of_the_keys() -> None:
    assert (ike_secret().spi_i, ike_secret().spi_r) == (SPI_I, SPI_R)
