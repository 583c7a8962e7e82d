# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures of IKE: raw hashes in IKEv1, the methods of RFC 7296, 4754, 7427 and 8420 in IKEv2.

`AUTH data` is the Authentication Data field of the AUTH payload, for method 14 with the length
and the AlgorithmIdentifier in front of the signature (RFC 7427 section 3). Signing takes
randomness as a parameter and ECDSA is that of RFC 6979, so equal inputs sign equally.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    NoDigestInfo,
    decode_dss_signature,
    encode_dss_signature,
)

from harness.ike.constants_v2 import AuthMethod, HashAlgorithm
from harness.ike.key_exchange import Randomness
from harness.ike.pss import KeyTooShort, sign_pss

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)


class SignatureFailure(Exception):
    """AUTH data does not verify, or a key cannot do what is asked; the message says which."""


HASHES: dict[HashAlgorithm, hashes.HashAlgorithm] = {
    HashAlgorithm.SHA1: hashes.SHA1(),
    HashAlgorithm.SHA2_256: hashes.SHA256(),
    HashAlgorithm.SHA2_384: hashes.SHA384(),
    HashAlgorithm.SHA2_512: hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """A signature algorithm of method 14 and its DER AlgorithmIdentifier (RFC 7427 appendix A).

    `family` is `rsa`, `pss`, `ecdsa`, `ed25519` or `ed448`.
    """

    name: str
    family: str
    hash: HashAlgorithm
    identifier: bytes


def _scheme(name: str, family: str, hash_id: HashAlgorithm, identifier: str) -> SignatureScheme:
    return SignatureScheme(name, family, hash_id, bytes.fromhex(identifier))


def _pss_identifier(oid: str, salt: int) -> str:
    """RSASSA-PSS-params with the same hash in both places (RFC 7427 appendix A.4)."""
    algorithm = f"300d0609{oid}0500"
    parameters = (
        f"a00f{algorithm}"
        f"a11c301a06092a864886f70d010108{algorithm}"
        f"a2030201{salt:02x}"
    )  # fmt: skip
    body = f"06092a864886f70d01010a3034{parameters}"
    return f"30{len(body) // 2:02x}{body}"


SHA256_OID, SHA384_OID, SHA512_OID = (f"6086480165030402{n:02x}" for n in (1, 2, 3))

SCHEMES: tuple[SignatureScheme, ...] = (
    _scheme("ed25519", "ed25519", HashAlgorithm.IDENTITY, "300506032b6570"),
    _scheme("ed448", "ed448", HashAlgorithm.IDENTITY, "300506032b6571"),
    _scheme("ecdsa-sha256", "ecdsa", HashAlgorithm.SHA2_256, "300a06082a8648ce3d040302"),
    _scheme("ecdsa-sha384", "ecdsa", HashAlgorithm.SHA2_384, "300a06082a8648ce3d040303"),
    _scheme("ecdsa-sha512", "ecdsa", HashAlgorithm.SHA2_512, "300a06082a8648ce3d040304"),
    _scheme("ecdsa-sha1", "ecdsa", HashAlgorithm.SHA1, "300906072a8648ce3d0401"),
    _scheme("pss-sha256", "pss", HashAlgorithm.SHA2_256, _pss_identifier(SHA256_OID, 32)),
    _scheme("pss-sha384", "pss", HashAlgorithm.SHA2_384, _pss_identifier(SHA384_OID, 48)),
    _scheme("pss-sha512", "pss", HashAlgorithm.SHA2_512, _pss_identifier(SHA512_OID, 64)),
    _scheme("rsa-sha256", "rsa", HashAlgorithm.SHA2_256, "300d06092a864886f70d01010b0500"),
    _scheme("rsa-sha384", "rsa", HashAlgorithm.SHA2_384, "300d06092a864886f70d01010c0500"),
    _scheme("rsa-sha512", "rsa", HashAlgorithm.SHA2_512, "300d06092a864886f70d01010d0500"),
    _scheme("rsa-sha1", "rsa", HashAlgorithm.SHA1, "300d06092a864886f70d0101050500"),
)

FIXED_CURVES: dict[AuthMethod, tuple[str, HashAlgorithm]] = {
    AuthMethod.ECDSA_SHA256_P256: ("secp256r1", HashAlgorithm.SHA2_256),
    AuthMethod.ECDSA_SHA384_P384: ("secp384r1", HashAlgorithm.SHA2_384),
    AuthMethod.ECDSA_SHA512_P521: ("secp521r1", HashAlgorithm.SHA2_512),
}


def scheme(name: str) -> SignatureScheme:
    """The scheme of that name, such as `pss-sha256`; raises SignatureFailure."""
    for candidate in SCHEMES:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in SCHEMES)
    raise SignatureFailure(f"There is no signature scheme {name!r}; choose one of {known}.")


