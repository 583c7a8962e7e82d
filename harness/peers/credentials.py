# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for a lab: an authority, and end entities that it signs (RFC 5280, RFC 4945).

Keys are made from names, so that the same lab has the same certificates in every run: they protect
nothing but a lab.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from harness.peers.connection import Certificate

CURVE = ec.SECP256R1()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256's base point (FIPS 186-5)."""
VALIDITY = datetime.timedelta(days=10)


@dataclass(frozen=True)
class Authority:
    """A certification authority of the lab, valid around `now`."""

    name: str
    now: datetime.datetime

    @property
    def pem(self) -> str:
        """Its own certificate, self-signed."""
        return _pem(self._sign(self.name, _key(self.name), x509.BasicConstraints(True, None), None))

    def certify(self, identity: str) -> Certificate:
        """Credentials for an end, with `identity` as the certificate's subjectAltName."""
        key = _key(f"{self.name}/{identity}")
        certificate = self._sign(identity, key, x509.BasicConstraints(False, None), identity)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        return Certificate(_pem(certificate), text.decode(), self.pem)

    def _sign(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        identity: str | None,
    ) -> x509.Certificate:
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        serial = hashlib.sha256(f"{self.name}/{subject}".encode()).digest()[:8]
        issuer_key = _key(self.name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(int.from_bytes(serial) >> 1)
            .not_valid_before(midnight - VALIDITY)
            .not_valid_after(midnight + VALIDITY)
            .add_extension(constraints, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if identity is not None:
            alternative = x509.SubjectAlternativeName([_general_name(identity)])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


def _key(name: str) -> ec.EllipticCurvePrivateKey:
    digest = hashlib.sha512(f"a key of an IPsec lab, known to all: {name}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest) % (ORDER - 1) + 1, CURVE)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ikelab"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(identity: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(identity))
    except ValueError:
        return x509.DNSName(identity)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
