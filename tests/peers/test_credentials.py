# SPDX-License-Identifier: GPL-2.0-or-later
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.peers.credentials import Authority

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_authority_signed_what_it_certifies() -> None:
    credentials = Authority("CA", NOON).certify("moon.example.org")
    certificate = x509.load_pem_x509_certificate(credentials.certificate.encode())
    authority = x509.load_pem_x509_certificate(credentials.authority.encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.not_valid_before_utc < NOON < certificate.not_valid_after_utc


def test_the_key_is_that_of_the_certificate() -> None:
    credentials = Authority("CA", NOON).certify("moon.example.org")
    certificate = x509.load_pem_x509_certificate(credentials.certificate.encode())
    key = load_pem_private_key(credentials.private_key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate.public_key()


def test_the_identity_is_the_subject_alternative_name() -> None:
    for identity, kind in (("moon.example.org", x509.DNSName), ("10.0.0.1", x509.IPAddress)):
        credentials = Authority("CA", NOON).certify(identity)
        certificate = x509.load_pem_x509_certificate(credentials.certificate.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name) for name in names.get_values_for_type(kind)] == [identity]


def test_the_same_names_on_the_same_day_give_the_same_credentials() -> None:
    later = NOON.replace(hour=23)
    assert Authority("CA", NOON).certify("moon") == Authority("CA", later).certify("moon")
    assert Authority("CA", NOON).certify("moon") != Authority("CA", NOON).certify("sun")
