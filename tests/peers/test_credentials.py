# SPDX-License-Identifier: GPL-2.0-or-later
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.peers.credentials import EXPONENT, LARGEST_PRIMES, Authority

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


@pytest.mark.parametrize("bits", [1024, 2048, 2560])
def test_an_rsa_key_is_made_from_its_name_and_signs(bits: int) -> None:
    credentials = Authority("CA", NOON).certify("moon", kind="rsa", rsa_bits=bits)
    assert credentials == Authority("CA", NOON).certify("moon", kind="rsa", rsa_bits=bits)
    assert credentials != Authority("CA", NOON).certify("sun", kind="rsa", rsa_bits=bits)
    # Reading it looks whether its primes are prime.
    key = load_pem_private_key(credentials.private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == bits
    signature = key.sign(b"hello", padding.PKCS1v15(), hashes.SHA256())
    certificate = x509.load_pem_x509_certificate(credentials.certificate.encode())
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signature, b"hello", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("bits", LARGEST_PRIMES)
def test_what_is_told_to_be_a_prime_is_one(bits: int) -> None:
    prime = 2**bits - LARGEST_PRIMES[bits]
    assert pow(3, prime - 1, prime) == 1
    assert prime % EXPONENT != 1


def test_a_chain_leads_from_the_end_to_the_authority_that_is_trusted() -> None:
    root = Authority("CA", NOON)
    credentials = Authority("below", NOON, issuer=root).certify("moon")
    texts = (credentials.certificate, *credentials.intermediates, credentials.authority)
    chain = [x509.load_pem_x509_certificate(text.encode()) for text in texts]
    assert len(chain) == 3
    for one, above in pairwise(chain):
        one.verify_directly_issued_by(above)
    assert credentials.authority == root.pem


def test_a_certificate_can_be_of_the_past() -> None:
    past = NOON - timedelta(days=365)
    credentials = Authority("CA", NOON).certify("moon", now=past)
    certificate = x509.load_pem_x509_certificate(credentials.certificate.encode())
    assert certificate.not_valid_after_utc < NOON
