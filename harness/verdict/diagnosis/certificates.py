# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates that were not accepted: whose they are, who issued them, and until when."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.certificates import (
    CertificateFailure,
    CertificateFailureReason,
    check_identity,
    load_certificates,
    trusted_peer,
)
from harness.ike.constants_v2 import CertEncoding
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row, remedy
from harness.verdict.diagnosis.identities import claimed
from harness.verdict.diagnosis.wishes import Setting, Wishes

MOST = 8


def certificates_in(failure: Failure) -> tuple[x509.Certificate, ...]:
    """The certificates in the message that was refused, the end's own first."""
    found: list[x509.Certificate] = []
    sent: tuple[v1.Certificate | v2.Certificate, ...] = (
        *failure.asked.all(v1.Certificate),
        *failure.asked.all(v2.Certificate),
    )
    for payload in sent[:MOST]:
        if payload.encoding == CertEncoding.X509_SIGNATURE:
            try:
                found += load_certificates(payload.data)
            except CertificateFailure:
                continue
    return tuple(found)


def explain_certificate(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """What is wrong with the certificate by the trust that the other end has, None if nothing is.

    The time is that of the capture.
    """
    asker, refuser = around.of(failure)
    if refuser is None or refuser.method != "pubkey":
        return None
    anchors = _anchors(refuser)
    received = list(certificates_in(failure))
    own = _own(asker)
    if not received and own is not None:
        # A peer may send none: then the other end must have it, which only its files tell.
        return None
    at = datetime.fromtimestamp(failure.asked.entry.frame.time_ns / 1e9, UTC)
    if not received or not anchors:
        return None
    claim = claimed(failure)
    try:
        trusted = trusted_peer(received, anchors, at)
        if claim is not None:
            check_identity(trusted.chain[0], claim.id_type, claim.data)
    except CertificateFailure as wrong:
        return _refused(failure, received[0], anchors, wrong, at, asker, refuser)
    return None


def _refused(
    failure: Failure,
    leaf: x509.Certificate,
    anchors: list[x509.Certificate],
    wrong: CertificateFailure,
    at: datetime,
    asker: Wishes | None,
    refuser: Wishes,
) -> Diagnosis:
    reason = wrong.reason
    claim = claimed(failure)
    issuer = leaf.issuer.rfc4514_string()
    trusted = " or ".join(one.subject.rfc4514_string() for one in anchors)
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    since = f"{leaf.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
    names = ", ".join(names_in(leaf)) or leaf.subject.rfc4514_string()
    rows = (
        Row("issuer", issuer, trusted, reason is CertificateFailureReason.UNTRUSTED),
        Row(
            "valid",
            f"{since} to {until}",
            f"{at:%Y-%m-%d %H:%M:%S} UTC",
            reason in (CertificateFailureReason.EXPIRED, CertificateFailureReason.NOT_YET_VALID),
        ),
        Row(
            "certificate for",
            names,
            claim.text if claim else "",
            reason is CertificateFailureReason.WRONG_IDENTITY,
        ),
    )
    why = {
        CertificateFailureReason.UNTRUSTED: f"{issuer} issued it, and {failure.refuser} trusts "
        f"{trusted}",
        CertificateFailureReason.EXPIRED: f"it expired at {until}",
        CertificateFailureReason.NOT_YET_VALID: f"it is valid only from {since} on",
        CertificateFailureReason.WRONG_IDENTITY: f"it is for {names}, and {failure.asker} says "
        f"that it is {claim.text if claim else 'somebody else'}",
    }.get(reason, str(wrong).rstrip("."))
    return failure.diagnosis(
        Cause.CERTIFICATE,
        f"{failure.refuser} does not accept the certificate of {failure.asker}: {why}; "
        f"{failure.refuser} {failure.reaction}.",
        rows,
        _remedies(reason, issuer, trusted, claim.text if claim else "", asker, refuser),
    )


def _remedies(
    reason: CertificateFailureReason,
    issuer: str,
    trusted: str,
    claim: str,
    asker: Wishes | None,
    refuser: Wishes,
) -> tuple[Remedy, ...]:
    found: list[Remedy] = []
    match reason:
        case CertificateFailureReason.UNTRUSTED:
            found += remedy(asker, Setting.CERTIFICATE, f"<a certificate that {trusted} issued>")
            found += remedy(refuser, Setting.AUTHORITY, issuer)
        case CertificateFailureReason.WRONG_IDENTITY:
            # Whom it says to be is what the other end expects: another name would only move it.
            found += remedy(asker, Setting.CERTIFICATE, f"<a certificate for {claim}>")
        case _:
            found += remedy(asker, Setting.CERTIFICATE, "<a certificate that is valid now>")
    return tuple(found)


def _anchors(wishes: Wishes) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for text in wishes.trusted:
        try:
            found += load_certificates(text.encode())
        except CertificateFailure:
            continue
    return found


def _own(wishes: Wishes | None) -> str | None:
    return wishes.certificate if wishes else None


def names_in(certificate: x509.Certificate) -> list[str]:
    """Whom a certificate is for beside its subject (RFC 5280 4.2.1.6)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(one.value) for one in extension.value]
