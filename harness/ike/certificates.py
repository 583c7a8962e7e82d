# SPDX-License-Identifier: GPL-2.0-or-later
"""X.509 certificates as IKE uses them (RFC 4945): loading, chains to a trust anchor, identities.

Time is a parameter. Certificates travel in CERT payloads as DER, and an anchor is named in CERTREQ
by the SHA-1 of its public key (RFC 7296 section 3.7).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha1
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from harness.ike.constants_v2 import IdType
from harness.ike.signatures import PrivateKey, PublicKey

# A peer chooses what it sends, and paths multiply with each certificate.
LONGEST_CHAIN = 6
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
PEM_MARK = b"-----BEGIN"


class CertificateFailureReason(StrEnum):
    """Why a certificate is not good for a peer."""

    MALFORMED = "malformed"
    NO_CERTIFICATE = "no certificate"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    UNTRUSTED = "no path to a trust anchor"
    NOT_AN_AUTHORITY = "issuer is no certificate authority"
    WRONG_USAGE = "key usage forbids signatures"
    WRONG_IDENTITY = "identity is not in the certificate"
    UNSUPPORTED_KEY = "key type is not for IKE"
    UNKNOWN_EXTENSION = "critical extension is not understood"


class CertificateFailure(Exception):
    """A certificate that is not accepted; `reason` says why, the message for which one."""

    def __init__(self, reason: CertificateFailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TrustedPeer:
    """The outcome of a check: the peer's key and its chain, leaf first, anchor last."""

    key: PublicKey
    chain: tuple[x509.Certificate, ...]


def load_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates in PEM text, or the one in DER; raises CertificateFailure."""
    try:
        if PEM_MARK in data:
            return tuple(x509.load_pem_x509_certificates(data))
        return (x509.load_der_x509_certificate(data),)
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateFailure(
            CertificateFailureReason.MALFORMED, f"The certificate cannot be read: {error}."
        ) from None


def load_private_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """The private key in PEM or DER; raises CertificateFailure for other types and bad data."""
    load = load_pem_private_key if PEM_MARK in data else load_der_private_key
    try:
        key = load(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateFailure(
            CertificateFailureReason.MALFORMED, f"The private key cannot be read: {error}."
        ) from None
    match key:
        case rsa.RSAPrivateKey() | ec.EllipticCurvePrivateKey():
            return key
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return key
    raise CertificateFailure(
        CertificateFailureReason.UNSUPPORTED_KEY, "The private key is not RSA, ECDSA or EdDSA."
    )


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as a CERT payload of encoding 4 carries it."""
    return certificate.public_bytes(Encoding.DER)


def subject_dn(certificate: x509.Certificate) -> bytes:
    """The subject as DER, as an ID payload of type DER_ASN1_DN carries it."""
    return certificate.subject.public_bytes()


