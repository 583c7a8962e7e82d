# SPDX-License-Identifier: GPL-2.0-or-later
"""Main and Aggressive Mode with signatures and certificates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from harness.ike.constants_v1 import NotifyType
from harness.ike.payloads_v1 import Certificate, Hash, Signature
from harness.ike.signatures import SignatureFailure
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Phase1, Phase1Mode, Signer
from harness.ike.v1.events import IsakmpSaEstablished, Phase1Failed
from harness.ike.v1.identity import dn_identity, name_identity
from harness.ike.v1.reasons import Reason
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, mirrored, seil, swan

# `now` of a pair begins at 1000.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
RACOON = Phase1((encryption("3DES"),), (prf("HMAC_SHA1"),), (key_exchange("MODP_1024"),))


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(name: str, issuer: str = "ca", days: int = 100) -> x509.Certificate:
    return certified(name, key(name).public_key(), issuer, days)


def certified(
    name: str, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, issuer: str, days: int
) -> x509.Certificate:
    def dn(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(dn(name))
        .issuer_name(dn(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH - timedelta(days=1))
        .not_valid_after(EPOCH + timedelta(days=days))
        .add_extension(x509.BasicConstraints(name == issuer, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(key(issuer), hashes.SHA256())


def signer(name: str, issuer: str = "ca", days: int = 100) -> Signer:
    own = certificate(name, issuer, days)
    return Signer((own,), key(name), (certificate("ca", "ca"),), EPOCH)


def pair_of(a: Signer, b: Signer, phase1: Phase1 = RACOON) -> Pair:
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


@pytest.mark.parametrize("mode", list(Phase1Mode))
@pytest.mark.parametrize(
    "curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda one: one.name
)
def test_the_curve_of_a_key_decides_the_method_and_the_hash_that_is_signed(mode, curve):
    pair = pair_of(*(on_curve(name, curve) for name in ("moon", "sun")), replace(RACOON, mode=mode))
    ours = Transcript(pair.a)
    pair.up()
    assert mirrored(pair.a, pair.b)
    chosen = pair.a.only(IsakmpSaEstablished).choice
    method = {256: 9, 384: 10, 521: 11}[curve.key_size]
    assert (chosen.method, chosen.hash) == (method, prf("HMAC_SHA1"))
    (signature,) = (
        one for plain in ours.plain for one in plain.payloads if isinstance(one, Signature)
    )
    assert len(signature.data) == 2 * ((curve.key_size + 7) // 8)


def on_curve(name: str, curve: ec.EllipticCurve) -> Signer:
    secret = ec.generate_private_key(curve)
    own = certified(name, secret.public_key(), "ca", 100)
    return replace(signer(name), chain=(own,), key=secret)


def test_keys_on_two_curves_do_not_meet():
    pair = pair_of(on_curve("moon", ec.SECP256R1()), on_curve("sun", ec.SECP384R1()))
    pair.initiate()
    pair.run()
    failed = pair.b.only(Phase1Failed)
    assert failed.reason is Reason.NO_PROPOSAL_CHOSEN
    assert "ECDSA_SHA256_P256" in failed.detail
    assert "ECDSA_SHA384_P384" in failed.detail


def test_a_key_that_is_not_for_the_method_that_was_agreed_on_proves_nothing():
    moon = on_curve("moon", ec.SECP256R1())
    pair = pair_of(
        replace(moon, chain=on_curve("moon", ec.SECP384R1()).chain), on_curve("sun", ec.SECP256R1())
    )
    pair.initiate()
    pair.run()
    failed = pair.b.only(Phase1Failed)
    assert failed.reason is Reason.AUTHENTICATION_FAILED
    assert "for ECDSA_SHA384_P384, not for ECDSA_SHA256_P256" in failed.detail


def test_a_key_that_ikev1_cannot_sign_with_is_refused_at_once():
    with pytest.raises(SignatureFailure, match="RSA, or on P-256, P-384 or P-521"):
        replace(signer("moon"), key=ed25519.Ed25519PrivateKey.generate())


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
