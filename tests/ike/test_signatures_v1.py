# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures of a HASH in IKEv1, against openssl's command line and an example of RFC 4754."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.constants_v1 import AuthenticationMethod
from harness.ike.signatures import SignatureFailure
from harness.ike.signatures_v1 import CURVES, method_of, sign, signed_prf, verify
from harness.ike.transforms import prf
from tests.ike.test_signatures import openssl, rsa_key, write_public

ON_CURVE = {
    AuthenticationMethod.ECDSA_SHA256_P256: ec.SECP256R1(),
    AuthenticationMethod.ECDSA_SHA384_P384: ec.SECP384R1(),
    AuthenticationMethod.ECDSA_SHA512_P521: ec.SECP521R1(),
}
KEYS = {method: ec.derive_private_key(0x1234567, curve) for method, curve in ON_CURVE.items()}


@pytest.mark.parametrize("method", ON_CURVE)
def test_openssl_verifies_what_is_signed_over_the_hash_itself(method, tmp_path):
    key = KEYS[method]
    digest = bytes(range(CURVES[method].hash.digest_size))
    signature = sign(key, digest)
    size = len(signature) // 2
    r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
    (tmp_path / "digest").write_bytes(digest)
    (tmp_path / "signature").write_bytes(encode_dss_signature(r, s))
    said = openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", write_public(key, tmp_path / "public.pem"),
        "-in", str(tmp_path / "digest"), "-sigfile", str(tmp_path / "signature"),
    )  # fmt: skip
    assert b"Verified Successfully" in said
    verify(key.public_key(), method, signature, digest)


def test_the_example_of_rfc_4754_verifies():
    # Section 8.1: the key, r and s for the message "abc", with a k of its own.
    x, y, r, s = (
        bytes.fromhex(text)
        for text in (
            "2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E970",
            "6FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D",
            "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C",
            "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315",
        )
    )
    numbers = (int.from_bytes(one, "big") for one in (x, y))
    key = ec.EllipticCurvePublicNumbers(*numbers, ec.SECP256R1()).public_key()
    verify(key, AuthenticationMethod.ECDSA_SHA256_P256, r + s, sha256(b"abc").digest())


@pytest.mark.parametrize("method", ON_CURVE)
def test_r_and_s_are_as_long_as_the_curve_says(method):
    size = {9: 64, 10: 96, 11: 132}[method]
    assert len(sign(KEYS[method], bytes(CURVES[method].hash.digest_size))) == size


@given(method=st.sampled_from(sorted(ON_CURVE)), octets=st.binary(max_size=140))
def test_what_is_no_signature_is_refused(method, octets):
    digest = bytes(CURVES[method].hash.digest_size)
    with pytest.raises(SignatureFailure):
        verify(KEYS[method].public_key(), method, octets, digest)


@pytest.mark.parametrize("method", ON_CURVE)
@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_changed_octet_anywhere_is_seen(method, at, bit):
    digest = bytes(CURVES[method].hash.digest_size)
    signature = bytearray(sign(KEYS[method], digest))
    signature[at % len(signature)] ^= 1 << bit
    with pytest.raises(SignatureFailure):
        verify(KEYS[method].public_key(), method, bytes(signature), digest)


def test_a_key_is_for_one_method_only():
    assert method_of(rsa_key()) == AuthenticationMethod.RSA_SIGNATURES
    assert {method_of(key) for key in KEYS.values()} == set(ON_CURVE)
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(SignatureFailure, match="P-256, P-384 or P-521"):
            method_of(key)


@pytest.mark.parametrize(
    "method", [3, 9, 10, 11, 1, 77], ids=["RSA", "P-256", "P-384", "P-521", "secret", "unknown"]
)
def test_no_other_key_than_that_of_the_method_will_do(method):
    for key in (rsa_key(), *KEYS.values()):
        own = method_of(key)
        digest = bytes(CURVES[own].hash.digest_size if own in CURVES else 32)
        signature = sign(key, digest)
        if own != method:
            with pytest.raises(SignatureFailure, match="not for"):
                verify(key.public_key(), method, signature, digest)


def test_the_hash_of_the_method_is_signed_and_without_one_the_negotiated():
    assert signed_prf(AuthenticationMethod.RSA_SIGNATURES, prf("HMAC_SHA1")) == prf("HMAC_SHA1")
    found = [signed_prf(method, prf("HMAC_SHA1")).name for method in ON_CURVE]
    assert found == ["HMAC_SHA2_256", "HMAC_SHA2_384", "HMAC_SHA2_512"]