def public_key(certificate: x509.Certificate) -> PublicKey:
    """The key that the certificate certifies; raises CertificateFailure for other types."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateFailure(
            CertificateFailureReason.UNSUPPORTED_KEY, f"The public key cannot be read: {error}."
        ) from None
    match key:
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            return key
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return key
    raise CertificateFailure(
        CertificateFailureReason.UNSUPPORTED_KEY,
        f"The key of {_title(certificate)} is not RSA, ECDSA or EdDSA.",
    )


def key_hash(certificate: x509.Certificate) -> bytes:
    """The 20 bytes that name an authority in CERTREQ: SHA-1 of SubjectPublicKeyInfo."""
    info = public_key(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha1(info, usedforsecurity=False).digest()


def _title(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
    except ValueError:
        return "a certificate with an unreadable subject"


def _check_validity(certificate: x509.Certificate, at: datetime) -> None:
    if at < certificate.not_valid_before_utc:
        raise CertificateFailure(
            CertificateFailureReason.NOT_YET_VALID,
            f"{_title(certificate)} is valid only from {certificate.not_valid_before_utc}.",
        )
    if at > certificate.not_valid_after_utc:
        raise CertificateFailure(
            CertificateFailureReason.EXPIRED,
            f"{_title(certificate)} expired at {certificate.not_valid_after_utc}.",
        )


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> object | None:
    """The value of an extension, `None` without it; ValueError for extensions that are broken."""
    for extension in certificate.extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _check_critical(certificate: x509.Certificate) -> None:
    """Refuse critical extensions that nothing here enforces (RFC 5280 section 4.2)."""
    for extension in certificate.extensions:
        unenforced = isinstance(extension.value, x509.UnrecognizedExtension | x509.NameConstraints)
        if extension.critical and unenforced:
            raise CertificateFailure(
                CertificateFailureReason.UNKNOWN_EXTENSION,
                f"{_title(certificate)} has the critical extension {extension.oid.dotted_string}.",
            )


def _check_authority(certificate: x509.Certificate, below: int) -> None:
    """Refuse an issuer that may not issue; `below` counts authorities between it and the leaf."""
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    authority = isinstance(constraints, x509.BasicConstraints) and constraints.ca
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        authority = False
    if isinstance(constraints, x509.BasicConstraints) and constraints.path_length is not None:
        authority = authority and below <= constraints.path_length
    if not authority:
        raise CertificateFailure(
            CertificateFailureReason.NOT_AN_AUTHORITY,
            f"{_title(certificate)} may not issue this certificate.",
        )


def _check_leaf(certificate: x509.Certificate) -> None:
    """Key usage, when there is one, must allow signatures (RFC 4945 section 5.1.3.2)."""
    usage = _extension(certificate, x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage) and not (
        usage.digital_signature or usage.content_commitment
    ):
        raise CertificateFailure(
            CertificateFailureReason.WRONG_USAGE,
            f"The key usage of {_title(certificate)} does not allow signatures.",
        )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _paths(
    chain: tuple[x509.Certificate, ...],
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> Iterable[tuple[x509.Certificate, ...]]:
    """Every chain of good signatures from the leaf to an anchor, shortest first at each step."""
    last = chain[-1]
    if last in anchors:
        yield chain
        return
    if len(chain) > LONGEST_CHAIN:
        return
    for anchor in anchors:
        if _issued(last, anchor):
            yield (*chain, anchor)
    for candidate in others:
        if candidate not in chain and _issued(last, candidate):
            yield from _paths((*chain, candidate), others, anchors)


def _check_path(chain: tuple[x509.Certificate, ...], at: datetime) -> None:
    for depth, certificate in enumerate(chain):
        _check_validity(certificate, at)
        _check_critical(certificate)
        if depth:
            _check_authority(certificate, depth - 1)


def trusted_peer(
    received: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> TrustedPeer:
    """The key of the first certificate received, once a path to an anchor is good at `at`.

    The rest of `received` may be intermediate authorities in any order. `at` is an aware
    datetime. An anchor that is the leaf itself is trusted as it is. Raises CertificateFailure
    with what is wrong with the path that came nearest.
    """
    if not received:
        raise CertificateFailure(
            CertificateFailureReason.NO_CERTIFICATE, "The peer sent no certificate."
        )
    leaf = received[0]
    failure = CertificateFailure(
        CertificateFailureReason.UNTRUSTED,
        f"No trust anchor issued {_title(leaf)} or an authority above it.",
    )
    try:
        _check_validity(leaf, at)
        _check_leaf(leaf)
        for chain in _paths((leaf,), received[1:LONGEST_CHAIN], anchors):
            try:
                _check_path(chain, at)
            except CertificateFailure as problem:
                failure = problem
                continue
            return TrustedPeer(public_key(leaf), chain)
    except UNREADABLE as error:
        raise CertificateFailure(
            CertificateFailureReason.MALFORMED, f"An extension cannot be read: {error}."
        ) from None
    raise failure


def check_identity(certificate: x509.Certificate, id_type: int, data: bytes) -> None:
    """Refuse an identity that the certificate does not carry (RFC 4945 section 3.1).

    `id_type` and `data` are those of the ID payload: a DN must be the subject, the others a
    subjectAltName. Raises CertificateFailure.
    """
    try:
        found = _carries(certificate, id_type, data)
    except UNREADABLE:
        found = False
    if not found:
        raise CertificateFailure(
            CertificateFailureReason.WRONG_IDENTITY,
            f"{_title(certificate)} does not confirm the identity of type {id_type} {data[:64]!r}.",
        )


def _carries(certificate: x509.Certificate, id_type: int, data: bytes) -> bool:
    if id_type == IdType.DER_ASN1_DN:
        return subject_dn(certificate) == data
    names = _extension(certificate, x509.SubjectAlternativeName)
    if not isinstance(names, x509.SubjectAlternativeName):
        return False
    match id_type:
        case IdType.FQDN:
            wanted = data.decode("ascii").lower()
            found = (name.lower() for name in names.get_values_for_type(x509.DNSName))
            return any(_host_matches(pattern, wanted) for pattern in found)
        case IdType.RFC822_ADDR:
            local, _, domain = data.decode("ascii").rpartition("@")
            addresses = (
                name.rpartition("@") for name in names.get_values_for_type(x509.RFC822Name)
            )
            return any(
                user == local and host.lower() == domain.lower() for user, _, host in addresses
            )
        case IdType.IPV4_ADDR | IdType.IPV6_ADDR:
            return ip_address(data) in names.get_values_for_type(x509.IPAddress)
    return False


def _host_matches(pattern: str, name: str) -> bool:
    """Whether they are the same host; RFC 4945 section 5.1.3.6 gives wildcards no meaning."""
    return bool(name) and pattern.rstrip(".") == name.rstrip(".")
