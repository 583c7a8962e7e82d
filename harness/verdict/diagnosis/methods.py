# SPDX-License-Identifier: GPL-2.0-or-later
"""What a side must change to authenticate by another method, and what it then needs for it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ike.constants_v1 import AuthenticationMethod
from harness.verdict.diagnosis.findings import Remedy, remedy
from harness.verdict.diagnosis.offers import method_named
from harness.verdict.diagnosis.wishes import Setting, Wishes


def method_remedies(
    wishes: Wishes | None, method: str, other: str, others: Wishes | None
) -> Iterator[Remedy]:
    """The changes of one side that make it authenticate as the other node does.

    `method` is `psk` or `pubkey`, `others` what the other node wants. Nothing where the
    configuration is not known or its dialect has one method only.
    """
    if wishes is None:
        return
    changed = tuple(remedy(wishes, Setting.METHOD, method))
    if not changed:
        return
    yield from changed
    if method == "psk":
        yield from remedy(wishes, Setting.SECRET, f"the secret of {other}")
        return
    yield from remedy(wishes, Setting.CERTIFICATE, f"<a certificate that {other} trusts>")
    issuer = issuer_of(others)
    yield from remedy(wishes, Setting.AUTHORITY, issuer or f"who issued that of {other}")


def signatures_of(certificate: str | None) -> str:
    """IKEv1's authentication method for the key of a certificate, in words.

    RSA, which it mostly is, where that is not known.
    """
    if not certificate:
        return method_named(AuthenticationMethod.RSA_SIGNATURES)
    from harness.ike.certificates import CertificateFailure, load_certificates, public_key
    from harness.ike.signatures import SignatureFailure
    from harness.ike.signatures_v1 import method_of

    try:
        return method_named(method_of(public_key(load_certificates(certificate.encode())[0])))
    except (CertificateFailure, SignatureFailure):
        return method_named(AuthenticationMethod.RSA_SIGNATURES)


def issuer_of(wishes: Wishes | None) -> str:
    """Who issued the certificate of a side, empty where that is not known."""
    if wishes is None or not wishes.certificate:
        return ""
    # x509 takes longer to import than all the rest, and most diagnoses are of something else.
    from harness.ike.certificates import CertificateFailure, load_certificates

    try:
        return load_certificates(wishes.certificate.encode())[0].issuer.rfc4514_string()
    except CertificateFailure:
        return ""