def _family(key: PrivateKey | PublicKey) -> tuple[str, ...]:
    match key:
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            return ("pss", "rsa")
        case ec.EllipticCurvePrivateKey() | ec.EllipticCurvePublicKey():
            return ("ecdsa",)
        case ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey():
            return ("ed25519",)
        case _:
            return ("ed448",)


def schemes_for(
    key: PrivateKey | PublicKey, accepted: Iterable[int], *, pss: bool = True
) -> tuple[SignatureScheme, ...]:
    """The schemes of method 14 that `key` can use with a peer that accepts those hashes.

    Best first: for ECDSA the hash that fits the curve, for RSA PSS before PKCS #1 (left out
    without `pss`). `accepted` holds the numbers of SIGNATURE_HASH_ALGORITHMS; SHA-1 comes last.
    """
    numbers = frozenset(accepted)
    families = _family(key)
    found = [
        candidate
        for candidate in SCHEMES
        if candidate.family in families
        and candidate.hash in numbers
        and (pss or candidate.family != "pss")
    ]
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        wanted = (key.curve.key_size + 7) // 8
        found.sort(key=lambda s: abs(HASHES[s.hash].digest_size - min(wanted, 64)))
    found.sort(key=lambda s: s.hash is HashAlgorithm.SHA1)
    return tuple(found)


def sign_raw_rsa(key: PrivateKey, digest: bytes) -> bytes:
    """The IKEv1 signature: PKCS #1 padding around HASH_I or HASH_R itself (RFC 2409 5.1).

    Raises SignatureFailure when the key is not RSA or too short.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SignatureFailure("RSA signatures of IKEv1 need an RSA key.")
    try:
        return key.sign(digest, padding.PKCS1v15(), NoDigestInfo())
    except ValueError as error:
        raise SignatureFailure(f"The RSA key cannot sign {len(digest)} bytes: {error}.") from None


def verify_raw_rsa(key: PublicKey, signature: bytes, digest: bytes) -> None:
    """Check an IKEv1 RSA signature of HASH_I or HASH_R; raises SignatureFailure."""
    if not isinstance(key, rsa.RSAPublicKey):
        raise SignatureFailure("RSA signatures of IKEv1 need an RSA key.")
    try:
        found = key.recover_data_from_signature(signature, padding.PKCS1v15(), NoDigestInfo())
    except (InvalidSignature, ValueError):
        found = None
    if found is None or not hmac.compare_digest(found, digest):
        raise SignatureFailure("The RSA signature does not match.")


def sign_scheme(
    key: PrivateKey, chosen: SignatureScheme, octets: bytes, randomness: Randomness
) -> bytes:
    """The bare signature of `octets` with a scheme; raises SignatureFailure for a wrong key."""
    if chosen.family not in _family(key):
        raise SignatureFailure(f"The key does not do {chosen.name}; take one of schemes_for.")
    try:
        match key:
            case rsa.RSAPrivateKey():
                algorithm = HASHES[chosen.hash]
                if chosen.family == "pss":
                    salt = randomness(algorithm.digest_size)
                    return sign_pss(key, octets, salt, algorithm.name)
                return key.sign(octets, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePrivateKey():
                return key.sign(octets, ec.ECDSA(HASHES[chosen.hash], deterministic_signing=True))
            case _:
                return key.sign(octets)
    except (KeyTooShort, ValueError) as error:
        raise SignatureFailure(f"The key is too short for {chosen.name}: {error}") from None


def verify_scheme(key: PublicKey, chosen: SignatureScheme, signature: bytes, octets: bytes) -> None:
    """Check a bare signature; raises SignatureFailure."""
    if chosen.family not in _family(key):
        raise SignatureFailure(f"The peer signed with {chosen.name}, which its key does not do.")
    try:
        match key:
            case rsa.RSAPublicKey():
                algorithm = HASHES[chosen.hash]
                key.verify(signature, octets, _rsa_padding(chosen, algorithm), algorithm)
            case ec.EllipticCurvePublicKey():
                key.verify(signature, octets, ec.ECDSA(HASHES[chosen.hash]))
            case _:
                key.verify(signature, octets)
    except (InvalidSignature, ValueError):
        raise SignatureFailure(f"The {chosen.name} signature does not match.") from None


def _rsa_padding(
    chosen: SignatureScheme, algorithm: hashes.HashAlgorithm
) -> padding.PSS | padding.PKCS1v15:
    if chosen.family == "pss":
        return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    return padding.PKCS1v15()


def _sign_fixed(key: PrivateKey, method: AuthMethod, octets: bytes) -> bytes:
    """r and s as two integers of the curve's length (RFC 4754 section 7)."""
    curve, hash_id = FIXED_CURVES[method]
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != curve:
        raise SignatureFailure(f"{method.name} needs a key on {curve}.")
    size = (key.curve.key_size + 7) // 8
    algorithm = ec.ECDSA(HASHES[hash_id], deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(octets, algorithm))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _verify_fixed(key: PublicKey, method: AuthMethod, auth: bytes, octets: bytes) -> None:
    curve, hash_id = FIXED_CURVES[method]
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve:
        raise SignatureFailure(f"The peer signed with {method.name}, which its key does not do.")
    size = (key.curve.key_size + 7) // 8
    if len(auth) != 2 * size:
        raise SignatureFailure(f"A {method.name} signature has {2 * size} bytes, not {len(auth)}.")
    r, s = int.from_bytes(auth[:size], "big"), int.from_bytes(auth[size:], "big")
    try:
        key.verify(encode_dss_signature(r, s), octets, ec.ECDSA(HASHES[hash_id]))
    except (InvalidSignature, ValueError):
        raise SignatureFailure(f"The {method.name} signature does not match.") from None


