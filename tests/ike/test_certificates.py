# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates: whom they are trusted for, until when, and as whom."""

import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike.certificates import (
    CertificateFailure,
    CertificateFailureReason,
    check_identity,
    der,
    key_hash,
    load_certificates,
    load_private_key,
    public_key,
    subject_dn,
    trusted_peer,
)
from harness.ike.constants_v2 import IdType

NOW = datetime(2030, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Reason = CertificateFailureReason
SAN = x509.SubjectAlternativeName(
    [
        x509.DNSName("Moon.Example.org"),
        x509.RFC822Name("alice@Example.org"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.IPAddress(ip_address("2001:db8::1")),
    ]
)


def name_of(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "CH"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, text),
        ]
    )


class Issued:
    """A certificate with its key, that can issue others."""

    def __init__(self, name, issuer=None, *, ca=False, path_length=None, start=-DAY, end=DAY,
                 extensions=(), key=None, subject=None):  # fmt: skip
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = subject or name_of(name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name if issuer else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + start)
            .not_valid_after(NOW + end)
        )
        if ca is not None:
            constraints = x509.BasicConstraints(ca, path_length if ca else None)
            builder = builder.add_extension(constraints, critical=True)
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        signer = issuer.key if issuer else self.key
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.certificate = builder.sign(signer, digest)


def usage(**allowed: bool) -> x509.KeyUsage:
    fields = dict.fromkeys(
        ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
         "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"],
        False,
    )  # fmt: skip
    return x509.KeyUsage(**{**fields, **allowed})


@pytest.fixture(scope="module")
def root() -> Issued:
    return Issued("root", ca=True)


@pytest.fixture(scope="module")
def middle(root) -> Issued:
    return Issued("middle", root, ca=True, path_length=0)


@pytest.fixture(scope="module")
def moon(middle) -> Issued:
    return Issued("moon", middle, extensions=[(SAN, False)])


def refused(received, anchors, at=NOW) -> CertificateFailureReason:
    with pytest.raises(CertificateFailure) as failure:
        trusted_peer([r.certificate for r in received], [a.certificate for a in anchors], at)
    assert str(failure.value).endswith(".")
    return failure.value.reason


def test_a_chain_to_an_anchor_gives_the_key_and_the_chain(root, middle, moon):
    stray = Issued("stray", ca=True)
    received = [c.certificate for c in (moon, stray, middle)]
    peer = trusted_peer(received, [root.certificate], NOW)
    assert peer.key == moon.key.public_key()
    assert peer.chain == (moon.certificate, middle.certificate, root.certificate)


def test_an_authority_in_the_middle_may_be_the_anchor(middle, moon):
    peer = trusted_peer([moon.certificate], [middle.certificate], NOW)
    assert len(peer.chain) == 2


def test_a_leaf_that_is_an_anchor_is_trusted_as_it_is():
    own = Issued("self-signed")
    assert trusted_peer([own.certificate], [own.certificate], NOW).chain == (own.certificate,)


