# SPDX-License-Identifier: GPL-2.0-or-later
"""Each IKEv2 payload against octets laid out by hand after the RFC's figure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from harness.ike import payloads_v2 as v2
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.wire import decode_payloads, encode_payloads

SELECTOR_4 = v2.TrafficSelector(7, 0, 0, 65535, bytes([10, 1, 0, 0]), bytes([10, 1, 255, 255]))

VECTORS: list[tuple[int, str, Payload]] = [
    # ESP with AES-CBC-256 and, with an attribute nobody knows, HMAC-SHA2-256-128; it says that
    # another proposal follows, and none does.
    (
        33,
        "02000024 01 03 04 02 c0ffee01 0300000c 01 00 000c 800e0100 0000000c 03 00 000c 80ff0001",
        v2.SecurityAssociation(
            (
                v2.Proposal(
                    1,
                    3,
                    bytes.fromhex("c0ffee01"),
                    (v2.Transform.of(1, 12, 256), v2.Transform(3, 12, (v2.Attribute(255, 1),))),
                    following=2,
                ),
            )
        ),
    ),
    # Two IKE proposals, the second with an additional key exchange (ML-KEM-768).
    (
        33,
        "02000014 01 01 00 01 0000000c 01 00 0014 800e008000000010 02 01 00 01 00000008 06 00 0024",
        v2.SecurityAssociation(
            (
                v2.Proposal(1, 1, b"", (v2.Transform.of(1, 20, 128),)),
                v2.Proposal(2, 1, b"", (v2.Transform.of(6, 36),)),
            )
        ),
    ),
    (34, "001f 0000 aabb", v2.KeyExchange(31, bytes.fromhex("aabb"))),
    (34, "001f beef aabb", v2.KeyExchange(31, bytes.fromhex("aabb"), reserved=0xBEEF)),
    (35, "02 000000 6d6f6f6e", v2.Identification(35, 2, b"moon")),
    (36, "01 000102 0a000001", v2.Identification(36, 1, bytes([10, 0, 0, 1]), reserved=0x102)),
    (37, "04 3082", v2.Certificate(4, bytes.fromhex("3082"))),
    (38, "04" + "ab" * 20 + "cd" * 20, v2.CertificateRequest(4, b"\xab" * 20 + b"\xcd" * 20)),
    (39, "02 000000 deadbeef", v2.Authentication(2, bytes.fromhex("deadbeef"))),
    (40, "77" * 16, v2.Nonce(b"\x77" * 16)),
    (41, "00 00 4004 " + "01" * 20, v2.Notify(16388, b"\x01" * 20)),
    # N(REKEY_SA) names the inbound ESP SA of its sender.
    (41, "03 04 4009 c0ffee01", v2.Notify(16393, protocol=3, spi=bytes.fromhex("c0ffee01"))),
    (41, "00 00 0011 0013", v2.Notify(17, bytes([0, 19]))),
    (42, "01 00 0000", v2.Delete(1)),
    (42, "03 04 0001 c0ffee01", v2.Delete(3, (bytes.fromhex("c0ffee01"),))),
    (43, b"OE-Libreswan-4.9".hex(), v2.VendorId(b"OE-Libreswan-4.9")),
    (
        44,
        "01 000000 07 00 0010 0000 ffff 0a010000 0a01ffff",
        v2.TrafficSelectors(44, (SELECTOR_4,)),
    ),
    (
        45,
        "02 000000"
        "08 3a 0028 8000 80ff 20010db8000000000000000000000001 20010db8000000000000000000000002"
        "0a 00 0006 1234",
        v2.TrafficSelectors(
            45,
            (
                v2.TrafficSelector(
                    8,
                    58,
                    0x8000,
                    0x80FF,
                    ip_address("2001:db8::1").packed,
                    ip_address("2001:db8::2").packed,
                ),
                v2.RawSelector(10, 0, bytes([0x12, 0x34])),
            ),
        ),
    ),
    (
        44,
        "05 000000 07 00 0010 0000 ffff 0a010000 0a01ffff",
        v2.TrafficSelectors(44, (SELECTOR_4,), 5),
    ),
    (46, "aabbcc", v2.Encrypted(0, bytes.fromhex("aabbcc"))),
    (
        47,
        "01 000000 0001 0000 8003 0004 08080808",
        v2.Configuration(
            1,
            (
                v2.ConfigurationAttribute(1),
                v2.ConfigurationAttribute(3, bytes([8, 8, 8, 8]), reserved=1),
            ),
        ),
    ),
    (48, "01 07 0005 01", v2.Eap(bytes.fromhex("0107000501"))),
    (53, "0002 0003 aabb", v2.EncryptedFragment(0, 2, 3, bytes.fromhex("aabb"))),
]


@pytest.mark.parametrize(("kind", "body", "payload"), VECTORS)
def test_a_payload_laid_out_by_hand_is_read_and_written(
    kind: int, body: str, payload: Payload
) -> None:
    octets = bytes.fromhex(body)
    octets = (4 + len(octets)).to_bytes(4, "big") + octets
    assert decode_payloads(2, kind, octets) == ((payload,), b"")
    assert encode_payloads([payload]) == (kind, octets)


@pytest.mark.parametrize(
    ("kind", "body", "rfc"),
    [
        (33, "000000", "7296 3.3.1"),
        (33, "00000008 01010400", "7296 3.3.1"),
        (33, "00000010 01010001 00000007 01000014", "7296 3.3.2"),
        (33, "00000012 01010001 0000000a 01000014 800e", "7296 3.3.5"),
        (34, "001f00", "7296 3.4"),
        (35, "020000", "7296 3.5"),
        (37, "", "7296 3.6"),
        (38, "", "7296 3.7"),
        (39, "020000", "7296 3.8"),
        (41, "000040", "7296 3.10"),
        (41, "03044009c0ffee", "7296 3.10"),
        (42, "030400", "7296 3.11"),
        (42, "03040002c0ffee01", "7296 3.11"),
        (44, "010000", "7296 3.13"),
        (44, "01000000 0700", "7296 3.13.1"),
        (44, "01000000 07000003", "7296 3.13.1"),
        (44, "01000000 07000010 0000ffff 0a010000 0a01ff", "7296 3.13.1"),
        (44, "01000000 0700000c 0000ffff 0a010000", "7296 3.13.1"),
        (44, "01000000 08000010 0000ffff 0a010000 0a01ffff", "7296 3.13.1"),
        (47, "010000", "7296 3.15"),
        (47, "01000000 0001", "7296 3.15.1"),
        (47, "01000000 00010001", "7296 3.15.1"),
        (53, "000100", "7383 2.5"),
    ],
)
def test_a_body_that_is_too_short_is_malformed_and_names_the_rfc(
    kind: int, body: str, rfc: str
) -> None:
    octets = bytes.fromhex(body)
    with pytest.raises(Malformed) as caught:
        decode_payloads(2, kind, (4 + len(octets)).to_bytes(4, "big") + octets)
    assert rfc in caught.value.rfc
    assert 4 <= caught.value.offset <= 4 + len(octets)


def test_a_transform_knows_its_key_length() -> None:
    assert v2.Transform.of(1, 12, 256).key_length == 256
    assert v2.Transform.of(3, 12).key_length is None
    assert v2.Transform(1, 12, (v2.Attribute(14, b"\x00\x80"),)).key_length == 128


def test_a_request_for_certificates_lists_whole_hashes_only() -> None:
    request = v2.CertificateRequest(4, b"\xab" * 20 + b"\xcd" * 20 + b"\xef" * 7)
    assert request.authorities == (b"\xab" * 20, b"\xcd" * 20)
    assert v2.CertificateRequest(4).authorities == ()


def test_an_eap_message_is_read_as_far_as_it_goes() -> None:
    whole = v2.Eap(bytes.fromhex("0207000a 1a 6162636465"))
    assert (whole.code, whole.identifier, whole.method) == (2, 7, 26)
    assert (v2.Eap(b"").code, v2.Eap(b"\x03").identifier, v2.Eap(b"\x03\x07\x00\x04").method) == (
        None,
        None,
        None,
    )


def test_a_selector_is_made_from_a_network_and_tells_its_addresses() -> None:
    assert v2.TrafficSelector.of(ip_network("10.1.0.0/16")) == SELECTOR_4
    six = v2.TrafficSelector.of(ip_network("2001:db8::/64"), 6, 80, 443)
    assert (six.type, six.protocol, six.start_port, six.end_port) == (8, 6, 80, 443)
    assert six.start_address == ip_address("2001:db8::")
    assert six.end_address == ip_address("2001:db8::ffff:ffff:ffff:ffff")


def test_sizes_and_counts_can_be_forged_everywhere() -> None:
    assert v2.Notify(1, spi=b"ab", spi_size=9).body()[1] == 9
    assert v2.Delete(3, (b"abcd",), spi_size=1, count=7).body()[:4] == bytes([3, 1, 0, 7])
    short = v2.TrafficSelector(7, 0, 0, 0, bytes(4), bytes(4), length=15)
    assert v2.TrafficSelectors(44, (short,), count=3).body()[:8].hex() == "030000000700000f"
    attribute = v2.ConfigurationAttribute(1, b"abcd", length=5)
    assert v2.Configuration(1, (attribute,)).body()[4:8].hex() == "00010005"
    transform = v2.Transform(1, 12, length=7)
    proposal = v2.Proposal(1, 1, b"", (transform,), length=99, spi_size=3)
    assert v2.SecurityAssociation((proposal,)).body().hex() == "0000006301010301" + (
        "000000070100000c"
    )
