# SPDX-License-Identifier: GPL-2.0-or-later
"""Main and Aggressive Mode with RSA signatures and certificates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from harness.ike.constants_v1 import NotifyType
from harness.ike.payloads_v1 import Certificate, Hash, Signature
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Phase1, Phase1Mode, RsaSignature
from harness.ike.v1.events import IsakmpSaEstablished, Phase1Failed
from harness.ike.v1.identity import dn_identity, name_identity
from harness.ike.v1.reasons import Reason
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, mirrored, seil, swan

# `now` of a pair begins at 1000.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
RACOON = Phase1((encryption("3DES"),), (prf("HMAC_SHA1"),), (key_exchange("MODP_1024"),))


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(name: str, issuer: str = "ca", days: int = 100) -> x509.Certificate:
    def dn(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(dn(name))
        .issuer_name(dn(issuer))
        .public_key(key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH - timedelta(days=1))
        .not_valid_after(EPOCH + timedelta(days=days))
        .add_extension(x509.BasicConstraints(name == issuer, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(key(issuer), hashes.SHA256())


def signer(name: str, issuer: str = "ca", days: int = 100) -> RsaSignature:
    own = certificate(name, issuer, days)
    return RsaSignature((own,), key(name), (certificate("ca", "ca"),), EPOCH)


def pair_of(a: RsaSignature, b: RsaSignature, phase1: Phase1 = RACOON) -> Pair:
    return Pair(
        seil(
            credentials=a, phase1=phase1, local_identity=name_identity("moon"),
            remote_identity=name_identity("sun"),
        ),
        swan(
            credentials=b, phase1=phase1, local_identity=name_identity("sun"),
            remote_identity=name_identity("moon"),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("mode", list(Phase1Mode))
def test_certificates_and_signatures_take_the_place_of_the_hash(mode):
    pair = pair_of(signer("moon"), signer("sun"), replace(RACOON, mode=mode))
    ours = Transcript(pair.a)
    pair.up()
    assert mirrored(pair.a, pair.b)
    assert pair.a.only(IsakmpSaEstablished).peer == name_identity("sun")
    kinds = [type(payload) for plain in ours.plain for payload in plain.payloads]
    assert Certificate in kinds
    assert Signature in kinds
    assert Hash not in kinds[: kinds.index(Signature)]


def test_a_distinguished_name_is_an_identity():
    names = [dn_identity(certificate(one).subject.public_bytes()) for one in ("moon", "sun")]
    pair = pair_of(signer("moon"), signer("sun"))
    pair = Pair(
        replace(pair.a.endpoint.connections[0], local_identity=names[0], remote_identity=names[1]),
        replace(pair.b.endpoint.connections[0], local_identity=names[1], remote_identity=names[0]),
    )
    pair.up()
    assert pair.b.only(IsakmpSaEstablished).peer == names[0]


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        (lambda: signer("moon", "other"), "No trust anchor"),
        (lambda: signer("moon", "ca", 0), "expired"),
        (lambda: signer("mars"), "does not confirm the identity"),
        (lambda: replace(signer("moon"), key=key("mars")), "signature does not match"),
        (lambda: replace(signer("moon"), chain=()), "sent no certificate"),
    ],
    ids=["wrong CA", "expired", "other name", "other key", "no certificate"],
)
def test_a_peer_that_cannot_prove_itself_is_refused_with_a_reason(credentials, why):
    pair = pair_of(credentials(), signer("sun"))
    pair.initiate()
    pair.run()
    failed = pair.b.only(Phase1Failed)
    assert failed.reason is Reason.AUTHENTICATION_FAILED
    assert why in failed.detail
    assert failed.notify in (NotifyType.INVALID_CERTIFICATE, NotifyType.INVALID_SIGNATURE)
    assert pair.a.only(Phase1Failed).notify == failed.notify
    assert not pair.a.sas + pair.b.sas


def test_a_secret_at_one_end_and_a_certificate_at_the_other_do_not_meet():
    pair = Pair(
        seil(phase1=RACOON), pair_of(signer("moon"), signer("sun")).b.endpoint.connections[0]
    )
    pair.initiate()
    pair.run()
    assert "PRE_SHARED_KEY" in pair.b.only(Phase1Failed).detail
    assert "RSA_SIGNATURES" in pair.b.only(Phase1Failed).detail


def test_a_key_that_is_too_short_to_sign_fails_the_negotiation_and_raises_nothing():
    short = rsa.generate_private_key(65537, 1024)
    strong = replace(RACOON, hashes=(prf("HMAC_SHA2_512"),))
    pair = pair_of(replace(signer("moon"), key=short), signer("sun"), strong)
    pair.initiate()
    pair.run()
    assert pair.b.only(Phase1Failed).reason is Reason.AUTHENTICATION_FAILED