def test_openssl_agrees_about_the_chain(root, middle, moon, tmp_path):
    # Oracle: openssl verify, at the same time.
    for title, issued in (("root", root), ("middle", middle), ("moon", moon)):
        (tmp_path / title).write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    arguments = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile",
                 str(tmp_path / "root")]  # fmt: skip
    good = subprocess.run(
        [*arguments, "-untrusted", str(tmp_path / "middle"), str(tmp_path / "moon")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert good.returncode == 0, good.stderr
    bad = subprocess.run([*arguments, str(tmp_path / "moon")], capture_output=True, check=False)
    assert bad.returncode != 0
    assert refused([moon], [root]) is Reason.UNTRUSTED


def test_time_decides(root, middle, moon):
    assert refused([moon, middle], [root], NOW - 2 * DAY) is Reason.NOT_YET_VALID
    assert refused([moon, middle], [root], NOW + 2 * DAY) is Reason.EXPIRED
    old = Issued("old", root, ca=True, end=timedelta(0))
    young = Issued("young", old, end=2 * DAY)
    assert refused([young, old], [root], NOW + DAY / 2) is Reason.EXPIRED


def test_an_expired_path_does_not_hide_a_good_one(root):
    key = ec.generate_private_key(ec.SECP256R1())
    old = Issued("twin", root, ca=True, start=-3 * DAY, end=-2 * DAY, key=key)
    new = Issued("twin", root, ca=True, key=key)
    leaf = Issued("leaf", new)
    received = [leaf.certificate, old.certificate, new.certificate]
    chain = trusted_peer(received, [root.certificate], NOW).chain
    assert chain[1] == new.certificate


def test_nothing_received_is_refused():
    assert refused([], []) is Reason.NO_CERTIFICATE


def test_an_anchor_of_the_same_name_and_another_key_is_none(middle, moon):
    assert refused([moon, middle], [Issued("root", ca=True)]) is Reason.UNTRUSTED


@pytest.mark.parametrize(
    "options",
    [
        {"ca": False},
        {"ca": None},
        {"ca": True, "extensions": [(usage(digital_signature=True), True)]},
    ],
    ids=["not a CA", "no constraints", "usage"],
)
def test_an_issuer_that_may_not_issue_is_refused(root, options):
    bad = Issued("bad", root, **options)
    assert refused([Issued("leaf", bad), bad], [root]) is Reason.NOT_AN_AUTHORITY


def test_a_path_length_bounds_the_authorities_below(root, middle):
    deeper = Issued("deeper", middle, ca=True)
    leaf = Issued("leaf", deeper)
    assert refused([leaf, deeper, middle], [root]) is Reason.NOT_AN_AUTHORITY


def test_key_usage_of_the_leaf_must_allow_signatures(root):
    bad = Issued("leaf", root, extensions=[(usage(key_encipherment=True), True)])
    assert refused([bad], [root]) is Reason.WRONG_USAGE
    good = Issued("leaf", root, extensions=[(usage(digital_signature=True), True)])
    trusted_peer([good.certificate], [root.certificate], NOW)


def test_critical_extensions_that_nothing_enforces_are_refused(root):
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    bad = Issued("leaf", root, extensions=[(strange, True)])
    assert refused([bad], [root]) is Reason.UNKNOWN_EXTENSION
    good = Issued("leaf", root, extensions=[(strange, False)])
    trusted_peer([good.certificate], [root.certificate], NOW)


def test_a_loop_of_authorities_ends(root):
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    one = Issued("one", ca=True, key=keys[0])
    two = Issued("two", one, ca=True, key=keys[1])
    back = Issued("one", two, ca=True, key=keys[0])
    leaf = Issued("leaf", two)
    assert refused([leaf, two, back, one, two, back], [root]) is Reason.UNTRUSTED


@pytest.mark.parametrize(
    ("id_type", "data"),
    [
        (IdType.FQDN, b"moon.example.org"),
        (IdType.FQDN, b"MOON.example.ORG"),
        (IdType.RFC822_ADDR, b"alice@example.ORG"),
        (IdType.IPV4_ADDR, bytes([192, 0, 2, 1])),
        (IdType.IPV6_ADDR, ip_address("2001:db8::1").packed),
    ],
)
def test_identities_of_the_certificate_are_confirmed(moon, id_type, data):
    check_identity(moon.certificate, id_type, data)


def test_the_subject_is_confirmed_as_der(moon, middle):
    check_identity(moon.certificate, IdType.DER_ASN1_DN, subject_dn(moon.certificate))
    with pytest.raises(CertificateFailure):
        check_identity(moon.certificate, IdType.DER_ASN1_DN, subject_dn(middle.certificate))


@pytest.mark.parametrize(
    ("id_type", "data"),
    [
        (IdType.FQDN, b"sun.example.org"),
        (IdType.FQDN, b""),
        (IdType.FQDN, b"\xff"),
        (IdType.RFC822_ADDR, b"Alice@example.org"),
        (IdType.RFC822_ADDR, b"moon.example.org"),
        (IdType.IPV4_ADDR, bytes([192, 0, 2, 2])),
        (IdType.IPV4_ADDR, b"192.0.2.1"),
        (IdType.DER_ASN1_DN, b""),
        (11, b"key id"),
    ],
)
def test_other_identities_are_refused(moon, id_type, data):
    with pytest.raises(CertificateFailure) as failure:
        check_identity(moon.certificate, id_type, data)
    assert failure.value.reason is Reason.WRONG_IDENTITY


def test_a_wildcard_confirms_no_host(root):
    san = x509.SubjectAlternativeName([x509.DNSName("*.example.org")])
    leaf = Issued("leaf", root, extensions=[(san, False)])
    with pytest.raises(CertificateFailure):
        check_identity(leaf.certificate, IdType.FQDN, b"moon.example.org")


def test_certificates_load_from_pem_and_der(root, middle):
    pem = b"".join(c.certificate.public_bytes(Encoding.PEM) for c in (root, middle))
    assert load_certificates(pem) == (root.certificate, middle.certificate)
    assert load_certificates(der(root.certificate)) == (root.certificate,)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), pem=st.booleans())
