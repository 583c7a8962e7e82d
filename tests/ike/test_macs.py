# SPDX-License-Identifier: GPL-2.0-or-later
"""Integrity algorithms, against published vectors and, for KAME's keyed hashes, openssl."""

import subprocess

import pytest

from harness.ike.ciphers import WrongKeyLength
from harness.ike.macs import integrity_check, keyed_hash
from harness.ike.transforms import INTEGRITIES, integrity
from tests.ike.vectors import vectors

VECTORS = vectors("integrities")


@pytest.mark.parametrize(("title", "v"), VECTORS, ids=[t for t, _ in VECTORS])
def test_integrity_algorithms_give_the_published_icv(title, v):
    assert integrity_check(integrity(v["algorithm"]), v["key"])(v["data"]) == v["out"]


def test_every_integrity_algorithm_is_checked_somewhere():
    checked = {v["algorithm"] for _, v in VECTORS}
    checked |= {"KEYED_MD5", "KEYED_SHA1", "HMAC_SHA2_256_96", "NONE"}
    assert checked == {record.name for record in INTEGRITIES}


def test_the_draft_truncation_of_sha256_is_the_start_of_the_published_one():
    # RFC 4868 section 2.7.2.1, AUTH256-1, cut to the 96 bits of the draft.
    v = dict(VECTORS)["sha256_hmac_s1"]
    short = integrity_check(integrity("HMAC_SHA2_256_96"), v["key"])
    assert short(v["data"]) == v["out"][:12]


@pytest.mark.parametrize(
    ("name", "key", "fill"),
    [
        # RFC 1828: key, keyfill (MD5's own padding of the key), datagram, key. KAME gives SHA-1
        # the same fill, with the length in little-endian order.
        ("md5", b"k" * 16, b"\x80" + bytes(39) + bytes([128, 0, 0, 0, 0, 0, 0, 0])),
        ("sha1", b"k" * 20, b"\x80" + bytes(35) + bytes([160, 0, 0, 0, 0, 0, 0, 0])),
    ],
)
def test_keyed_hashes_are_the_hash_of_key_fill_text_and_key(name, key, fill):
    # No vector is published; openssl hashes the octets that RFC 1828 and KAME's source describe.
    text = b"The datagram, with mutable fields as zero."
    run = subprocess.run(
        ["openssl", "dgst", f"-{name}", "-binary"],
        input=key + fill + text + key, capture_output=True, check=True,
    )  # fmt: skip
    assert len(key + fill) == 64
    assert keyed_hash(name, key)(text) == run.stdout


def test_a_key_of_the_wrong_length_is_refused_in_words():
    with pytest.raises(WrongKeyLength, match="HMAC_SHA1_96 takes a key of 20 bytes, not 16"):
        integrity_check(integrity("HMAC_SHA1_96"), bytes(16))
