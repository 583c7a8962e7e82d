# SPDX-License-Identifier: GPL-2.0-or-later
"""PRFs and prf+, against published vectors; prf+ also against strongSwan's."""

import pytest

from harness.ike.prfs import hash_output, prf_output, prf_plus
from harness.ike.transforms import PRFS, prf
from tests.ike.vectors import vectors

VECTORS = vectors("prfs")
KDF = vectors("ikev2_kdf")
PLUS = [(t, v) for t, v in KDF if v["kind"] == "prf_plus"]


@pytest.mark.parametrize(("title", "v"), VECTORS, ids=[t for t, _ in VECTORS])
def test_prfs_give_the_published_output(title, v):
    assert prf_output(prf(v["algorithm"]), v["key"], v["data"]) == v["out"]


def test_every_prf_has_a_published_vector():
    assert {v["algorithm"] for _, v in VECTORS} == {record.name for record in PRFS}


@pytest.mark.parametrize(("title", "v"), PLUS, ids=[t for t, _ in PLUS])
def test_prf_plus_gives_the_stream_that_strongswan_records(title, v):
    assert prf_plus(prf(v["algorithm"]), v["key"], v["seed"], len(v["out"])) == v["out"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # RFC 4434 section 2.
        ("000102030405060708090a0b0c0d0e0f", "47f51b4564966215b8985c63055ed308"),
        ("00010203040506070809", "0fa087af7d866e7653434e602fdde835"),
        ("000102030405060708090a0b0c0d0e0fedcb", "8cd3c93ae598a9803006ffb67c40e9e4"),
    ],
)
def test_aes_xcbc_takes_keys_of_any_length(key, expected):
    data = bytes(range(20))
    assert prf_output(prf("AES128_XCBC"), bytes.fromhex(key), data).hex() == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # RFC 4615 section 4.
        ("000102030405060708090a0b0c0d0e0fedcb", "84a348a4a45d235babfffc0d2b4da09a"),
        ("000102030405060708090a0b0c0d0e0f", "980ae87b5f4c9c5214f5b6a8455e4c2d"),
        ("00010203040506070809", "290d9e112edb09ee141fcf64c0b72f3d"),
    ],
)
def test_aes_cmac_takes_keys_of_any_length(key, expected):
    data = bytes(range(20))
    assert prf_output(prf("AES128_CMAC"), bytes.fromhex(key), data).hex() == expected


def test_prf_plus_stops_at_255_blocks():
    assert len(prf_plus(prf("HMAC_MD5"), b"k", b"s", 255 * 16)) == 255 * 16
    with pytest.raises(ValueError, match="at most 4080 bytes, not 4081"):
        prf_plus(prf("HMAC_MD5"), b"k", b"s", 255 * 16 + 1)


def test_only_hmac_prfs_have_a_hash():
    assert hash_output(prf("HMAC_SHA1"), b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
    with pytest.raises(ValueError, match="AES128_CMAC has no hash"):
        hash_output(prf("AES128_CMAC"), b"")
