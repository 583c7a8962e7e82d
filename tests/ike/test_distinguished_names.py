# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.description import describe, identity
from harness.ike.payloads_v1 import Identification

DER_ASN1_DN = 9
NAMES = ("CN=racoon.ikelab.example,O=ikelab", "CN=moon,O=Linux strongSwan,C=CH", "CN=" + "a" * 60)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_distinguished_name_is_told_as_rfc_4514_writes_it(name: str, version: int) -> None:
    der = x509.Name.from_rfc4514_string(name).public_bytes()
    assert identity(DER_ASN1_DN, der, version) == name


def test_a_payload_tells_its_distinguished_name() -> None:
    der = x509.Name.from_rfc4514_string(NAMES[0]).public_bytes()
    assert NAMES[0] in describe(Identification(DER_ASN1_DN, der))


def test_a_name_that_is_not_to_be_shown_is_told_by_its_size() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "red \x1b[31m and more of it")])
    assert identity(DER_ASN1_DN, name.public_bytes()) == f"{len(name.public_bytes())} octets"


@given(st.binary(max_size=80))
def test_any_octets_may_stand_where_a_name_is_expected(data: bytes) -> None:
    assert identity(DER_ASN1_DN, data)


@given(st.sampled_from(NAMES), st.integers(0, 200), st.integers(0, 255))
def test_a_name_with_an_octet_changed_is_read_or_refused(name: str, at: int, octet: int) -> None:
    der = bytearray(x509.Name.from_rfc4514_string(name).public_bytes())
    der[at % len(der)] = octet
    assert identity(DER_ASN1_DN, bytes(der))
