# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKEv1 SA payload against the seed's SEIL messages and layouts done by hand."""

from __future__ import annotations

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike.malformed import Malformed, Unencodable
from harness.ike.wire import decode, decode_payloads, encode, encode_payloads
from tests.ike.messages import main_mode_1, seil_transform


@pytest.mark.parametrize(
    ("lifetime", "one", "payload", "message"),
    [(86400, False, 252, 360), (777, True, 56, 164), (60, False, 228, 336)],
)
def test_main_mode_1_has_the_sizes_of_the_seed(
    lifetime: int, one: bool, payload: int, message: int
) -> None:
    octets = encode(main_mode_1(lifetime, one))
    assert len(octets) == message
    assert int.from_bytes(octets[24:28], "big") == message
    assert int.from_bytes(octets[30:32], "big") == payload
    assert decode(octets) == main_mode_1(lifetime, one)


def test_a_transform_keeps_the_order_and_the_form_of_its_attributes() -> None:
    octets = encode_payloads(
        [v1.SecurityAssociation((v1.Proposal(1, 1, b"", (seil_transform(1, 7, 256, 4, 86400),)),))]
    )[1]
    assert octets.hex(" ", 4) == (
        "0000003c 00000001 00000001"  # SA, IPsec DOI, SIT_IDENTITY_ONLY
        " 00000030 01010001"  # proposal 1, ISAKMP, no SPI, one transform
        " 00000028 01010000"  # transform 1, KEY_IKE, of 40 octets
        " 800b0001 000c0004 00015180 80010007 800e0100 80030001 80020004 80040005"
    )
    ((payload,), rest) = decode_payloads(1, 1, octets)
    assert rest == b""
    assert isinstance(payload, v1.SecurityAssociation)
    transform = payload.proposals[0].transforms[0]
    assert [one.type for one in transform.attributes] == [11, 12, 1, 14, 3, 2, 4]
    assert transform.attribute(12) == v1.Attribute(12, b"\x00\x01\x51\x80")
    assert transform.number_of(12) == 86400
    assert transform.number_of(14) == 256
    assert transform.number_of(13) is None


def test_the_shortest_form_changes_at_16_bits() -> None:
    assert v1.Attribute.shortest(12, 65535) == v1.Attribute(12, 65535)
    assert v1.Attribute.shortest(12, 65536) == v1.Attribute(12, b"\x00\x01\x00\x00")
    assert v1.Attribute.shortest(12, 1 << 40).number == 1 << 40


def test_quick_mode_proposals_have_spis_and_may_share_a_number() -> None:
    # ESP and IPComp together (RFC 2407 4.4): one proposal number, SPIs of 4 and 2 octets.
    octets = bytes.fromhex(
        "0000003c 00000001 00000001"
        "02000018 01 03 04 01 cd4b0c11 0000000c 01 0c 0000 80040001"
        "00000016 01 04 02 01 1234     0000000c 01 02 0000 80040001"
        "0000"
    )
    with pytest.raises(Malformed, match="a proposal of 2 octets"):
        decode_payloads(1, 1, octets)
    octets = bytes.fromhex("0000003a") + octets[4:-2]
    ((payload,), _) = decode_payloads(1, 1, octets)
    attributes = (v1.Attribute(4, 1),)
    assert payload == v1.SecurityAssociation(
        (
            v1.Proposal(1, 3, bytes.fromhex("cd4b0c11"), (v1.Transform(1, 12, attributes),)),
            v1.Proposal(1, 4, bytes.fromhex("1234"), (v1.Transform(1, 2, attributes),)),
        )
    )
    assert encode_payloads([payload])[1] == octets


def test_labels_and_other_domains_are_kept_whole() -> None:
    for body, doi, situation in (
        ("00000001 00000003 00112233445566", 1, 3),
        ("00000000 00112233", 0, None),
    ):
        octets = bytes.fromhex(body)
        octets = bytes([0, 0, 0, 4 + len(octets)]) + octets
        ((payload,), _) = decode_payloads(1, 1, octets)
        assert isinstance(payload, v1.SecurityAssociation)
        assert (payload.doi, payload.situation, payload.proposals) == (doi, situation, ())
        assert payload.opaque.startswith(b"\x00\x11\x22\x33")
        assert encode_payloads([payload])[1] == octets


@pytest.mark.parametrize(
    ("body", "offset", "words"),
    [
        ("0000", 4, "2 octets"),
        ("00000001 0000", 4, "6 octets"),
        ("00000001 00000001 00000007 01010000", 12, "proposal with length 7"),
        ("00000001 00000001 00000009 01010000", 12, "proposal with length 9"),
        ("00000001 00000001 00000008 01010100", 18, "SPI size 1"),
        ("00000001 00000001 0000000c 01010001 00000000", 20, "transform of 4"),
        ("00000001 00000001 00000010 01010001 0000000901010000", 20, "transform with length 9"),
        (
            "00000001 00000001 00000012 01010001 0000000a010100008001",
            28,
            "attribute of 2",
        ),
        (
            "00000001 00000001 00000014 01010001 0000000c01010000 000c0004",
            28,
            "attribute 12 with length 4",
        ),
    ],
)
def test_what_cannot_be_an_sa_is_malformed_at_its_place(body: str, offset: int, words: str) -> None:
    octets = bytes.fromhex(body)
    with pytest.raises(Malformed, match=words) as caught:
        decode_payloads(1, 1, bytes([0, 0, 0, 4 + len(octets)]) + octets)
    assert caught.value.offset == offset


def test_an_attribute_can_lie_about_its_length_and_cannot_have_16_bits_of_type() -> None:
    forged = v1.ModeConfig(1, 2, (v1.Attribute(1, b"abcd", length=99),))
    assert forged.body().hex() == "01000002" + "00010063" + b"abcd".hex()
    with pytest.raises(Unencodable, match="15 bits"):
        v1.ModeConfig(1, 2, (v1.Attribute(0x8001, 5),)).body()
