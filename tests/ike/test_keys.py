# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 keys, against NIST's vectors and what strongSwan 6.0.1 derived with itself."""

import pytest

from harness.ike.authentication import (
    int_auth,
    intermediate_auth,
    psk_auth,
    psk_auth_matches,
    signed_octets,
)
from harness.ike.keys import (
    SaOrigin,
    additional_skeyseed,
    child_keys,
    ike_keys,
    rekeyed_skeyseed,
    skeyseed,
)
from harness.ike.prfs import prf_plus
from harness.ike.transforms import encryption, integrity, prf
from tests.ike.vectors import load, vectors

KDF = vectors("ikev2_kdf")
SEEDS = [(t, v) for t, v in KDF if v["kind"] == "skeyseed"]
RECORDED: dict[str, list[list[str]]] = load("strongswan")["ikev2"]

ALGORITHMS = {
    "gcm": ("HMAC_SHA2_384", "AES_GCM_16_256", None, "AES_GCM_16_128", None),
    "xcbc": ("AES128_XCBC", "AES_CBC_128", "AES_XCBC_96", "AES_CBC_192", "HMAC_SHA2_256_128"),
    "multi": ("HMAC_SHA2_256", "AES_CBC_128", "HMAC_SHA2_256_128", "AES_CBC_256",
              "HMAC_SHA2_384_192"),
}  # fmt: skip


def algorithms(name: str):
    ike_prf, cipher, mac, esp, esp_mac = ALGORITHMS[name.split("-")[0]]
    return (
        prf(ike_prf),
        encryption(cipher),
        integrity(mac) if mac else None,
        encryption(esp),
        integrity(esp_mac) if esp_mac else None,
    )


def values(name: str, label: str) -> list[bytes]:
    """Every value that the log shows under a label, in its order."""
    return [bytes.fromhex(value) for found, value in RECORDED[name] if found == label]


def sk(name: str, which: str) -> list[bytes]:
    return values(name, f"Sk_{which} secret")


@pytest.mark.parametrize(("title", "v"), SEEDS, ids=[t for t, _ in SEEDS])
def test_skeyseed_is_that_of_strongswans_vectors(title, v):
    half = len(v["nonces"]) // 2
    nonces = v["nonces"][:half], v["nonces"][half:]
    assert skeyseed(prf(v["algorithm"]), *nonces, v["shared"]) == v["out"]


def test_the_whole_derivation_is_that_of_nist_with_sha1():
    # NIST CAVP, IKEv2, SHA-1: 256-bit g^ir, 64-bit nonces, 1056 bits of keying material.
    sha1 = prf("HMAC_SHA1")
    ni, nr = bytes.fromhex("32b50d5f4a3763f3"), bytes.fromhex("9206a04b26564cb1")
    spi_i, spi_r = bytes.fromhex("34c9e7c188868785"), bytes.fromhex("3ff77d760d2b2199")
    shared = bytes.fromhex("4b2c1f971981a8ad8d0abeafabf38cf75fc8349c148142465ed9c8b516b8be52")
    fresh = bytes.fromhex("863f3c9d06efd39d2b907b97f8699e5dd5251ef64a2a176f36ee40c87d4f9330")
    seed = skeyseed(sha1, ni, nr, shared)
    assert seed.hex() == "a9a7b222b59f8f48645f28a1db5b5f5d7479cba7"
    material = prf_plus(sha1, seed, ni + nr + spi_i + spi_r, 132)
    keys = ike_keys(
        sha1,
        encryption("AES_CBC_128"),
        integrity("HMAC_SHA1_96"),
        seed,
        SaOrigin(ni, nr, spi_i, spi_r),
    )
    joined = keys.d + keys.ai + keys.ar + keys.ei + keys.er + keys.pi + keys.pr
    assert joined == material
    assert material.hex().startswith("a14293677cc80ff8f9cc0eee30d895da9d8f4056")
    assert material.hex().endswith("4249520a441a81157435a7a56cc4")
    child = child_keys(sha1, keys.d, encryption("AES_CBC_256"), integrity("HMAC_SHA1_96"), ni, nr)
    assert (child.encryption_i + child.integrity_i).hex() == (
        "8059e3ee8810e6c3a91bc8bcd2a7a41151b8d0e6ae239c7b38093ad85ef4c5811a8e7b5d1cdabd95"
        "60b2d5e092d1f24e2d4b85ec"
    )
    with_exchange = child_keys(
        sha1, keys.d, encryption("AES_CBC_256"), integrity("HMAC_SHA1_96"), ni, nr, [fresh]
    )
    assert (with_exchange.encryption_i + with_exchange.integrity_i).hex() == (
        "bb43244c1860ad65ee1e211ffe8bb3661750c8f89cb9f547df7f4fa61d37301628190e38c66232ea"
        "b4b3ab14c400a5197dd3730e"
    )
    rekeyed = rekeyed_skeyseed(sha1, keys.d, [fresh], ni, nr)
    assert rekeyed.hex() == "63e81194946ebd05df7df5ebf5d8750056bf1f1d"


