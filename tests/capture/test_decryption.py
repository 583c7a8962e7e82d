# SPDX-License-Identifier: GPL-2.0-or-later
import random
import struct
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.capture.captured import CapturedFrame, of_recording
from harness.capture.decryption import Decryption, decrypt
from harness.capture.entries import Entry, Ike, IpFragment, Ipsec, Keepalive, Status, Unrelated
from harness.capture.exchanges import exchanges
from harness.capture.recording import Recording
from harness.capture.secrets import Secrets
from harness.ike import payloads_v2 as v2
from harness.ike.ip_modes import split_transport
from harness.ike.payload import Payload
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    Encryption,
    Integrity,
    encryption,
    integrity,
)
from tests.capture.packets import (
    MOON,
    MOON6,
    SPI_I,
    SPI_R,
    SUN,
    SUN6,
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

NOTHING = Secrets()
GCM = encryption("AES_GCM_16_128")
INNER = ip(udp(b"are you there?", 7, 9), 17, "10.1.0.10", "10.2.0.10")


def ike_of(entry: Entry) -> Ike:
    assert isinstance(entry.content, Ike)
    return entry.content


def ipsec_of(entry: Entry) -> Ipsec:
    assert isinstance(entry.content, Ipsec)
    return entry.content


def opened(packets: list[bytes], *secrets: object) -> list[Entry]:
    store = Secrets(
        ike_v2=tuple(one for one in secrets if hasattr(one, "ei")),  # type: ignore[misc]
        ipsec=tuple(one for one in secrets if hasattr(one, "spi")),  # type: ignore[misc]
    )
    return list(decrypt(frames(packets), store).entries)


# -- real runs --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("run", ["ikev2-psk", "ikev2-certificates"])
def test_every_sealed_message_of_ikev2_is_authentic(runs: Runs, run: str) -> None:
    sealed_ones = [
        ike_of(one) for one in runs.decrypted(run).ike if ike_of(one).header.next_payload == 46
    ]
    assert len(sealed_ones) == 16
    assert all(one.authentic for one in sealed_ones)


def test_every_hash_of_ikev1_verifies(runs: Runs) -> None:
    hashed = [ike_of(one) for one in runs.decrypted("ikev1-psk").ike][4:]
    assert len(hashed) == 15
    assert all(one.authentic for one in hashed)


def test_a_hash_that_is_not_the_sender_s_is_noticed(runs: Runs) -> None:
    given_ = runs.keys("ikev1-psk", "moon").secrets
    forged = replace(given_.ike_v1[0], skeyid_a=bytes(20))
    found = decrypt(runs.captured("ikev1-psk").frames, replace(given_, ike_v1=(forged,))).ike
    assert [ike_of(one).status for one in found[6:9]] == [Status.BAD_ICV] * 3
    assert ike_of(found[6]).detail == "its HASH does not verify"
    assert ike_of(found[6]).payloads


def test_ka_alone_decrypts_all_of_ikev1_and_says_that_it_proves_nothing(runs: Runs) -> None:
    given_ = runs.keys("ikev1-psk", "moon").secrets
    cookie = ike_of(runs.decrypted("ikev1-psk").ike[0]).header.initiator_spi
    bare = replace(given_.ike_v1[0], cookie=cookie, initial_iv=b"", skeyid=b"", skeyid_a=b"")
    found = decrypt(runs.captured("ikev1-psk").frames, Secrets(ike_v1=(bare,))).ike
    assert [ike_of(one).payloads for one in found] == [
        ike_of(one).payloads for one in runs.decrypted("ikev1-psk").ike
    ]
    assert {ike_of(one).authentic for one in found} == {None}


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


def test_messages_that_came_twice_or_not_at_all_do_not_break_the_chain_of_ivs(runs: Runs) -> None:
    whole = runs.captured("ikev1-psk").frames
    places = [index for index, one in enumerate(runs.decrypted("ikev1-psk").entries)
              if isinstance(one.content, Ike)]  # fmt: skip
    # Quick Mode: the first message again after the second, as a retransmission that crossed it.
    first, second, third = places[6:9]
    order = [*whole[: second + 1], whole[first], *whole[second + 1 :]]
    again = [one._replace(number=number) for number, one in enumerate(order, 1)]
    secrets = runs.keys("ikev1-psk", "moon").secrets
    found = decrypt(again, secrets)
    assert ike_of(found.entries[second + 1]).repeats == first + 1
    assert all(ike_of(one).readable for one in found.ike)
    # Without the last message of Quick Mode the next exchange is read all the same.
    lacking = decrypt([*whole[:third], *whole[third + 1 :]], secrets)
    assert all(ike_of(one).readable for one in lacking.ike)
    # Without its first message the second cannot be read, but is told of.
    lacking = decrypt([*whole[:first], *whole[first + 1 :]], secrets)
    (unread,) = [ike_of(one) for one in lacking.ike if not ike_of(one).readable]
    assert unread.status is Status.BAD_ICV
    assert "a message before it is missing" in unread.detail


# -- IKEv2 ------------------------------------------------------------------------------------

PAYLOADS: list[Payload] = [v2.Notify(16393, b"", 3, b"\1\2\3\4"), v2.Nonce(bytes(range(32)))]


def pairs() -> list[tuple[Encryption, Integrity | None]]:
    found: list[tuple[Encryption, Integrity | None]] = []
    for cipher in ENCRYPTIONS:
        if cipher.id is None or cipher.kind == "gmac":
            continue
        macs = [None] if cipher.combined else [one for one in INTEGRITIES if one.icv_size]
        found += [(cipher, mac) for mac in macs]
    return found


def test_ikev2_is_opened_with_every_algorithm_both_ways() -> None:
    assert len(pairs()) > 150
    for cipher, mac in pairs():
        secret = ike_secret(cipher, mac)
        for initiator in (True, False):
            message = header(36, 3, initiator=initiator, response=not initiator)
            (entry,) = opened([ike(sealed(secret, message, PAYLOADS)[0], port=4500)], secret)
            assert ike_of(entry).payloads == tuple(PAYLOADS), (cipher.name, mac)
            assert ike_of(entry).authentic


def test_fragments_are_put_together_in_any_order_and_each_says_where_the_whole_is() -> None:
    secret = ike_secret()
    one, two, three = sealed(secret, header(35, 1), PAYLOADS, fragments=3)
    found = opened([ike(three), ike(one), ike(one), ike(two)], secret)
    assert [ike_of(each).status for each in found] == [
        Status.FRAGMENT, Status.FRAGMENT, Status.FRAGMENT, Status.DECRYPTED,
    ]  # fmt: skip
    assert [ike_of(each).fragment for each in found] == [(3, 3), (1, 3), (1, 3), (2, 3)]
    assert [ike_of(each).whole_in for each in found] == [4, 4, 0, 4]
    assert ike_of(found[2]).repeats == 2
    assert ike_of(found[3]).payloads == tuple(PAYLOADS)
    assert ike_of(found[3]).frames == (1, 2, 4)


def test_fragments_of_another_size_are_another_message() -> None:
    secret = ike_secret()
    twice = sealed(secret, header(35, 1), PAYLOADS, fragments=2)
    thrice = sealed(secret, header(35, 1), PAYLOADS, fragments=3)
    found = opened([ike(one) for one in (twice[0], *thrice)], secret)
    assert ike_of(found[0]).whole_in == 0
    assert ike_of(found[3]).payloads == tuple(PAYLOADS)


def test_a_fragment_that_cannot_be_is_malformed() -> None:
    secret = ike_secret()
    message = replace(header(35, 1), payloads=())
    (piece,) = sealed(secret, message, PAYLOADS, fragments=1)
    for number, total in ((0, 1), (2, 1)):
        # The numbers are authenticated, so that they are forged by who has the keys.
        forged = resealed(secret, piece, number, total)
        (entry,) = opened([ike(forged)], secret)
        assert ike_of(entry).status is Status.MALFORMED
        assert ike_of(entry).detail == f"fragment {number} of {total} cannot be"


def resealed(secret: object, datagram: bytes, number: int, total: int) -> bytes:
    from harness.ike.encrypted_payload import open_payloads, seal_payloads
    from harness.ike.protection import protection

    ready = protection(secret.encryption, secret.ei, secret.integrity, secret.ai)  # type: ignore[attr-defined]
    prefix, body = datagram[:36], datagram[36:]
    plaintext = open_payloads(ready, prefix, body)
    changed = prefix[:32] + struct.pack(">HH", number, total)
    return changed + seal_payloads(ready, changed, plaintext, bytes(ready.iv_size))


def test_keys_that_change_within_an_sa_are_all_used() -> None:
    """After each IKE_INTERMEDIATE with a key exchange there is a new set (RFC 9370)."""
    first, second = ike_secret(seed=1), ike_secret(seed=5)
    packets = [
        ike(sealed(first, header(43, 1), [v2.KeyExchange(36, b"k" * 40)])[0]),
        ike(sealed(first, header(43, 1, initiator=False, response=True), PAYLOADS)[0], True),
        ike(sealed(second, header(35, 2), PAYLOADS)[0]),
    ]
    for secrets in ((first, second), (second, first)):
        assert all(ike_of(one).authentic for one in opened(packets, *secrets))


def test_a_candidate_is_bound_to_the_sa_that_it_opens() -> None:
    right, wrong = ike_secret(seed=1), ike_secret(seed=2)
    candidates = [replace(one, spi_i=None, spi_r=None, encryption=None, integrity=None)
                  for one in (wrong, right)]  # fmt: skip
    packets = [ike(sealed(right, header(37, 4), PAYLOADS)[0])]
    decryption = decrypt(frames(packets), Secrets(ike_v2=tuple(candidates)))
    assert ike_of(decryption.entries[0]).payloads == tuple(PAYLOADS)
    assert decryption.secrets.ike_v2 == (right,)


def test_a_changed_message_has_a_bad_icv_and_what_is_before_sk_is_shown() -> None:
    secret = ike_secret()
    message = replace(header(37, 4), payloads=(v2.Notify(16404),))
    datagram = bytearray(sealed(secret, message, PAYLOADS)[0])
    datagram[-1] ^= 1
    (entry,) = opened([ike(bytes(datagram))], secret)
    assert (ike_of(entry).status, ike_of(entry).authentic) == (Status.BAD_ICV, False)
    assert ike_of(entry).payloads == (v2.Notify(16404),)


def test_what_is_malformed_inside_sk_is_told_with_its_place() -> None:
    secret = ike_secret()
    raw: list[Payload] = [v2.Notify(1), v2.Delete(3, (b"\1\2\3\4",), count=9)]
    (entry,) = opened([ike(sealed(secret, header(37, 4), raw)[0])], secret)
    assert ike_of(entry).status is Status.MALFORMED
    assert ike_of(entry).detail.startswith("inside SK, ")
    assert ike_of(entry).authentic


def test_messages_of_no_known_version_and_broken_ones_are_listed() -> None:
    strange = bytearray(clear(header(37, 4), []))
    strange[17] = 0x30
    broken = clear(header(37, 4), [])[:-2] + b"\xff\xff"
    found = opened([ike(bytes(strange)), ike(broken)])
    assert [ike_of(one).status for one in found] == [Status.MALFORMED] * 2
    assert ike_of(found[0]).detail == "IKE has no major version 3"
    assert "length 65535" in ike_of(found[1]).detail


# -- ESP --------------------------------------------------------------------------------------


def test_esp_is_opened_with_every_algorithm_with_and_without_esn() -> None:
    for cipher in ENCRYPTIONS:
        for mac in [None] if cipher.combined else [one for one in INTEGRITIES if one.icv_size]:
            for esn in (False, True):
                secret = esp_secret(cipher, mac, esn=esn)
                packet = ip(sealer(secret).seal(INNER, 4), 50)
                for known in (secret, replace(secret, esn=None)):
                    (entry,) = opened([packet], known)
                    assert ipsec_of(entry).inner_octets == INNER, (cipher.name, mac, esn)
                    assert ipsec_of(entry).authentic


@pytest.mark.parametrize("encapsulated", [False, True], ids=["in IP", "in UDP"])
@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("inner", [INNER, ip(udp(b"six", 7, 9), 17, "fd01::1", "fd02::1")])
def test_tunnel_mode_gives_the_inner_packet(
    ends: tuple[str, str], encapsulated: bool, inner: bytes
) -> None:
    secret = esp_secret(GCM)
    number = 41 if inner[0] >> 4 == 6 else 4
    sealed_ = sealer(secret).seal(inner + bytes(9), number)  # with TFC padding behind it
    packet = ip(udp(sealed_, 4500, 4500), 17, *ends) if encapsulated else ip(sealed_, 50, *ends)
    (entry,) = opened([packet], secret)
    found = ipsec_of(entry)
    assert (found.mode, found.encapsulated) == ("tunnel", encapsulated)
    assert found.inner_octets == inner
    assert found.inner is not None
    assert (found.inner.sport, found.inner.dport) == (7, 9)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["in IP", "in UDP"])
