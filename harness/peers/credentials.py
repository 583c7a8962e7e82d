# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for a lab: an authority, and end entities that it signs (RFC 5280, RFC 4945).

Keys are made from names, so that the same lab has the same certificates in every run: they protect
nothing but a lab.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from harness.peers.connection import Certificate

CURVE = ec.SECP256R1()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256's base point (FIPS 186-5)."""
EXPONENT = 65537
RSA_BITS = 2048
LARGEST_PRIMES = {512: 569, 1024: 105, 1536: 3453, 2048: 1557}
"""The largest prime of so many bits is two to their power less this."""
SIEVED = 20_000
"""No candidate for a prime is divisible by an odd number below this."""
WINDOW = 4096
"""How many odd numbers are sieved at once: of 1024 bits every 355th is a prime."""
VALIDITY = datetime.timedelta(days=10)

Kind = Literal["ecdsa", "ecdsa-p384", "ecdsa-p521", "rsa"]
"""What signs; `ecdsa` is on P-256."""
LARGER: dict[Kind, ec.EllipticCurve] = {"ecdsa-p384": ec.SECP384R1(), "ecdsa-p521": ec.SECP521R1()}
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Authority:
    """A certification authority of the lab, valid around `now`; `issuer` is the one above it."""

    name: str
    now: datetime.datetime
    issuer: Authority | None = None

    @property
    def pem(self) -> str:
        """Its own certificate, signed by the one above it or by itself."""
        signer = self.issuer or self
        constraints = x509.BasicConstraints(True, None)
        return _pem(signer._sign(self.name, _key(self.name), constraints, None, self.now))

    def certify(
        self,
        identity: str,
        *,
        kind: Kind = "ecdsa",
        now: datetime.datetime | None = None,
        rsa_bits: int = RSA_BITS,
    ) -> Certificate:
        """Credentials for an end, with `identity` as the certificate's subjectAltName.

        The certificate is valid around `now`, by default the authority's. What is trusted is the
        uppermost authority. A key of 2048 `rsa_bits` takes an emulated guest some seconds.
        """
        name = f"{self.name}/{identity}"
        key = _rsa_key(name, rsa_bits) if kind == "rsa" else _key(name, LARGER.get(kind, CURVE))
        constraints = x509.BasicConstraints(False, None)
        certificate = self._sign(identity, key, constraints, identity, now or self.now)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        line = [self]
        while line[-1].issuer is not None:
            line.append(line[-1].issuer)
        intermediates = tuple(one.pem for one in line[:-1])
        return Certificate(_pem(certificate), text.decode(), line[-1].pem, intermediates)

    def _sign(
        self,
        subject: str,
        key: PrivateKey,
        constraints: x509.BasicConstraints,
        identity: str | None,
        now: datetime.datetime,
    ) -> x509.Certificate:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
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


def _key(name: str, curve: ec.EllipticCurve = CURVE) -> ec.EllipticCurvePrivateKey:
    if curve is CURVE:
        return ec.derive_private_key(_octets(name, 64) % (ORDER - 1) + 1, CURVE)
    # Fewer octets than the order of the base point has.
    return ec.derive_private_key(_octets(name, curve.key_size // 8 - 1) + 1, curve)


@functools.cache
def _rsa_key(name: str, bits: int) -> rsa.RSAPrivateKey:
    """An RSA key (RFC 8017 3): libraries make none from a name.

    One prime is the same in all, for the search is what takes long: whoever has two of them has
    both keys, as whoever has this file.
    """
    half = bits // 2
    q = _prime(_octets(f"{name}, q", bits // 16), half)
    less = LARGEST_PRIMES.get(half)
    p = _prime(_octets(f"{name}, p", bits // 16), half) if less is None else 2**half - less
    d = pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(EXPONENT, p * q)
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, *crt, public)
    # It would look for primes once more, which takes as long as it took to find them.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _prime(start: int, bits: int) -> int:
    """The first probable prime of so many bits from `start` on."""
    candidates = _sieved(start | 3 << (bits - 2) | 1)
    return next(n for n in candidates if n % EXPONENT != 1 and _is_prime(n))


def _sieved(first: int) -> Iterator[int]:
    """Large odd numbers from `first` on, without those that have a small divisor."""
    while True:
        divisible = bytearray(WINDOW)
        for prime in _small_primes():
            # first + 2 n is divisible by it for this n, and for every one that far behind.
            n = -first * (prime + 1) // 2 % prime
            divisible[n::prime] = b"\1" * len(range(n, WINDOW, prime))
        yield from (first + 2 * n for n in range(WINDOW) if not divisible[n])
        first += 2 * WINDOW


@functools.cache
def _small_primes() -> tuple[int, ...]:
    """The odd ones below `SIEVED`, by the sieve of Eratosthenes."""
    composite = bytearray(SIEVED)
    for n in range(3, math.isqrt(SIEVED) + 1, 2):
        composite[n * n :: n] = b"\1" * len(range(n * n, SIEVED, n))
    return tuple(n for n in range(3, SIEVED, 2) if not composite[n])


def _is_prime(number: int) -> bool:
    """Whether a large number is prime, as Fermat's test sees it; good enough for a lab."""
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5))


def _octets(name: str, size: int) -> int:
    seed = f"a key of an IPsec lab, known to all: {name}".encode()
    return int.from_bytes(hashlib.shake_256(seed).digest(size))


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