@pytest.mark.parametrize("name", ["gcm-3", "xcbc-5", "multi-7"])
def test_the_keys_of_an_ike_sa_are_those_of_strongswan(name):
    ike_prf, cipher, mac, _, _ = algorithms(name)
    octets = values(name, "octets = message + nonce + prf(Sk_px, IDx') + IntAuth")
    # The responder's IKE_SA_INIT message starts with both SPIs.
    spi_i, spi_r = octets[-1][:8], octets[-1][8:16]
    nonces = values(name, "nonces")
    secrets = values(name, "key exchange secret")
    origin = SaOrigin(nonces[0][:32], nonces[0][32:], spi_i, spi_r)
    seeds = values(name, "SKEYSEED")
    d = b""
    for step, expected in enumerate(seeds):
        if step == 0:
            seed = skeyseed(ike_prf, origin.nonce_i, origin.nonce_r, secrets[0])
        else:
            seed = additional_skeyseed(ike_prf, d, secrets[step], origin.nonce_i, origin.nonce_r)
        assert seed == expected
        keys = ike_keys(ike_prf, cipher, mac, seed, origin)
        for which in ("d", "ei", "er", "pi", "pr", *(("ai", "ar") if mac else ())):
            assert getattr(keys, which) == sk(name, which)[step], which
        d = keys.d
    assert len(seeds) == (3 if name == "multi-7" else 1)


@pytest.mark.parametrize("name", ["gcm-3", "xcbc-5", "multi-7"])
def test_the_keys_of_child_sas_are_those_of_strongswan(name):
    ike_prf, _, _, cipher, mac = algorithms(name)
    d = sk(name, "d")[-1]
    seeds = values(name, "seed")
    assert len(seeds) == 2
    for number, seed in enumerate(seeds):
        extra = len(seed) - 64
        shared: list[bytes] = []
        if extra and name == "gcm-3":
            shared = [seed[:48]]
            nonces = seed[48:]
        elif extra:
            # x25519, nonces, and then the additional exchange (RFC 9370 section 2.2.4).
            shared = [seed[:32], seed[96:]]
            nonces = seed[32:96]
        else:
            nonces = seed
        keys = child_keys(ike_prf, d, cipher, mac, nonces[:32], nonces[32:], shared)
        assert keys.encryption_i == values(name, "encryption initiator key")[number]
        assert keys.encryption_r == values(name, "encryption responder key")[number]
        if mac:
            assert keys.integrity_i == values(name, "integrity initiator key")[number]
            assert keys.integrity_r == values(name, "integrity responder key")[number]


@pytest.mark.parametrize(
    ("old", "new"), [("gcm-3", "gcm-4"), ("xcbc-5", "xcbc-6"), ("multi-7", "multi-8")]
)
def test_the_skeyseed_of_a_rekeyed_ike_sa_is_that_of_strongswan(old, new):
    ike_prf, *_ = algorithms(old)
    nonces = values(new, "nonces")[0]
    first = values(new, "key exchange secret")[0]
    more = b"".join(values(new, "additional key exchange secret"))
    # Two additional exchanges of 48 and 256 bytes; the log joins them.
    shared = [first, more[:48], more[48:]] if more else [first]
    seed = rekeyed_skeyseed(ike_prf, sk(old, "d")[-1], shared, nonces[:32], nonces[32:])
    assert seed == values(new, "SKEYSEED")[0]


@pytest.mark.parametrize("name", ["gcm-3", "xcbc-5", "multi-7"])
def test_auth_data_of_a_shared_key_is_that_of_strongswan(name):
    ike_prf, *_ = algorithms(name)
    size = ike_prf.size
    octets = values(name, "octets = message + nonce + prf(Sk_px, IDx') + IntAuth")
    ids, keys = values(name, "IDx'"), values(name, "SK_p")[-2:]
    nonces = values(name, "nonces")[-1]
    parts = values(name, "IntAuth_N = prf(Sk_px, data)")
    # Both ends' last values, the initiator's first, and the Message ID of IKE_AUTH.
    bound = int_auth(parts[-2], parts[-1], 3) if parts else b""
    for index, nonce in ((0, nonces[32:]), (1, nonces[:32])):
        message = octets[index][: len(octets[index]) - 32 - size - len(bound)]
        whole = signed_octets(ike_prf, message, nonce, keys[index], ids[index], bound)
        assert whole == octets[index]
        auth = values(name, "AUTH = prf(prf(secret, keypad), octets)")[index]
        secret = f"correct horse {name.split('-')[0]}".encode()
        assert psk_auth(ike_prf, secret, whole) == auth
        assert psk_auth_matches(ike_prf, secret, whole, auth)
        assert not psk_auth_matches(ike_prf, secret + b"!", whole, auth)


def test_intermediate_exchanges_are_authenticated_as_strongswan_does():
    ike_prf = prf("HMAC_SHA2_256")
    before = values("multi-7", "IntAuth_N-1")
    covered = values("multi-7", "IntAuth_A|P")
    keys = values("multi-7", "SK_p")[:4]
    results = values("multi-7", "IntAuth_N = prf(Sk_px, data)")
    assert len(results) == 4
    for previous, text, key, result in zip(before, covered, keys, results, strict=True):
        # A is the IKE header and the Encrypted payload's generic header: 32 bytes.
        assert intermediate_auth(ike_prf, key, previous, text[:32], text[32:]) == result


def test_ah_takes_no_encryption_key():
    keys = child_keys(prf("HMAC_SHA1"), b"d" * 20, None, integrity("HMAC_SHA1_96"), b"n", b"m")
    assert (keys.encryption_i, keys.encryption_r) == (b"", b"")
    assert len(keys.integrity_i) == len(keys.integrity_r) == 20


def test_no_key_shows_in_a_repr():
    ike_prf, cipher, mac, _, _ = algorithms("multi-7")
    keys = ike_keys(ike_prf, cipher, mac, b"s" * 32, SaOrigin(b"", b"", b"", b""))
    assert repr(keys) == "IkeKeys()"
    assert repr(child_keys(ike_prf, b"d", cipher, mac, b"", b"")) == "ChildKeys()"