@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
def test_transport_mode_gives_the_packet_as_it_was(
    ends: tuple[str, str], encapsulated: bool
) -> None:
    secret = esp_secret(GCM)
    plain = ip(udp(b"hello", 7, 9), 17, *ends)
    split = split_transport(plain)
    sealed_ = sealer(secret).seal(split.payload, 17)
    packet = ip(udp(sealed_, 4500, 4500), 17, *ends) if encapsulated else ip(sealed_, 50, *ends)
    (entry,) = opened([packet], secret)
    assert ipsec_of(entry).mode == "transport"
    assert ipsec_of(entry).inner_octets == plain


def test_sequence_numbers_beyond_32_bits_are_followed() -> None:
    secret = replace(esp_secret(GCM, esn=True), high=1)
    start = (2 << 32) - 3
    source = sealer(secret, start)
    packets = [ip(source.seal(INNER, 4), 50) for _ in range(5)]
    found = opened(packets, secret)
    assert [ipsec_of(one).sequence for one in found] == [start + n for n in range(1, 6)]


def test_a_replay_names_the_frame_that_it_repeats_on_its_own_wire_only() -> None:
    secret = esp_secret(GCM)
    source = sealer(secret)
    one, two = (ip(source.seal(INNER, 4), 50) for _ in range(2))
    taken = [frame(one, 1), frame(one, 2, "lan"), frame(two, 3), frame(one, 4)]
    found = decrypt(taken, Secrets(ipsec=(secret,))).entries
    assert [ipsec_of(each).replays for each in found] == [0, 0, 0, 1]
    assert [ipsec_of(each).forwards for each in found] == [0, 1, 0, 0]


