# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that sign with certificates (RFC 7427, RFC 4754), and those that may not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import first
from harness.ike.payloads_v2 import Authentication, Notify
from harness.ike.signatures import PrivateKey
from harness.ike.v2.connection import Anchors, Connection, Settings, SharedKey, Signer
from harness.ike.v2.events import IkeSaEstablished, InitiationFailed, Reason
from harness.ike.v2.message import Plain
from harness.ike.v2.script import Script
from tests.ike.v2.pair import KEY, MOON_NET, SUN_NET, Pair

START = datetime(2026, 1, 1, tzinfo=UTC)
VALID = Settings(epoch=START)


@cache
def key_of(kind: str, owner: str) -> PrivateKey:
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case curve:
            found = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
            return ec.generate_private_key(found[curve])


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def authority(which: str = "lab") -> tuple[PrivateKey, x509.Certificate]:
    key = key_of("p256", which)
    return key, issue(key, which, which, key, ca=True)


def issue(
    key: PrivateKey, owner: str, issuer: str, signer: PrivateKey, *, ca: bool = False
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(owner))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName(owner)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


@cache
def signer(kind: str, owner: str, which: str = "lab") -> Signer:
    key = key_of(kind, owner)
    parent, _ = authority(which)
    return Signer(key, (issue(key, owner, which, parent),))


def trusting(connection: Connection, own: Signer | SharedKey, *, psk: bool = False) -> Connection:
    anchors = Anchors((authority()[1],))
    return replace(connection, local_auth=own, remote_auth=KEY if psk else anchors)


def certified(kind: str, kind_of_sun: str, *, settings: Settings = VALID) -> Pair:
    return Pair(
        (trusting(MOON_NET, signer(kind, "moon.example")),),
        (trusting(SUN_NET, signer(kind_of_sun, "sun.example")),),
        settings=settings,
    )


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519", "ed448"])
def test_each_kind_of_key_authenticates_either_end(kind: str) -> None:
    certified(kind, "p256").up().agree()
    certified("ed25519", kind).up().agree()


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_a_peer_that_does_not_know_rfc_7427_gets_the_older_methods(kind: str) -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_SA_INIT).replace(without_hash_algorithms)
    methods: list[int] = []

    def look(plain: Plain) -> Plain:
        proof = first(plain.payloads, Authentication)
        methods.append(proof.method if proof else 0)
        return plain

    script.sent(exchange=ExchangeType.IKE_AUTH).replace(look)
    pair = Pair(
        (trusting(MOON_NET, signer("p256", "moon.example")),),
        (trusting(SUN_NET, signer(kind, "sun.example")),),
        settings=VALID,
        seams=(None, script),
    ).up()
    # Sun says nothing of hashes, so moon uses an older method; sun still knows moon's.
    pair.agree()
    assert methods == [14]
    (sa,) = pair.moon.endpoint.all_sas()
    assert sa.announced


def without_hash_algorithms(plain: Plain) -> Plain:
    payloads = tuple(
        one
        for one in plain.payloads
        if not (isinstance(one, Notify) and one.notify_type == NotifyType.SIGNATURE_HASH_ALGORITHMS)
    )
    return plain.forged(payloads=payloads)


def test_one_end_may_sign_while_the_other_has_a_key() -> None:
    mine = trusting(MOON_NET, KEY)
    yours = trusting(SUN_NET, signer("p256", "sun.example"), psk=True)
    Pair((mine,), (yours,), settings=VALID).up().agree()


def failed(pair: Pair) -> Iterable[str]:
    pair.rest()
    assert not pair.moon.events(IkeSaEstablished) or not pair.moon.ike_sas()
    assert not pair.sun.ike_sas()
    found = [*pair.moon.events(InitiationFailed), *pair.sun.events(InitiationFailed)]
    assert found
    assert found[0].reason is Reason.AUTHENTICATION_FAILED
    return [one.detail for one in found]


def test_an_expired_certificate_is_refused() -> None:
    late = Settings(epoch=START + timedelta(days=31))
    assert any("expired" in why for why in failed(certified("p256", "p256", settings=late).up()))


def test_another_authority_is_refused() -> None:
    mine = trusting(MOON_NET, signer("p256", "moon.example", "strange"))
    yours = trusting(SUN_NET, signer("p256", "sun.example"))
    assert any("anchor" in why for why in failed(Pair((mine,), (yours,), settings=VALID).up()))


def test_a_certificate_for_somebody_else_is_refused() -> None:
    mine = trusting(MOON_NET, signer("p256", "mars.example"))
    yours = trusting(SUN_NET, signer("p256", "sun.example"))
    why = failed(Pair((mine,), (yours,), settings=VALID).up())
    assert any("identity" in one for one in why)


def test_the_responders_wrong_certificate_is_told_to_it() -> None:
    mine = trusting(MOON_NET, signer("p256", "moon.example"))
    yours = trusting(SUN_NET, signer("p256", "sun.example", "strange"))
    pair = Pair((mine,), (yours,), settings=VALID).up()
    pair.rest()
    assert not pair.sun.ike_sas()
    assert not pair.sun.children()


def test_a_signature_by_another_key_is_refused() -> None:
    right = signer("p256", "moon.example")
    mine = trusting(MOON_NET, Signer(key_of("p256", "forger"), right.chain))
    yours = trusting(SUN_NET, signer("p256", "sun.example"))
    why = failed(Pair((mine,), (yours,), settings=VALID).up())
    assert any("match" in one for one in why)