def auth_method(key: PrivateKey | PublicKey, *, digital_signature: bool) -> AuthMethod:
    """The method that a key signs with: 14 if the peer knows it, else the older one of the key.

    Raises SignatureFailure for keys that only method 14 can use.
    """
    if digital_signature:
        return AuthMethod.DIGITAL_SIGNATURE
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return AuthMethod.RSA_DIGITAL_SIGNATURE
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        for method, (curve, _) in FIXED_CURVES.items():
            if key.curve.name == curve:
                return method
    raise SignatureFailure("The peer does not know method 14, which this key needs (RFC 7427).")


def sign_auth(
    key: PrivateKey,
    method: AuthMethod,
    octets: bytes,
    randomness: Randomness,
    chosen: SignatureScheme | None = None,
) -> bytes:
    """AUTH data over the signed octets; method 14 needs `chosen`, method 1 may take one.

    Method 1 is PKCS #1 v1.5 with SHA-1 unless `chosen` is another `rsa-` scheme (RFC 7296
    section 3.8). Raises SignatureFailure.
    """
    if method in FIXED_CURVES:
        return _sign_fixed(key, method, octets)
    if method is AuthMethod.RSA_DIGITAL_SIGNATURE:
        return sign_scheme(key, chosen or scheme("rsa-sha1"), octets, randomness)
    if method is not AuthMethod.DIGITAL_SIGNATURE:
        raise SignatureFailure(f"Authentication method {method} does not sign.")
    if chosen is None:
        raise SignatureFailure("Method 14 needs a signature scheme; take one of schemes_for.")
    identifier = chosen.identifier
    return bytes([len(identifier)]) + identifier + sign_scheme(key, chosen, octets, randomness)


def verify_auth(key: PublicKey, method: int, auth: bytes, octets: bytes) -> SignatureScheme | None:
    """Check AUTH data and return the scheme that it used, `None` for ECDSA's fixed methods.

    Method 1 passes with any `rsa-` scheme. Raises SignatureFailure, also for methods that do not
    sign and for identifiers that are not known.
    """
    if method in FIXED_CURVES:
        _verify_fixed(key, AuthMethod(method), auth, octets)
        return None
    if method == AuthMethod.RSA_DIGITAL_SIGNATURE:
        return _verify_pkcs1(key, auth, octets)
    if method != AuthMethod.DIGITAL_SIGNATURE:
        raise SignatureFailure(f"Authentication method {method} is no signature that is known.")
    size = auth[0] if auth else 0
    identifier, signature = auth[1 : 1 + size], auth[1 + size :]
    for candidate in SCHEMES:
        if candidate.identifier == identifier:
            verify_scheme(key, candidate, signature, octets)
            return candidate
    raise SignatureFailure(f"The signature algorithm {identifier.hex()} is not known.")


def _verify_pkcs1(key: PublicKey, auth: bytes, octets: bytes) -> SignatureScheme:
    for candidate in SCHEMES:
        if candidate.family == "rsa":
            try:
                verify_scheme(key, candidate, auth, octets)
            except SignatureFailure:
                continue
            return candidate
    raise SignatureFailure("The RSA signature does not match with any hash.")
