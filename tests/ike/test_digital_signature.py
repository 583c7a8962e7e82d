# SPDX-License-Identifier: GPL-2.0-or-later
"""The authentication data of RFC 7427."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.digital_signature import (
    DigitalSignature,
    decode_digital_signature,
    decode_hash_algorithms,
)
from harness.ike.malformed import Malformed, Unencodable

# RFC 7427 A.1.2: sha256WithRSAEncryption.
SHA256_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")


def test_the_identifier_of_the_rfc_stands_behind_its_length() -> None:
    data = bytes([15]) + SHA256_RSA + b"signature"
    assert DigitalSignature(SHA256_RSA, b"signature").encode() == data
    assert decode_digital_signature(data) == DigitalSignature(SHA256_RSA, b"signature")


@given(st.binary(max_size=300))
def test_any_octets_are_a_signature_or_malformed(data: bytes) -> None:
    if not data or data[0] >= len(data):
        with pytest.raises(Malformed):
            decode_digital_signature(data)
    else:
        assert decode_digital_signature(data).encode() == data


def test_an_identifier_of_256_octets_cannot_be_written() -> None:
    with pytest.raises(Unencodable, match="256 octets"):
        DigitalSignature(bytes(256), b"").encode()


def test_hash_algorithms_are_pairs_of_octets() -> None:
    assert decode_hash_algorithms(bytes.fromhex("0002000300040005")) == (2, 3, 4, 5)
    assert decode_hash_algorithms(b"") == ()
    with pytest.raises(Malformed, match="3 octets"):
        decode_hash_algorithms(bytes(3))