def test_what_is_no_certificate_raises_the_typed_failure(data, pem):
    if pem:
        data = b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"
    for load in (load_certificates, load_private_key):
        with pytest.raises(CertificateFailure) as failure:
            load(data)
        assert failure.value.reason is Reason.MALFORMED


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255), more=st.binary(max_size=3))
def test_a_damaged_certificate_raises_nothing_but_the_typed_failure(at, value, more):
    raw = bytearray(der(DAMAGED.certificate))
    at %= len(raw)
    raw[at : at + 1 + len(more)] = bytes([value]) + more
    try:
        (broken, *_) = load_certificates(bytes(raw))
        trusted_peer([broken], [DAMAGED_ROOT.certificate], NOW)
        check_identity(broken, IdType.FQDN, b"moon.example.org")
        der(broken), subject_dn(broken), key_hash(broken)
    except CertificateFailure:
        return
    assert bytes(raw) == der(DAMAGED.certificate) or broken == DAMAGED.certificate


DAMAGED_ROOT = Issued("root", ca=True)
DAMAGED = Issued("moon", DAMAGED_ROOT, extensions=[(SAN, False), (usage(digital_signature=True),
                                                                 True)])  # fmt: skip


@pytest.mark.parametrize("password", [None, b"secret"])
def test_private_keys_load_from_pem_and_der(password, moon):
    protect = BestAvailableEncryption(password) if password else NoEncryption()
    for encoding in (Encoding.PEM, Encoding.DER):
        data = moon.key.private_bytes(encoding, PrivateFormat.PKCS8, protect)
        assert load_private_key(data, password).public_key() == moon.key.public_key()
    if password:
        with pytest.raises(CertificateFailure):
            load_private_key(data)


def test_keys_of_other_types_are_refused(root):
    key = dsa.generate_private_key(1024)
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(CertificateFailure) as failure:
        load_private_key(data)
    assert failure.value.reason is Reason.UNSUPPORTED_KEY
    leaf = Issued("leaf", root, key=key)
    with pytest.raises(CertificateFailure) as failure:
        public_key(leaf.certificate)
    assert failure.value.reason is Reason.UNSUPPORTED_KEY
    assert refused([leaf], [root]) is Reason.UNSUPPORTED_KEY


def test_the_hash_of_an_authority_covers_its_subject_public_key_info(root):
    info = root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key_hash(root.certificate) == sha1(info).digest()


def test_an_ed25519_chain_is_trusted():
    top = Issued("top", ca=True, key=ed25519.Ed25519PrivateKey.generate())
    leaf = Issued("leaf", top, key=ed25519.Ed25519PrivateKey.generate())
    peer = trusted_peer([leaf.certificate], [top.certificate], NOW)
    assert peer.key == leaf.key.public_key()