def test_an_spi_that_serves_two_directions_is_two_sas() -> None:
    """As with manual keys, where people like SPI 1 for both."""
    there = replace(esp_secret(GCM), destination=SUN)
    back = replace(there, destination=MOON, encryption_key=bytes(20))
    packets = [
        ip(sealer(there).seal(INNER, 4), 50, MOON, SUN),
        ip(sealer(back).seal(INNER, 4), 50, SUN, MOON),
    ]
    assert {ipsec_of(one).status for one in opened(packets, there, back)} == {Status.DECRYPTED}


def test_an_sa_is_found_behind_a_translation() -> None:
    secret = replace(esp_secret(GCM), destination="10.9.9.9", source="*")
    (entry,) = opened([ip(sealer(secret).seal(INNER, 4), 50)], secret)
    assert ipsec_of(entry).status is Status.DECRYPTED


def test_a_dummy_packet_has_nothing_inside() -> None:
    secret = esp_secret(GCM)
    (entry,) = opened([ip(sealer(secret).seal(bytes(64), 59), 50)], secret)
    assert ipsec_of(entry).dummy
    assert ipsec_of(entry).inner is None


def test_an_unchecked_icv_is_passed_over_and_proves_nothing() -> None:
    real = esp_secret(encryption("AES_CBC_128"), integrity("HMAC_SHA1_96"))
    known = replace(real, integrity=None, integrity_key=b"", unchecked_icv=12)
    (entry,) = opened([ip(sealer(real).seal(INNER, 4), 50)], known)
    assert ipsec_of(entry).inner_octets == INNER
    assert ipsec_of(entry).authentic is None


