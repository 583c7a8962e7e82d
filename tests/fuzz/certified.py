# SPDX-License-Identifier: GPL-2.0-or-later
"""Two ends of IKEv2 with certificates whose every octet is the same in every run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from harness.ike.v2.connection import Anchors, Connection, Settings, Signer
from harness.ike.v2.seam import Seam
from tests.ike.v2.pair import MOON_NET, SUN_NET, Pair

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(epoch=START, half_open_limit=8, cookie_threshold=4)
AUTHORITY = "ca.example"


def pair(seams: tuple[Seam | None, Seam | None]) -> Pair:
    """Moon and sun, which trust one authority."""
    return Pair(
        (_trusting(MOON_NET, "moon.example"),),
        (_trusting(SUN_NET, "sun.example"),),
        settings=SETTINGS,
        seams=seams,
    )


def _trusting(connection: Connection, owner: str) -> Connection:
    own = Signer(_key(owner), (certificate(owner),))
    return replace(connection, local_auth=own, remote_auth=Anchors((certificate(AUTHORITY),)))


def _key(owner: str) -> Ed25519PrivateKey:
    # Ed25519 signs the same octets in the same way, always.
    return Ed25519PrivateKey.from_private_bytes(sha256(owner.encode()).digest())


@cache
def certificate(owner: str) -> x509.Certificate:
    """The owner's certificate, which the authority has signed."""
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (owner, AUTHORITY)
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(_key(owner).public_key())
        .serial_number(1 + len(owner))
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=30))
        .add_extension(x509.BasicConstraints(owner == AUTHORITY, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(owner)]), critical=False)
        .sign(_key(AUTHORITY), None)
    )
