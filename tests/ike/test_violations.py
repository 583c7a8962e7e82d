# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be read and must be refused all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.payload import CRITICAL, Payload, RawPayload
from harness.ike.violations import payload_violations, violations
from harness.ike.wire import decode, encode
from tests.ike.messages import ike_sa_init, main_mode_1


def test_right_messages_have_none() -> None:
    assert violations(decode(encode(ike_sa_init()))) == ()
    assert violations(decode(encode(main_mode_1()))) == ()


def test_reserved_and_critical_bits_are_none() -> None:
    payloads = (
        v2.KeyExchange(31, bytes(32), reserved=1, flags=CRITICAL),
        v2.Nonce(bytes(16), 0x7F),
        v2.SecurityAssociation(
            (v2.Proposal(1, 1, b"", (v2.Transform(1, 20, reserved=1, reserved_type=1),)),)
        ),
    )
    assert payload_violations(payloads) == ()


def test_a_wrong_length_and_octets_behind_are_told_once() -> None:
    octets = encode(ike_sa_init())
    assert violations(decode(octets + b"more")) == (
        "the header says 260 octets, and the datagram has another number",
    )
    padded = encode(replace(ike_sa_init(), trailing=b"more"))
    assert violations(decode(padded)) == ("4 octets stand behind the last payload",)


def test_a_zero_spi_is_told() -> None:
    for message in (ike_sa_init(), main_mode_1()):
        (told,) = violations(replace(message, initiator_spi=bytes(8)))
        assert "is zero" in told


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (v2.SecurityAssociation(()), "no proposal"),
        (v1.SecurityAssociation((), 7, None, b"x"), "no proposal"),
        (v2.SecurityAssociation((v2.Proposal(1, 1, transform_count=3),)), "counts 3 transforms"),
        (v2.SecurityAssociation((v2.Proposal(4, 1, following=2),)), "proposal 4 says 2"),
        (
            v1.SecurityAssociation((v1.Proposal(1, 1, b"", (v1.Transform(1, 1, following=7),)),)),
            "transform 1 of proposal 1 says 7",
        ),
        (v2.Delete(3, (), count=5), "counts 5 SPIs"),
        (v1.Delete(3, (b"1234",), extra=b"x"), "1 octets stand behind"),
        (v2.TrafficSelectors(44, ()), "no selector"),
        (
            v2.TrafficSelectors(44, (v2.RawSelector(9),), count=2),
            "counts 2 selectors and has 1",
        ),
        (v2.Nonce(bytes(15)), "15 octets, not 16 to 256"),
        (v2.Nonce(bytes(257)), "257 octets"),
        (v1.Nonce(bytes(7)), "7 octets, not 8 to 256"),
        (v2.EncryptedFragment(0, 4, 3, b""), "fragment 4 of 3"),
        (v2.EncryptedFragment(0, 0, 3, b""), "fragment 0 of 3"),
    ],
)
def test_each_thing_that_is_forbidden_is_told(payload: Payload, words: str) -> None:
    (told,) = payload_violations([payload])
    assert told.startswith("payload 1: ")
    assert words in told


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (v1.VendorId(b"anybody", flags=1), "its reserved octet is 0x01"),
        (RawPayload(100, b"?"), "type 100 is no payload's"),
        (
            v1.SecurityAssociation((v1.Proposal(3, 1, b"", (v1.Transform(1, 1),), reserved=1),)),
            "a reserved octet of proposal 3",
        ),
        (
            v1.SecurityAssociation((v1.Proposal(4, 1, b"", (v1.Transform(1, 1, reserved=9),)),)),
            "a reserved octet of proposal 4",
        ),
    ],
)
def test_what_is_reserved_in_ikev1_must_be_zero(payload: Payload, words: str) -> None:
    (told,) = payload_violations([payload], major_version=1)
    assert words in told
    assert payload_violations([payload]) == ()


def test_an_unknown_payload_for_private_use_is_none() -> None:
    assert payload_violations([RawPayload(200, b"?")], major_version=1) == ()
