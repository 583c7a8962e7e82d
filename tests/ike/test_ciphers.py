# SPDX-License-Identifier: GPL-2.0-or-later
"""Block ciphers, against published vectors (see vectors/ciphers.json)."""

import pytest

from harness.ike.ciphers import WrongKeyLength, cipher
from harness.ike.transforms import ENCRYPTIONS, CipherKind, Encryption, encryption
from tests.ike.vectors import vectors

VECTORS = vectors("ciphers")


def record_for(algorithm: str, key: bytes) -> Encryption:
    return next(
        e
        for e in ENCRYPTIONS
        if e.name.startswith(algorithm) and e.keymat_size == len(key) and not e.combined
    )


@pytest.mark.parametrize(("title", "v"), VECTORS, ids=[t for t, _ in VECTORS])
def test_ciphers_give_the_published_ciphertext_and_back(title, v):
    ready = cipher(record_for(v["algorithm"], v["key"]), v["key"])
    assert ready.encrypt(v["iv"], v["plain"]) == v["cipher"]
    assert ready.decrypt(v["iv"], v["cipher"]) == v["plain"]


def test_every_plain_cipher_has_a_published_vector():
    seen = {record_for(v["algorithm"], v["key"]).cipher for _, v in VECTORS}
    assert seen == {e.cipher for e in ENCRYPTIONS if not e.combined} - {"null"}


@pytest.mark.parametrize(
    ("name", "key", "plain", "expected"),
    [
        # RFC 2144 appendix B.1: 80 and 40 bits.
        ("CAST_80", "01234567123456782345", "0123456789abcdef", "eb6a711a2c02271b"),
        ("CAST_40", "0123456712", "0123456789abcdef", "7ac816d16e9b302e"),
        # Eric Young's variable-length key set for Blowfish: 160 and 192 bits.
        (
            "BLOWFISH_160",
            "f0e1d2c3b4a5968778695a4b3c2d1e0f00112233",
            "fedcba9876543210",
            "10851c0e3858da9f",
        ),
        (
            "BLOWFISH_192",
            "f0e1d2c3b4a5968778695a4b3c2d1e0f0011223344556677",
            "fedcba9876543210",
            "05044b62fa52d080",
        ),
        # The classic DES example.
        ("DES", "133457799bbcdff1", "0123456789abcdef", "85e813540f0ab405"),
    ],
)
def test_single_blocks_match_their_standard(name, key, plain, expected):
    ready = cipher(encryption(name), bytes.fromhex(key))
    assert ready.encrypt(bytes(8), bytes.fromhex(plain)).hex() == expected


def test_null_changes_nothing():
    # RFC 2410 section 5.
    text = bytes.fromhex("123456789abcdef0")
    assert cipher(encryption("NULL"), b"").encrypt(b"", text) == text


def test_a_key_of_the_wrong_length_is_refused_in_words():
    with pytest.raises(WrongKeyLength, match="AES_CBC_128 takes 16 bytes of key and salt, not 15"):
        cipher(encryption("AES_CBC_128"), bytes(15))


def test_combined_algorithms_are_referred_to_protection():
    combined = next(e for e in ENCRYPTIONS if e.kind is CipherKind.GCM)
    with pytest.raises(ValueError, match=r"harness\.ike\.protection"):
        cipher(combined, bytes(combined.keymat_size))


def test_no_key_shows_in_a_repr():
    ready = cipher(encryption("AES_CTR_128"), b"sixteen byte key" + b"salt")
    assert "salt" not in repr(ready).replace("salt=", "")
    assert "sixteen" not in repr(ready)
