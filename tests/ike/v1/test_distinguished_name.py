# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.v1.distinguished_name import same_name
from harness.ike.v1.identity import dn_identity


def name(cn: str, kind: Kind = Kind.UTF8String, country: str = "CH") -> bytes:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.COMMON_NAME, cn, _type=kind),
        ]
    ).public_bytes()


@pytest.mark.parametrize(
    "other",
    [
        name("moon.example.org", Kind.PrintableString),
        name("moon.example.org", Kind.BMPString),
        name("MOON.example.org"),
        name("  moon.example.org "),
    ],
    ids=["printable", "bmp", "case", "blanks"],
)
def test_one_name_has_many_encodings(other):
    assert other != name("moon.example.org")
    assert same_name(name("moon.example.org"), other)
    assert dn_identity(name("moon.example.org")).is_who(dn_identity(other))


@pytest.mark.parametrize(
    "other",
    [
        name("sun.example.org"),
        name("moon.example.org", country="DE"),
        name("moon.example.org")[:-1],
        name("moon.example.org") + b"\x30\x00",
        b"",
        b"\x30\x00",
    ],
)
def test_another_name_is_another(other):
    assert not same_name(name("moon.example.org"), other)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_octets_that_are_no_name_equal_only_themselves(one, other):
    if not one.startswith(b"0"):
        assert same_name(one, other) == (one == other)


@given(st.integers(0, 60), st.integers(0, 255))
def test_damaged_names_raise_nothing(at, value):
    octets = bytearray(name("moon.example.org"))
    octets[at % len(octets)] = value
    assert same_name(bytes(octets), bytes(octets))
    same_name(name("moon.example.org"), bytes(octets))
