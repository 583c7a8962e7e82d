# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures, against RFC 4754, RFC 6979, RFC 8032 and openssl's command line."""

import subprocess
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike.constants_v2 import AuthMethod, HashAlgorithm
from harness.ike.signatures import (
    SCHEMES,
    PrivateKey,
    SignatureFailure,
    auth_method,
    scheme,
    schemes_for,
    sign_auth,
    sign_raw_rsa,
    sign_scheme,
    verify_auth,
    verify_raw_rsa,
    verify_scheme,
)

ALL_HASHES = tuple(HashAlgorithm)
OCTETS = b"the signed octets"


def salt(size: int) -> bytes:
    return bytes(range(size))


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def key_for(family: str) -> PrivateKey:
    match family:
        case "ecdsa":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case _:
            return rsa_key()


def write_key(key: PrivateKey, path) -> str:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def write_public(key: PrivateKey, path) -> str:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *arguments], input=data, capture_output=True, check=True
    ).stdout


def test_the_fixed_ecdsa_method_signs_as_rfc_6979_says():
    # RFC 6979 A.2.5, SHA-256, message "sample": r and s, as RFC 4754 section 7 puts them.
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = ec.derive_private_key(secret, ec.SECP256R1())
    auth = sign_auth(key, AuthMethod.ECDSA_SHA256_P256, b"sample", salt)
    assert auth.hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )


def test_the_fixed_ecdsa_method_verifies_the_signature_of_rfc_4754():
    # RFC 4754 section 8.1, message "abc".
    secret = 0xDC51D3866A15BACDE33D96F992FCA99DA7E6EF0934E7097559C27F1614C88A7F
    public = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    auth = bytes.fromhex(
        "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C"
        "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315"
    )
    assert verify_auth(public, AuthMethod.ECDSA_SHA256_P256, auth, b"abc") is None
    with pytest.raises(SignatureFailure, match="does not match"):
        verify_auth(public, AuthMethod.ECDSA_SHA256_P256, auth, b"abd")


def test_ed25519_signs_as_rfc_8032_says():
    # RFC 8032 section 7.1, test 1.
    key = ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    signature = sign_scheme(key, scheme("ed25519"), b"", salt)
    assert signature.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
        "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


@pytest.mark.parametrize("chosen", SCHEMES, ids=lambda s: s.name)
def test_openssl_writes_the_same_algorithm_identifier(chosen, tmp_path):
    # Oracle: the signatureAlgorithm of a certificate that openssl signs with the scheme.
    key = write_key(key_for(chosen.family), tmp_path / "key.pem")
    digest = chosen.name.partition("-")[2] or "sha256"
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    certificate = openssl(
        "req", "-x509", "-new", "-key", key, f"-{digest}", "-subj", "/CN=x", "-outform", "DER",
        *(options if chosen.family == "pss" else []),
    )  # fmt: skip
    assert certificate.count(chosen.identifier) >= 2


@pytest.mark.parametrize(
    "chosen", [s for s in SCHEMES if not s.family.startswith("ed")], ids=lambda s: s.name
)
def test_openssl_verifies_the_signature(chosen, tmp_path):
    # Oracle: openssl dgst -verify.
    key = key_for(chosen.family)
    signature = tmp_path / "signature"
    signature.write_bytes(sign_scheme(key, chosen, OCTETS, salt))
    digest = chosen.name.partition("-")[2]
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    out = openssl(
        "dgst", f"-{digest}", "-verify", write_public(key, tmp_path / "public.pem"),
        "-signature", str(signature), *(options if chosen.family == "pss" else []), data=OCTETS,
    )  # fmt: skip
    assert b"Verified OK" in out


@pytest.mark.parametrize(
    "chosen", [s for s in SCHEMES if not s.family.startswith("ed")], ids=lambda s: s.name
)
def test_signatures_of_openssl_verify(chosen, tmp_path):
    key = key_for(chosen.family)
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    signature = openssl(
        "dgst", f"-{chosen.name.partition('-')[2]}", "-sign",
        write_key(key, tmp_path / "key.pem"), *(options if chosen.family == "pss" else []),
        data=OCTETS,
    )  # fmt: skip
    verify_scheme(key.public_key(), chosen, signature, OCTETS)
    with pytest.raises(SignatureFailure, match=f"{chosen.name} signature does not match"):
        verify_scheme(key.public_key(), chosen, signature, OCTETS + b"!")


@pytest.mark.parametrize("bits", [1024, 1031, 2048])
def test_pss_has_the_right_length_for_keys_of_any_size(bits):
    key = rsa_key(bits)
    chosen = scheme("pss-sha256")
    signature = sign_scheme(key, chosen, OCTETS, salt)
    assert len(signature) == (bits + 7) // 8
    verify_scheme(key.public_key(), chosen, signature, OCTETS)
    assert sign_scheme(key, chosen, OCTETS, salt) == signature
    assert sign_scheme(key, chosen, OCTETS, lambda size: bytes(size)) != signature


def test_a_key_too_short_for_its_scheme_is_refused_in_words():
    with pytest.raises(SignatureFailure, match="too short for pss-sha512"):
        sign_scheme(rsa_key(1024), scheme("pss-sha512"), OCTETS, salt)


