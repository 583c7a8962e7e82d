# SPDX-License-Identifier: GPL-2.0-or-later
"""Header, chain of payloads, encrypted parts, and messages that are wrong on purpose."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.malformed import Malformed, Unencodable
from harness.ike.payload import CRITICAL, Forged, RawPayload, every, first, is_critical
from harness.ike.wire import (
    VERSION_1,
    VERSION_2,
    Message,
    decode,
    decode_payloads,
    encode,
    encode_payloads,
    sealed_offset,
    sealed_prefix,
)
from tests.ike.messages import ike_sa_init, main_mode_1

SPI_I = bytes.fromhex("0102030405060708")
SPI_R = bytes.fromhex("1112131415161718")
# RFC 7296 3.1 and 3.9: header of a response with message id 1, and a nonce of 16 octets.
NONCE_MESSAGE = bytes.fromhex(
    "0102030405060708 1112131415161718 28 20 22 20 00000001 00000030"
    "00 80 0014 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
)


def header(body: bytes, first_payload: int, version: int = 0x20, flags: int = 0) -> bytes:
    start = SPI_I + SPI_R + bytes([first_payload, version, 34, flags]) + bytes(4)
    return start + (28 + len(body)).to_bytes(4, "big") + body


def test_a_message_laid_out_by_hand_is_read_field_by_field() -> None:
    assert decode(NONCE_MESSAGE) == Message(
        version=VERSION_2,
        exchange=34,
        initiator_spi=SPI_I,
        responder_spi=SPI_R,
        message_id=1,
        flags=0x20,
        payloads=(v2.Nonce(bytes(range(0xA0, 0xB0)), flags=CRITICAL),),
    )


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_octets_is_read(kind: type) -> None:
    assert decode(kind(NONCE_MESSAGE)) == decode(NONCE_MESSAGE)


def test_a_chain_keeps_order_unknown_types_and_flags() -> None:
    payloads = (
        RawPayload(200, b"whatever", 0x7F),
        v2.VendorId(b"x"),
        RawPayload(33 - 2, b"", CRITICAL),
    )
    message = Message(VERSION_2, 37, SPI_I, payloads=payloads)
    octets = encode(message)
    assert octets[16] == 200
    assert octets[28:40] == bytes.fromhex("2b7f000c") + b"whatever"
    assert octets[40:45] == bytes.fromhex("1f000005") + b"x"
    assert octets[45:] == bytes.fromhex("00800004")
    assert decode(octets) == message
    assert [is_critical(one) for one in decode(octets).payloads] == [False, False, True]


def test_numbers_of_the_other_version_stay_raw() -> None:
    nonce_1, nonce_2 = v1.Nonce(bytes(16)), v2.Nonce(bytes(16))
    for version, stranger in ((VERSION_1, nonce_2), (VERSION_2, nonce_1)):
        octets = encode(Message(version, 2, SPI_I, payloads=(stranger,)))
        assert decode(octets).payloads == (RawPayload(stranger.payload_type, bytes(16)),)


def test_an_encrypted_ikev1_message_has_an_opaque_body() -> None:
    ciphertext = bytes(range(64))
    octets = header(ciphertext, 5, VERSION_1, flags=1)
    message = decode(octets)
    assert message.encrypted == ciphertext
    assert message.first_payload == message.next_payload == 5
    assert message.payloads == ()
    assert encode(message) == octets


def test_decrypted_ikev1_payloads_come_with_their_padding() -> None:
    # Message 5 of the seed: ID of 12 octets and HASH of 36, padded to 64 with noise.
    plaintext = (
        bytes.fromhex("0800000c 01110000 0a000001 00000024")
        + bytes(range(32))
        + bytes.fromhex("8d3ae82a97faf1f5e39f0339b0df670f")
    )
    payloads, padding = decode_payloads(1, 5, plaintext)
    assert payloads == (
        v1.Identification(1, bytes([10, 0, 0, 1]), protocol=17, port=0),
        v1.Hash(bytes(range(32))),
    )
    assert padding == plaintext[-16:]
    assert encode_payloads(payloads) == (5, plaintext[:-16])


def test_sk_names_the_first_payload_inside_and_ends_the_message() -> None:
    octets = header(bytes.fromhex("23000010") + bytes(range(12)), 46)
    message = decode(octets)
    assert message.payloads == (v2.Encrypted(35, bytes(range(12))),)
    assert message.sealed is message.payloads[-1]
    assert message.trailing == b""
    assert encode(message) == octets


def test_a_fragment_has_its_number_and_total() -> None:
    octets = header(bytes.fromhex("23000010 0001 0003") + bytes(range(8)), 53)
    assert decode(octets).payloads == (v2.EncryptedFragment(35, 1, 3, bytes(range(8))),)


@pytest.mark.parametrize(
    "sealed", [v2.Encrypted(35, bytes(range(60))), v2.EncryptedFragment(35, 2, 3, bytes(60))]
)
def test_what_an_aead_authenticates_is_what_stands_before_the_data(
    sealed: v2.Encrypted | v2.EncryptedFragment,
) -> None:
    message = Message(
        VERSION_2, 35, SPI_I, SPI_R, 1, payloads=(v2.Notify(16404), sealed), trailing=b"beyond"
    )
    octets = encode(message)
    at = sealed_offset(decode(octets), len(octets))
    assert octets[at : at + 60] == sealed.data
    whole = encode(replace(message, trailing=b""))
    assert (
        sealed_prefix(replace(message, payloads=(*message.payloads[:-1], sealed)), 60)
        == (whole[:-60])
    )
    longer = sealed_prefix(message, 100)
    assert len(longer) == len(whole) - 60
    assert int.from_bytes(longer[24:28], "big") == len(whole) + 40


def test_a_message_without_sk_has_no_sealed_part() -> None:
    with pytest.raises(ValueError, match="SK"):
        sealed_prefix(ike_sa_init(), 10)
    with pytest.raises(ValueError, match="SK"):
        sealed_offset(ike_sa_init(), 10)


def test_another_major_version_keeps_everything_behind_the_header() -> None:
    octets = header(b"\x00\x00\x00\x01 not a payload", 33, version=0x30)
    message = decode(octets)
    assert message.major_version == 3
    assert message.payloads == ()
    assert message.trailing == octets[28:]
    assert encode(message) == octets
    with pytest.raises(ValueError, match="major version 3"):
        decode_payloads(3, 33, b"")


def test_a_higher_minor_version_is_read_as_its_major() -> None:
    octets = encode(replace(ike_sa_init(), version=0x21))
    assert decode(octets).payloads == ike_sa_init().payloads
    assert octets[17] == 0x21


def test_octets_behind_the_chain_and_behind_the_length_are_kept() -> None:
    inside = header(bytes.fromhex("00000004") + b"rest", 43)
    assert decode(inside).trailing == b"rest"
    assert decode(inside).length is None
    behind = header(bytes.fromhex("00000004"), 43) + b"rest"
    assert decode(behind).trailing == b"rest"
    assert decode(behind).length == 32
    sealed = header(bytes(16), 5, VERSION_1, flags=1) + b"rest"
    assert decode(sealed).encrypted == bytes(16)
    assert decode(sealed).trailing == b"rest"
    for octets in (inside, behind, sealed):
        assert encode(decode(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "offset", "words"),
    [
        (b"", 0, "0 octets"),
        (NONCE_MESSAGE[:27], 0, "27 octets"),
        (NONCE_MESSAGE[:-1], 24, "length 48"),
        (NONCE_MESSAGE[:24] + bytes([0, 0, 0, 27]) + NONCE_MESSAGE[28:], 24, "length 27"),
        (header(b"\x00\x00\x00", 40), 28, "3 octets for payload 40"),
        (header(b"\x00\x00\x00\x03", 40), 30, "payload 40 with length 3"),
        (header(b"\x00\x00\x00\x00", 40), 30, "payload 40 with length 0"),
        (header(b"\x00\x00\x00\x05", 40), 30, "payload 40 with length 5"),
        (header(b"\x2b\x00\x00\x04", 40), 32, "0 octets for payload 43"),
    ],
)
def test_what_cannot_be_walked_is_malformed_at_its_place(
    octets: bytes, offset: int, words: str
) -> None:
    with pytest.raises(Malformed) as caught:
        decode(octets)
    assert caught.value.offset == offset
    assert words in str(caught.value)
    assert "RFC 2408 3" in str(caught.value)


def test_every_truncation_of_a_message_is_malformed() -> None:
    for message in (main_mode_1(), ike_sa_init()):
        octets = encode(message)
        for size in range(len(octets)):
            with pytest.raises(Malformed):
                decode(octets[:size])


def test_a_wrong_length_anywhere_is_written_as_asked() -> None:
    message = replace(
        ike_sa_init(),
        length=5,
        next_payload=99,
        payloads=(
            Forged(v2.Nonce(bytes(16)), next_payload=7, length=3),
            Forged(v2.Nonce(bytes(16)), announced_as=222),
        ),
    )
    octets = encode(message)
    assert octets[16] == 99
    assert octets[24:28] == bytes([0, 0, 0, 5])
    assert octets[28:32] == bytes([7, 0, 0, 3])
    assert len(octets) == 28 + 20 + 20
    honest = encode(replace(message, payloads=(v2.Nonce(b""), message.payloads[1])))
    assert honest[28] == 222


def test_a_forged_sk_still_names_what_is_inside() -> None:
    octets = encode_payloads([Forged(v2.Encrypted(35, b"x"), length=9)])[1]
    assert octets == bytes.fromhex("23000009") + b"x"


def test_wrong_counts_and_sizes_inside_an_sa_are_written_and_read_back() -> None:
    transform = v2.Transform(1, 20, following=3, reserved=1, reserved_type=2)
    proposal = v2.Proposal(1, 1, b"", (transform,), following=2, reserved=9, transform_count=200)
    octets = encode_payloads([v2.SecurityAssociation((proposal,))])[1]
    assert octets.hex() == "00000014" + "02090010010100c8" + "0301000801020014"
    assert decode_payloads(2, 33, octets)[0] == (v2.SecurityAssociation((proposal,)),)


def test_a_value_that_does_not_fit_is_unencodable_and_says_which() -> None:
    with pytest.raises(Unencodable, match="payload 2, Notify"):
        encode_payloads([v2.Nonce(b""), v2.Notify(70000)])
    with pytest.raises(Unencodable, match="payload 1, Nonce"):
        encode_payloads([v2.Nonce(bytes(65532))])
    with pytest.raises(Unencodable, match="payload 1, Authentication"):
        encode_payloads([v2.Authentication(256, b"")])
    with pytest.raises(Unencodable, match="header field"):
        encode(replace(ike_sa_init(), exchange=256))
    with pytest.raises(Unencodable, match="eight octets"):
        encode(replace(ike_sa_init(), initiator_spi=b"short"))


def test_payloads_are_found_by_class_and_type() -> None:
    payloads = ike_sa_init().payloads
    nonce = first(payloads, v2.Nonce)
    assert nonce is not None
    assert nonce.data[0] == 100
    assert [one.notify_type for one in every(payloads, v2.Notify)][:2] == [16388, 16389]
    assert first(payloads, v2.Eap) is None
    ids = (v2.Identification(35, 1, b"i"), v2.Identification(36, 1, b"r"))
    assert first(ids, v2.Identification, 36) == ids[1]
    assert every(ids, v2.Identification, 35) == ids[:1]


@pytest.mark.parametrize(
    ("version", "kind", "body"),
    [
        (1, 13, bytes.fromhex("0d000004") * 16000 + bytes([0, 0, 0, 4])),  # payloads of nothing
        (1, 14, bytes.fromhex("0000fffc01000000") + bytes.fromhex("80010001") * 16381),
        (2, 47, bytes.fromhex("0000fffc01000000") + bytes.fromhex("00010000") * 16381),
        (2, 33, bytes.fromhex("0000fffc") + bytes.fromhex("0200000801010000") * 8191),
        (
            2,
            33,
            bytes.fromhex("0000fffc0000fff801010000") + bytes.fromhex("0300000801000014") * 8190,
        ),
        (2, 44, bytes.fromhex("0000fffc00000000") + bytes.fromhex("ff000004") * 16381),
        (2, 42, bytes.fromhex("0000000803 00 ffff")),  # 65535 SPIs of no octets
    ],
)
def test_the_most_that_64_kb_can_nest_costs_little(version: int, kind: int, body: bytes) -> None:
    started = time.process_time()
    payloads, rest = decode_payloads(version, kind, body)
    assert encode_payloads(payloads)[1] + rest == body
    # It takes some 20 ms; what grows with the square of the size would take minutes.
    assert time.process_time() - started < 5
    assert len(payloads) <= 16001
