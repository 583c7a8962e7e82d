# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures over HASH_I or HASH_R in IKEv1: RSA (RFC 2409 section 5.1), and ECDSA (RFC 4754).

The authentication method that is negotiated says the algorithm, and for ECDSA the curve and the
hash. Signatures of equal inputs are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from harness.ike.constants_v1 import AuthenticationMethod
from harness.ike.names import name_of
from harness.ike.signatures import (
    PrivateKey,
    PublicKey,
    SignatureFailure,
    sign_raw_rsa,
    verify_raw_rsa,
)
from harness.ike.transforms import Prf, prf


@dataclass(frozen=True, slots=True)
class Curve:
    """What an ECDSA method is tied to: a curve, and a hash as HMAC and on its own."""

    name: str
    prf: Prf
    hash: hashes.HashAlgorithm


CURVES: Mapping[int, Curve] = MappingProxyType(
    {
        AuthenticationMethod.ECDSA_SHA256_P256: Curve(
            "secp256r1", prf("HMAC_SHA2_256"), hashes.SHA256()
        ),
        AuthenticationMethod.ECDSA_SHA384_P384: Curve(
            "secp384r1", prf("HMAC_SHA2_384"), hashes.SHA384()
        ),
        AuthenticationMethod.ECDSA_SHA512_P521: Curve(
            "secp521r1", prf("HMAC_SHA2_512"), hashes.SHA512()
        ),
    }
)


def method_of(key: PrivateKey | PublicKey) -> AuthenticationMethod:
    """The authentication method that a key is for; raises SignatureFailure where there is none."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return AuthenticationMethod.RSA_SIGNATURES
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        for method, curve in CURVES.items():
            if key.curve.name == curve.name:
                return AuthenticationMethod(method)
    raise SignatureFailure("IKEv1 signs with a key of RSA, or on P-256, P-384 or P-521.")


def signed_prf(method: int, negotiated: Prf) -> Prf:
    """The prf of the HASH that is signed.

    It is the negotiated one, unless the signature is tied to a hash (RFC 2409 section 5.1).
    """
    return CURVES[method].prf if method in CURVES else negotiated


def sign(key: PrivateKey, digest: bytes) -> bytes:
    """The signature of a HASH with the method of a key; raises SignatureFailure."""
    curve = CURVES.get(method_of(key))
    if curve is None or not isinstance(key, ec.EllipticCurvePrivateKey):
        return sign_raw_rsa(key, digest)
    algorithm = ec.ECDSA(Prehashed(curve.hash), deterministic_signing=True)
    numbers = decode_dss_signature(key.sign(digest, algorithm))
    # r and s, each as long as the order of the curve (RFC 4754 section 7).
    return b"".join(one.to_bytes(_size(key), "big") for one in numbers)


def verify(key: PublicKey, method: int, signature: bytes, digest: bytes) -> None:
    """Check the signature of a HASH with the method that was negotiated; raises SignatureFailure.

    A key of another method does not do, whatever it has signed.
    """
    if method_of(key) != method:
        agreed = name_of(AuthenticationMethod, method)
        raise SignatureFailure(f"The peer's key is for {method_of(key).name}, not for {agreed}.")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        verify_raw_rsa(key, signature, digest)
        return
    size = _size(key)
    if len(signature) != 2 * size:
        raise SignatureFailure(
            f"An ECDSA signature on {key.curve.name} has {2 * size} octets, not {len(signature)}."
        )
    r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
    try:
        algorithm = ec.ECDSA(Prehashed(CURVES[method].hash))
        key.verify(encode_dss_signature(r, s), digest, algorithm)
    except (InvalidSignature, ValueError):
        raise SignatureFailure("The ECDSA signature does not match.") from None


def _size(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> int:
    return (key.curve.key_size + 7) // 8