def test_ikev1_signs_the_bare_hash(tmp_path):
    # Oracle: openssl recovers what RFC 2409 section 5.1 says is signed, with no DigestInfo.
    key, digest = rsa_key(), bytes(range(20))
    signature = tmp_path / "signature"
    signature.write_bytes(sign_raw_rsa(key, digest))
    recovered = openssl(
        "pkeyutl", "-verifyrecover", "-pubin", "-inkey",
        write_public(key, tmp_path / "public.pem"), "-in", str(signature),
    )  # fmt: skip
    assert recovered == digest
    verify_raw_rsa(key.public_key(), signature.read_bytes(), digest)
    with pytest.raises(SignatureFailure, match="does not match"):
        verify_raw_rsa(key.public_key(), signature.read_bytes(), digest[:-1] + b"!")
    # With a DigestInfo it is another signature, which IKEv1 must not take.
    wrong = sign_scheme(key, scheme("rsa-sha1"), OCTETS, salt)
    with pytest.raises(SignatureFailure):
        verify_raw_rsa(key.public_key(), wrong, digest)


def test_ikev1_signatures_need_an_rsa_key():
    key = key_for("ecdsa")
    with pytest.raises(SignatureFailure, match="need an RSA key"):
        sign_raw_rsa(key, b"hash")
    with pytest.raises(SignatureFailure, match="need an RSA key"):
        verify_raw_rsa(key.public_key(), b"", b"hash")


@pytest.mark.parametrize("chosen", SCHEMES, ids=lambda s: s.name)
def test_auth_data_of_method_14_names_its_scheme(chosen):
    key = key_for(chosen.family)
    auth = sign_auth(key, AuthMethod.DIGITAL_SIGNATURE, OCTETS, salt, chosen)
    assert auth[0] == len(chosen.identifier)
    assert auth[1:].startswith(chosen.identifier)
    assert verify_auth(key.public_key(), 14, auth, OCTETS) is chosen
    other = key_for("ed448" if chosen.family != "ed448" else "rsa").public_key()
    with pytest.raises(SignatureFailure, match="which its key does not do"):
        verify_auth(other, 14, auth, OCTETS)


def test_method_1_takes_any_hash_and_makes_sha1():
    key = rsa_key()
    auth = sign_auth(key, AuthMethod.RSA_DIGITAL_SIGNATURE, OCTETS, salt)
    assert verify_auth(key.public_key(), 1, auth, OCTETS) is scheme("rsa-sha1")
    auth = sign_auth(key, AuthMethod.RSA_DIGITAL_SIGNATURE, OCTETS, salt, scheme("rsa-sha256"))
    assert verify_auth(key.public_key(), 1, auth, OCTETS) is scheme("rsa-sha256")


@pytest.mark.parametrize(
    ("curve", "method"),
    [(ec.SECP256R1(), 9), (ec.SECP384R1(), 10), (ec.SECP521R1(), 11)],
    ids=["p256", "p384", "p521"],
)
def test_each_curve_has_its_fixed_method(curve, method):
    key = ec.generate_private_key(curve)
    assert auth_method(key, digital_signature=False) == method
    assert auth_method(key, digital_signature=True) is AuthMethod.DIGITAL_SIGNATURE
    auth = sign_auth(key, AuthMethod(method), OCTETS, salt)
    assert len(auth) == 2 * ((curve.key_size + 7) // 8)
    assert verify_auth(key.public_key(), method, auth, OCTETS) is None
    with pytest.raises(SignatureFailure):
        verify_auth(key.public_key(), method, auth[:-1], OCTETS)
    with pytest.raises(SignatureFailure, match="needs a key on"):
        sign_auth(key, AuthMethod(9 + (method - 8) % 3), OCTETS, salt)


def test_keys_without_an_older_method_say_so():
    for key in (key_for("ed25519"), ec.generate_private_key(ec.BrainpoolP256R1())):
        with pytest.raises(SignatureFailure, match="does not know method 14"):
            auth_method(key, digital_signature=False)


def test_schemes_come_in_the_order_to_try_them():
    def names(key: PrivateKey, *accepted: int, **options: bool) -> list[str]:
        return [s.name for s in schemes_for(key, accepted or ALL_HASHES, **options)]

    assert names(rsa_key())[:4] == ["pss-sha256", "pss-sha384", "pss-sha512", "rsa-sha256"]
    assert names(rsa_key())[-1] == "rsa-sha1"
    assert names(rsa_key(), 2, pss=False) == ["rsa-sha256"]
    assert names(key_for("ecdsa"))[0] == "ecdsa-sha256"
    assert names(ec.generate_private_key(ec.SECP384R1()))[0] == "ecdsa-sha384"
    assert names(ec.generate_private_key(ec.SECP521R1()))[0] == "ecdsa-sha512"
    assert names(key_for("ed25519"), 2, 3, 4) == []
    assert names(key_for("ed25519"), 5) == ["ed25519"]
    assert names(key_for("ed448"), 5) == ["ed448"]


@pytest.mark.parametrize("family", ["rsa", "ecdsa", "ed25519", "ed448"])
@settings(max_examples=40, deadline=None)
@given(
    method=st.one_of(st.sampled_from([1, 9, 10, 11, 14]), st.integers(0, 255)),
    auth=st.one_of(
        st.binary(max_size=120),
        st.builds(
            lambda s, tail: bytes([len(s.identifier)]) + s.identifier + tail,
            st.sampled_from(SCHEMES),
            st.binary(max_size=300),
        ),
    ),
)
def test_foreign_auth_data_raises_nothing_but_the_typed_failure(family, method, auth):
    with pytest.raises(SignatureFailure):
        verify_auth(key_for(family).public_key(), method, auth, OCTETS)


def test_an_unknown_scheme_is_refused_with_the_ones_there_are():
    with pytest.raises(SignatureFailure, match="choose one of ed25519, ed448"):
        scheme("dsa")
    with pytest.raises(SignatureFailure, match="needs a signature scheme"):
        sign_auth(rsa_key(), AuthMethod.DIGITAL_SIGNATURE, OCTETS, salt)
