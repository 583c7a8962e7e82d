# SPDX-License-Identifier: GPL-2.0-or-later
"""Each IKEv1 payload against octets laid out by hand after the RFC's figure."""

from __future__ import annotations

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.wire import decode_payloads, encode_payloads

COOKIES = "80f5f36ce1766d908cfaf864c7f83e09"

VECTORS: list[tuple[int, str, Payload]] = [
    (4, "a1b2c3", v1.KeyExchange(bytes.fromhex("a1b2c3"))),
    (5, "01 11 0000 0a000001", v1.Identification(1, bytes([10, 0, 0, 1]), 17, 0)),
    (
        5,
        "04 00 0000 c0a80100 ffffff00",
        v1.Identification(4, bytes.fromhex("c0a80100ffffff00")),
    ),
    (5, "0b 11 01f4 6b6579", v1.Identification(11, b"key", 17, 500)),
    (6, "04 3082", v1.Certificate(4, bytes.fromhex("3082"))),
    (7, "04", v1.CertificateRequest(4)),
    (7, "04 3000", v1.CertificateRequest(4, bytes.fromhex("3000"))),
    (8, "00" * 32, v1.Hash(bytes(32))),
    (9, "aabb", v1.Signature(bytes.fromhex("aabb"))),
    (10, "11" * 8, v1.Nonce(b"\x11" * 8)),
    # The seed: NO-PROPOSAL-CHOSEN in clear, INITIAL-CONTACT and R-U-THERE of sequence 2367.
    (
        11,
        f"00000001 01 10 000e {COOKIES}",
        v1.Notification(14, spi=bytes.fromhex(COOKIES)),
    ),
    (
        11,
        f"00000001 01 10 6002 {COOKIES}",
        v1.Notification(24578, spi=bytes.fromhex(COOKIES)),
    ),
    (
        11,
        f"00000001 01 10 8d28 {COOKIES} 0000093f",
        v1.Notification(36136, bytes.fromhex("0000093f"), spi=bytes.fromhex(COOKIES)),
    ),
    # The seed: Deletes of an ESP SA and of the ISAKMP SA.
    (12, "00000001 03 04 0001 cd4b0c11", v1.Delete(3, (bytes.fromhex("cd4b0c11"),))),
    (12, f"00000001 01 10 0001 {COOKIES}", v1.Delete(1, (bytes.fromhex(COOKIES),))),
    (
        12,
        "00000001 03 04 0002 00000001 00000002",
        v1.Delete(3, (bytes([0, 0, 0, 1]), bytes([0, 0, 0, 2]))),
    ),
    (
        13,
        "4a131c81070358455c5728f20e95452f",
        v1.VendorId(bytes.fromhex("4a131c81070358455c5728f20e95452f")),
    ),
    # XAUTH: type generic in the basic form, an empty user name in the variable form.
    (
        14,
        "01 00 1234 c088 0000 4089 0000",
        v1.ModeConfig(1, 0x1234, (v1.Attribute(16520, 0), v1.Attribute(16521, b""))),
    ),
    (20, "22" * 20, v1.NatDetection(b"\x22" * 20)),
    (130, "22" * 16, v1.NatDetection(b"\x22" * 16, payload_type=130)),
    (21, "01 000000 c0a80164", v1.NatOriginalAddress(1, bytes([192, 168, 1, 100]))),
    (
        131,
        "01 000007 c0a80164",
        v1.NatOriginalAddress(1, bytes([192, 168, 1, 100]), 131, reserved=7),
    ),
    (132, "0001 02 01 abcd", v1.Fragment(1, 2, 1, bytes.fromhex("abcd"))),
]


@pytest.mark.parametrize(("kind", "body", "payload"), VECTORS)
def test_a_payload_laid_out_by_hand_is_read_and_written(
    kind: int, body: str, payload: Payload
) -> None:
    octets = bytes.fromhex(body)
    octets = (4 + len(octets)).to_bytes(4, "big") + octets
    assert decode_payloads(1, kind, octets) == ((payload,), b"")
    assert encode_payloads([payload]) == (kind, octets)


@pytest.mark.parametrize(
    ("kind", "body", "rfc"),
    [
        (5, "010000", "2407 4.6.2"),
        (6, "", "2408 3.9"),
        (7, "", "2408 3.10"),
        (11, "00000001010000", "2408 3.14"),
        (11, "00000001 01 01 000e", "2408 3.14"),
        (12, "00000001010000", "2408 3.15"),
        (12, "00000001 03 04 0001 cd4b0c", "2408 3.15"),
        (14, "010000", "mode-cfg"),
        (14, "01000000 800100", "2408 3.3"),
        (21, "010000", "3947 5.2"),
        (132, "000102", "MS-IKEE"),
    ],
)
def test_a_body_that_is_too_short_is_malformed_and_names_the_rfc(
    kind: int, body: str, rfc: str
) -> None:
    octets = bytes.fromhex(body)
    with pytest.raises(Malformed) as caught:
        decode_payloads(1, kind, (4 + len(octets)).to_bytes(4, "big") + octets)
    assert rfc in caught.value.rfc
    assert 4 <= caught.value.offset <= 4 + len(octets)


def test_a_notification_and_a_delete_can_lie_about_sizes_and_counts() -> None:
    assert v1.Notification(14, spi=b"1234", spi_size=16).body()[5] == 16
    assert v1.Delete(3, (b"1234",), spi_size=8, count=9).body()[4:8] == bytes([3, 8, 0, 9])


def test_spis_of_no_octets_are_counted_and_not_listed() -> None:
    octets = bytes.fromhex("0000000c 00000001 01 00 ffff")
    ((payload,), _) = decode_payloads(1, 12, octets)
    assert payload == v1.Delete(1, (), count=65535)
    assert encode_payloads([payload])[1] == octets


def test_what_stands_behind_the_spis_is_kept() -> None:
    octets = bytes.fromhex("00000012 00000001 03 04 0001 cd4b0c11 eeff")
    ((payload,), _) = decode_payloads(1, 12, octets)
    assert payload == v1.Delete(3, (bytes.fromhex("cd4b0c11"),), extra=bytes.fromhex("eeff"))
    assert encode_payloads([payload])[1] == octets
