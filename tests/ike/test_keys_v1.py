# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 keys and hashes, against NIST's vectors and exchanges recorded from strongSwan 6.0.1."""

import pytest

from harness.ike.keys_v1 import (
    Phase1Exchange,
    cipher_key,
    hash_i,
    hash_r,
    informational_hash,
    initial_iv,
    message_cipher,
    phase1_keys,
    phase2_iv,
    phase2_keys,
    quick_mode_hash1,
    quick_mode_hash2,
    quick_mode_hash3,
    skeyid_psk,
    skeyid_signature,
)
from harness.ike.transforms import encryption, integrity, prf
from tests.ike.vectors import load

RECORDED = load("strongswan")["ikev1"]
MODES = [record["mode"] for record in RECORDED]


def hexes(record, *names):
    return [bytes.fromhex(record[name]) for name in names]


def test_skeyid_and_its_children_are_those_of_nist_with_signatures():
    # NIST CAVP, IKEv1 with digital signatures, SHA-1.
    sha1 = prf("HMAC_SHA1")
    shared = bytes.fromhex("8ba4cbc73c0187301dc19a975823854dbd641c597f637f8d053a83b9514673eb")
    skeyid = skeyid_signature(
        sha1, bytes.fromhex("69a62284195f1680"), bytes.fromhex("80c94ba25c8abda5"), shared
    )
    assert skeyid.hex() == "707197817fb2d90cf54d1842606bdea59b9f4823"
    keys = phase1_keys(
        sha1, skeyid, shared, bytes.fromhex("8c3bcd3a69831d7f"), bytes.fromhex("d2d9a7ff4fbe95a7")
    )
    assert keys.d.hex() == "384be709a8a5e63c3ed160cfe3921c4b37d5b32d"
    assert keys.a.hex() == "48b327575abe3adba0f279849e289022a13e2b47"
    assert keys.e.hex() == "a4a415c8e0c38c0da847c356cc61c24df8025560"


def test_skeyid_with_a_preshared_key_is_that_of_nist():
    skeyid = skeyid_psk(
        prf("HMAC_SHA1"),
        bytes.fromhex("c0"),
        bytes.fromhex("03a6f25a83c8c2a3"),
        bytes.fromhex("9d958a6618f77e7f"),
    )
    assert skeyid.hex() == "ab3be41bc62f2ef0c41a3076d58768be77fadd2e"


def test_a_key_longer_than_skeyid_e_is_expanded_as_nss_does():
    # NSS's own vector for RFC 2409 appendix B.
    skeyid_e = bytes.fromhex("63e81194946ebd05df7df5ebf5d8750056bf1f1d")
    expected = "933347a07de5782247dd36d1562ffe0eecade1eb4134165257e3af1000af8ae3f165063828cbb60d"
    key = cipher_key(prf("HMAC_SHA1"), skeyid_e, encryption("AES_CBC_256"))
    assert key.hex() == expected[:64]
    assert cipher_key(prf("HMAC_SHA1"), skeyid_e, encryption("AES_CBC_128")) == skeyid_e[:16]


@pytest.mark.parametrize("record", RECORDED, ids=MODES)
def test_the_keys_of_phase_1_are_those_of_strongswan(record):
    hash_prf, cipher = prf(record["hash"]), encryption(record["encryption"])
    ni, nr, shared, ci, cr = hexes(record, "nonce_i", "nonce_r", "shared", "cookie_i", "cookie_r")
    skeyid = skeyid_psk(hash_prf, record["psk"].encode(), ni, nr)
    keys = phase1_keys(hash_prf, skeyid, shared, ci, cr)
    assert [keys.skeyid, keys.d, keys.a, keys.e] == hexes(
        record, "skeyid", "skeyid_d", "skeyid_a", "skeyid_e"
    )
    assert cipher_key(hash_prf, keys.e, cipher).hex() == record["ka"]
    public_i, public_r = hexes(record, "public_i", "public_r")
    assert initial_iv(hash_prf, public_i, public_r, cipher).hex() == record["initial_iv"]


@pytest.mark.parametrize("record", RECORDED, ids=MODES)
def test_the_hashes_of_phase_1_are_those_of_strongswan(record):
    exchange = Phase1Exchange(
        *hexes(record, "public_i", "public_r", "cookie_i", "cookie_r", "sa_i")
    )
    (skeyid, id_i, id_r) = hexes(record, "skeyid", "id_i", "id_r")
    hash_prf = prf(record["hash"])
    assert hash_i(hash_prf, skeyid, exchange, id_i).hex() == record["hash_i"]
    assert hash_r(hash_prf, skeyid, exchange, id_r).hex() == record["hash_r"]


def message_size(plain: bytes, first: int) -> int:
    """Bytes of a chain of payloads that starts with one of type `first`, without padding."""
    at, kind = 0, first
    while kind:
        kind, at = plain[at], at + int.from_bytes(plain[at + 2 : at + 4], "big")
    return at


