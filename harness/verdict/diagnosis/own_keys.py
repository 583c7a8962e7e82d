# SPDX-License-Identifier: GPL-2.0-or-later
"""An end that cannot sign: the private key of its certificate is not in its configuration."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.ike.certificates import CertificateFailure, load_certificates
from harness.verdict.diagnosis.certificates import names_in
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.failures_v1 import established_v1
from harness.verdict.diagnosis.failures_v2 import established_v2
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row, remedy
from harness.verdict.diagnosis.negotiations import negotiations
from harness.verdict.diagnosis.wishes import Setting, Wishes

WHAT = "private key"


def explain_own_key(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A refusal by an end that has no key to prove itself with, else None."""
    _, refuser = around.of(failure)
    lacking = _without_key(refuser)
    if refuser is None or lacking is None:
        return None
    return failure.diagnosis(
        Cause.PRIVATE_KEY,
        f"{failure.refuser} has no private key for its certificate {lacking}, and cannot prove to "
        f"{failure.asker} who it is: it {failure.reaction}.",
        (Row(WHAT, "", "none", True), Row("certificate", "", lacking)),
        remedy(refuser, Setting.PRIVATE_KEY, lacking),
    )


def ends_without_proof(around: Circumstances) -> Iterator[Diagnosis]:
    """Ends that cannot prove who they are, and so stopped by themselves, or never began.

    An end that was asked for something said why, and one that got through had its proof.
    """
    listed = negotiations(around.entries)
    for wishes in around.wishes:
        found = _lacks(wishes)
        if found is None or any(one.responder == wishes.node for one in listed):
            continue
        begun = [one for one in listed if one.initiator == wishes.node]
        if any((established_v1 if one.version == 1 else established_v2)(one) for one in begun):
            continue
        cause, why, row, remedies = found
        how = "did not go on to prove who it is" if begun else "sent nothing at all"
        yield Diagnosis(
            cause,
            f"{wishes.node} {why}: it {how}.",
            wishes.node,
            _peer(wishes, around),
            rows=(row,),
            remedies=remedies,
            frames=tuple(each.number for one in begun for each in one.messages),
        )


def _lacks(wishes: Wishes) -> tuple[Cause, str, Row, tuple[Remedy, ...]] | None:
    """What a side lacks to sign as who it says it is: the cause, in words, its row, the remedy."""
    subject = _without_key(wishes)
    if subject is not None:
        row = Row(WHAT, "none", f"that of {subject}", True)
        why = f"has no private key for its certificate {subject}"
        return Cause.PRIVATE_KEY, why, row, tuple(remedy(wishes, Setting.PRIVATE_KEY, subject))
    certificate, identity = _certificate(wishes.certificate), wishes.local_identity
    # Who says nothing of itself is who the certificate is for.
    if certificate is None or not identity or wishes.place(Setting.LOCAL_IDENTITY) is None:
        return None
    names = names_in(certificate)
    if "=" in identity or identity.lstrip("@") in names:
        return None
    for_whom = ", ".join(names) or certificate.subject.rfc4514_string()
    why = f"has a certificate for {for_whom} and none for {identity}, who it says it is"
    row = Row("certificate for", for_whom, identity, True)
    value = f"<a certificate for {identity}>"
    return Cause.CERTIFICATE, why, row, tuple(remedy(wishes, Setting.CERTIFICATE, value))


def _peer(wishes: Wishes, around: Circumstances) -> str:
    """The node on the other side, or its address."""
    addresses = set(wishes.peer_addresses)
    nodes = [one.node for one in around.wishes if addresses & set(one.addresses)]
    return " or ".join(dict.fromkeys(nodes)) or " or ".join(wishes.peer_addresses)


def is_rsa(certificate: str | None) -> bool:
    """Whether the key of a certificate in PEM is for RSA."""
    found = _certificate(certificate)
    return found is not None and isinstance(found.public_key(), RSAPublicKey)


def _without_key(wishes: Wishes | None) -> str | None:
    """The subject of a certificate whose private key is missing, None where that is not known."""
    if wishes is None or wishes.method != "pubkey" or wishes.private_keys is None:
        return None
    certificate = _certificate(wishes.certificate)
    if certificate is None:
        return None
    for text in wishes.private_keys:
        try:
            key = load_pem_private_key(text.encode(), None)
        except (ValueError, TypeError):
            # One that needs a password, or of a kind not known here, may be the one.
            return None
        if key.public_key() == certificate.public_key():
            return None
    return certificate.subject.rfc4514_string()


def _certificate(text: str | None) -> x509.Certificate | None:
    try:
        return load_certificates(text.encode())[0] if text else None
    except CertificateFailure:
        return None
