# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the peers of a capture proved who they say to be, as anybody with the keys can check.

What is checked is the proof alone: AUTH of IKEv2 (RFC 7296 section 2.15), HASH and SIG of IKEv1
(RFC 2409 section 5). Whether a certificate is to be trusted is the peers' business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.capture.entries import Proof
from harness.capture.secrets import SharedSecret


def by_shared_secrets(
    payload: str, shared: Sequence[SharedSecret], matches: Callable[[SharedSecret], bool]
) -> Proof:
    """What the pre-shared keys that are known say of a proof."""
    if not shared:
        return Proof.unchecked(payload, "no pre-shared key is known")
    right = [one for one in shared if matches(one)]
    by = tuple(dict.fromkeys(one.holder for one in right))
    not_by = tuple(dict.fromkeys(one.holder for one in shared if one.holder not in by))
    if not by:
        text = f"does not verify with the pre-shared key of {_and(not_by)}"
    else:
        text = f"verifies with the pre-shared key of {_and(by)}"
        text += f", not with that of {_and(not_by)}" if not_by else ""
    return Proof(payload, bool(by), text, by, not_by)


def by_certificate(
    payload: str,
    certificates: Sequence[bytes],
    verify: Callable[..., object],
    method: str,
) -> Proof:
    """What the sender's own certificate, the first that it sent, says of a signature."""
    # x509 takes longer to import than all of this package, and most captures have no use for it.
    from harness.ike.certificates import CertificateFailure, load_certificates, public_key
    from harness.ike.signatures import SignatureFailure

    if not certificates:
        return Proof.unchecked(payload, f"the certificate for {method} was not sent")
    try:
        certificate = load_certificates(certificates[0])[0]
        key = public_key(certificate)
    except CertificateFailure as failure:
        return Proof.unchecked(payload, str(failure).rstrip("."))
    subject = certificate.subject.rfc4514_string()
    try:
        verify(key)
    except SignatureFailure as failure:
        why = str(failure).rstrip(".")
        return Proof(payload, False, f"does not verify with the certificate of {subject}: {why}")
    return Proof(payload, True, f"verifies with the certificate of {subject}", (subject,))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