@pytest.mark.parametrize("record", RECORDED, ids=MODES)
def test_every_encrypted_message_follows_the_chain_of_ivs(record):
    hash_prf, algorithm = prf(record["hash"]), encryption(record["encryption"])
    (skeyid_e, iv) = hexes(record, "skeyid_e", "initial_iv")
    ready = message_cipher(hash_prf, skeyid_e, algorithm)
    for message in record["messages"]:
        plain, ciphertext = hexes(message, "plain", "ciphertext")
        assert ready.decrypt(iv, ciphertext) == plain
        iv = ready.next_iv(ciphertext)
    quick = record["quick"]
    phase1_iv = iv
    iv = phase2_iv(hash_prf, phase1_iv, quick["message_id"], algorithm)
    for message in quick["messages"]:
        plain, ciphertext = hexes(message, "plain", "ciphertext")
        assert ready.decrypt(iv, ciphertext) == plain
        # strongSwan pads with at least one byte; the rest of its message must come out alike.
        size = message_size(plain, 8)
        ours = ready.encrypt(iv, plain[:size])
        assert ciphertext.startswith(ours[: size // ready.block_size * ready.block_size])
        iv = ready.next_iv(ciphertext)
    other = record["informational"]
    iv = phase2_iv(hash_prf, phase1_iv, other["message_id"], algorithm)
    plain, ciphertext = hexes(other["messages"][0], "plain", "ciphertext")
    assert ready.decrypt(iv, ciphertext) == plain


@pytest.mark.parametrize("record", RECORDED, ids=MODES)
def test_the_hashes_of_quick_mode_and_informational_are_those_of_strongswan(record):
    hash_prf = prf(record["hash"])
    (skeyid_a,) = hexes(record, "skeyid_a")
    quick = record["quick"]
    mid = quick["message_id"]
    plains = [bytes.fromhex(message["plain"]) for message in quick["messages"]]
    rests = [plain[4 + hash_prf.size : message_size(plain, 8)] for plain in plains]
    seed = bytes.fromhex(quick["seed_i"])
    ni, nr = seed[-64:-32], seed[-32:]
    assert quick_mode_hash1(hash_prf, skeyid_a, mid, rests[0]).hex() == quick["hash1"]
    assert quick_mode_hash2(hash_prf, skeyid_a, mid, ni, rests[1]).hex() == quick["hash2"]
    assert quick_mode_hash3(hash_prf, skeyid_a, mid, ni, nr).hex() == quick["hash3"]
    assert rests[2] == b""
    assert [plain[4 : 4 + hash_prf.size].hex() for plain in plains] == [
        quick["hash1"], quick["hash2"], quick["hash3"],
    ]  # fmt: skip
    other = record["informational"]
    plain = bytes.fromhex(other["messages"][0]["plain"])
    rest = plain[4 + hash_prf.size : message_size(plain, 8)]
    found = informational_hash(hash_prf, skeyid_a, other["message_id"], rest)
    assert found == plain[4 : 4 + hash_prf.size]


@pytest.mark.parametrize("record", RECORDED, ids=MODES)
def test_the_keys_of_ipsec_sas_are_those_of_strongswan(record):
    hash_prf = prf(record["hash"])
    cipher, mac = encryption(record["esp"]), integrity(record["auth"])
    (skeyid_d,) = hexes(record, "skeyid_d")
    quick = record["quick"]
    shared = bytes.fromhex(quick["shared"])
    for side, enc, auth in (("seed_i", "ei", "ai"), ("seed_r", "er", "ar")):
        seed = bytes.fromhex(quick[side])
        assert seed.startswith(shared)
        protocol, spi = seed[len(shared)], seed[len(shared) + 1 : len(shared) + 5]
        keys = phase2_keys(
            hash_prf, skeyid_d, protocol, spi, seed[-64:-32], seed[-32:], cipher, mac, shared
        )
        assert keys.encryption.hex() == quick[enc]
        assert keys.integrity.hex() == quick[auth]
    assert bool(shared) == (record["mode"] == "Main")


def test_broken_blocks_are_refused_and_change_nothing():
    ready = message_cipher(prf("HMAC_SHA1"), b"e" * 20, encryption("AES_CBC_128"))
    for body in (b"", b"seventeen bytes.."):
        with pytest.raises(ValueError, match="whole blocks of 16 bytes"):
            ready.decrypt(bytes(16), body)
    assert ready.padding(16) == b""
    assert ready.padding(17) == bytes(15)


def test_no_key_shows_in_a_repr():
    keys = phase1_keys(prf("HMAC_SHA1"), b"s" * 20, b"x", b"i" * 8, b"r" * 8)
    assert repr(keys) == "Phase1Keys()"
    ready = message_cipher(prf("HMAC_SHA1"), keys.e, encryption("AES_CBC_256"))
    assert repr(ready) == "MessageCipher(block_size=16)"