def test_a_key_of_the_wrong_length_is_told_with_the_packet() -> None:
    secret = replace(esp_secret(GCM), encryption_key=bytes(7))
    (entry,) = opened([ip(sealer(esp_secret(GCM)).seal(INNER, 4), 50)], secret)
    assert ipsec_of(entry).status is Status.NO_KEY
    assert "takes 20 bytes of key and salt, not 7" in ipsec_of(entry).detail


# -- around it --------------------------------------------------------------------------------


def cut(packet: bytes, size: int) -> list[bytes]:
    """The packet in IPv4 or IPv6 fragments of that many octets."""
    out = []
    if packet[0] >> 4 == 4:
        body = packet[20:]
        for at in range(0, len(body), size):
            piece, more = body[at : at + size], at + size < len(body)
            length = struct.pack(">H", 20 + len(piece))
            word = struct.pack(">H", (0x2000 if more else 0) | at // 8)
            out.append(packet[:2] + length + packet[4:6] + word + packet[8:20] + piece)
        return out
    body = packet[40:]
    for at in range(0, len(body), size):
        piece, more = body[at : at + size], at + size < len(body)
        fragment = struct.pack(">BBHI", packet[6], 0, at | more, 77)
        length = struct.pack(">H", 8 + len(piece))
        out.append(packet[:4] + length + b"\x2c" + packet[7:40] + fragment + piece)
    return out


@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
def test_ip_fragments_are_put_together_in_any_order(ends: tuple[str, str]) -> None:
    secret = esp_secret(GCM)
    large = ip(udp(bytes(3000), 7, 9), 17, "10.1.0.10", "10.2.0.10")
    pieces = cut(ip(sealer(secret).seal(large, 4), 50, *ends), 1000)
    assert len(pieces) == 4
    for seed in range(6):
        order = random.Random(seed).sample(pieces, len(pieces))
        found = opened(order, secret)
        assert [type(one.content) for one in found] == [IpFragment] * 3 + [Ipsec]
        assert [one.content.whole_in for one in found[:3]] == [4, 4, 4]  # type: ignore[union-attr]
        assert ipsec_of(found[3]).inner_octets == large


def test_fragments_that_overlap_or_never_end_are_listed_as_they_are() -> None:
    one, two, three, _ = cut(ip(bytes(4000), 50), 1000)
    overlapping = two[:6] + struct.pack(">H", 0x2000 | 900 // 8) + two[8:]
    found = opened([one, overlapping, three])
    assert [type(each.content) for each in found] == [IpFragment] * 3


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
