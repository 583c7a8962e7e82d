# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of algorithms, against Wireshark's own tables where those are installed."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from harness.ike import transforms
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    KEY_EXCHANGES,
    PRFS,
    Dialect,
    Encryption,
    UnknownAlgorithm,
    encryption,
    encryption_by_esp_id,
    encryption_by_id,
    encryption_by_phase1_id,
    encryption_named,
    integrity_by_ah_id,
    integrity_by_auth_id,
    integrity_by_id,
    integrity_named,
    key_exchange_by_id,
    key_exchange_named,
    prf_by_hash_id,
    prf_by_id,
    prf_named,
    sequence_numbers_by_id,
)

ALL = (*ENCRYPTIONS, *INTEGRITIES, *PRFS, *KEY_EXCHANGES)


@pytest.mark.parametrize("records", [ENCRYPTIONS, INTEGRITIES, PRFS, KEY_EXCHANGES])
def test_every_algorithm_is_there_once(records):
    assert [name for name, count in Counter(r.name for r in records).items() if count > 1] == []


@pytest.mark.parametrize("record", ENCRYPTIONS, ids=lambda r: r.name)
def test_an_encryption_is_found_by_each_of_its_numbers_and_names(record: Encryption):
    bits = record.key_bits
    if record.id is not None:
        assert encryption_by_id(record.id, record.key_length_attribute or bits) is record
    if record.phase1_id is not None:
        assert encryption_by_phase1_id(record.phase1_id, bits) is record
    if record.esp_id is not None:
        assert encryption_by_esp_id(record.esp_id, bits) is record
    for dialect in Dialect:
        name = record.names.of(dialect)
        if name is not None:
            assert encryption_named(dialect, name, bits, record.icv_size * 8) is record


@pytest.mark.parametrize("record", PRFS, ids=lambda r: r.name)
def test_a_prf_is_found_by_each_of_its_numbers_and_names(record):
    assert prf_by_id(record.id) is record
    if record.hash_id is not None:
        assert prf_by_hash_id(record.hash_id) is record
    for dialect in Dialect:
        if record.names.of(dialect) is not None:
            assert prf_named(dialect, record.names.of(dialect)) is record


@pytest.mark.parametrize("record", KEY_EXCHANGES, ids=lambda r: r.name)
def test_a_key_exchange_is_found_by_its_number_and_names(record):
    assert key_exchange_by_id(record.id) is record
    for dialect in Dialect:
        if record.names.of(dialect) is not None:
            assert key_exchange_named(dialect, record.names.of(dialect)) is record


@pytest.mark.parametrize("record", INTEGRITIES, ids=lambda r: r.name)
def test_an_integrity_algorithm_is_found_by_each_of_its_numbers_and_names(record):
    if record.id is not None:
        assert integrity_by_id(record.id) is record
    if record.auth_id is not None:
        assert integrity_by_auth_id(record.auth_id) is record
    if record.ah_id is not None:
        assert integrity_by_ah_id(record.ah_id) is record
    for dialect in Dialect:
        name = record.names.of(dialect)
        if name is not None:
            assert integrity_named(dialect, name, record.icv_bits) is record


def test_the_numbers_are_those_of_the_registries():
    # IANA, IKEv2 parameters; IKE attributes; IPsec DOI (ISAKMP identifiers).
    assert encryption("CAMELLIA_CBC_256").id == 23
    assert encryption("CAMELLIA_CBC_256").esp_id == 22
    assert encryption("CAMELLIA_CBC_256").phase1_id == 8
    assert encryption("NULL_AUTH_AES_GMAC_128").id == 21
    assert encryption("NULL_AUTH_AES_GMAC_128").esp_id == 23
    assert encryption("CHACHA20_POLY1305").id == 28
    assert [encryption(f"AES_CCM_{n}_128").id for n in (8, 12, 16)] == [14, 15, 16]
    assert [encryption(f"AES_GCM_{n}_128").id for n in (8, 12, 16)] == [18, 19, 20]
    assert [g.id for g in KEY_EXCHANGES if g.name.startswith("BRAINPOOL")] == [28, 29, 30]
    assert [g.id for g in KEY_EXCHANGES if g.name.startswith("ML_KEM")] == [36, 37]
    assert [prf_by_hash_id(n).hash for n in (1, 2, 4, 5, 6)] == [
        "md5", "sha1", "sha256", "sha384", "sha512",
    ]  # fmt: skip


def test_the_short_truncation_of_sha256_is_never_found_by_number():
    short = transforms.integrity("HMAC_SHA2_256_96")
    assert (short.id, short.auth_id, short.ah_id) == (None, None, None)
    assert integrity_named(Dialect.XFRM, "hmac(sha256)", 96) is short
    assert integrity_named(Dialect.XFRM, "hmac(sha256)", 128).name == "HMAC_SHA2_256_128"


def test_weak_algorithms_are_marked():
    weak = {r.name for r in ALL if r.weak}
    assert {"DES", "3DES", "BLOWFISH_128", "CAST_128", "HMAC_MD5_96", "HMAC_MD5", "MODP_768",
            "MODP_1024", "MODP_1536", "MODP_1024_160", "KEYED_MD5", "NULL"} <= weak  # fmt: skip
    assert not weak & {"AES_CBC_128", "AES_GCM_16_256", "HMAC_SHA1_96", "MODP_2048", "X25519"}


def test_key_length_attributes_go_only_where_the_key_length_varies():
    assert encryption("AES_CBC_256").key_length_attribute == 256
    assert encryption("3DES").key_length_attribute is None
    assert encryption("CHACHA20_POLY1305").key_length_attribute is None
    assert encryption("AES_GCM_16_128").keymat_size == 20


def test_what_is_unknown_is_refused_in_words():
    with pytest.raises(UnknownAlgorithm, match="encryption id 99 with key length None"):
        encryption_by_id(99)
    with pytest.raises(UnknownAlgorithm, match="'aes512'"):
        encryption_named(Dialect.STRONGSWAN, "aes512")
    with pytest.raises(UnknownAlgorithm, match="id 7"):
        sequence_numbers_by_id(7)
    assert sequence_numbers_by_id(1).extended


def test_every_wireshark_word_is_one_that_wireshark_knows():
    listing = subprocess.run(
        ["find", "/usr/lib", "-name", "libwireshark.so.*"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    library = b"".join(Path(path).read_bytes() for path in listing[:1])
    assert library, "tshark is part of ci/setup"
    for record in ALL:
        for dialect in (Dialect.WIRESHARK_IKE, Dialect.WIRESHARK_ESP):
            word = record.names.of(dialect)
            assert word is None or word.encode() + b"\0" in library, word
