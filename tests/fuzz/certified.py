# SPDX-License-Identifier: GPL-2.0-or-later
"""Two ends of either version with certificates whose every octet is the same in every run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from harness.ike.certificates import load_certificates
from harness.ike.v1.configuration import Phase1
from harness.ike.v1.configuration import Signer as SignerV1
from harness.ike.v1.identity import name_identity
from harness.ike.v2.connection import Anchors, Connection, Settings, Signer
from harness.ike.v2.seam import Seam
from harness.peers.credentials import Authority, Kind
from tests.ike.v1 import pair as v1
from tests.ike.v2.pair import MOON_NET, SUN_NET, Pair

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(epoch=START, half_open_limit=8, cookie_threshold=4)
AUTHORITY = "ca.example"
LAB_AUTHORITY = Authority(AUTHORITY, START)
RSA_BITS = 1024


def pair(seams: tuple[Seam | None, Seam | None]) -> Pair:
    """Moon and sun, which trust one authority."""
    return Pair(
        (_trusting(MOON_NET, "moon.example"),),
        (_trusting(SUN_NET, "sun.example"),),
        settings=SETTINGS,
        seams=seams,
    )


def pair_v1(phase1: Phase1, kind: Kind) -> v1.Pair:
    """A SEIL and a strongSwan that sign and trust one authority (RFC 2409 5.1, RFC 4754)."""
    left, right = name_identity("seil.example"), name_identity("swan.example")
    return v1.Pair(
        v1.seil(
            credentials=signatures("seil.example", kind), phase1=phase1,
            local_identity=left, remote_identity=right,
        ),
        v1.swan(
            credentials=signatures("swan.example", kind), phase1=phase1,
            local_identity=right, remote_identity=left,
        ),
    )  # fmt: skip


@cache
def signatures(owner: str, kind: Kind) -> SignerV1:
    """A key of the owner, its certificate and the authority that is trusted."""
    made = LAB_AUTHORITY.certify(owner, kind=kind, rsa_bits=RSA_BITS)
    own, anchor = (load_certificates(one.encode()) for one in (made.certificate, made.authority))
    key = load_pem_private_key(made.private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return SignerV1(own, key, anchor, START)


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
