# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether HASH and SIG of IKEv1's phase 1 verify (RFC 2409 section 5)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.capture.entries import Proof
from harness.capture.proofs import by_certificate, by_shared_secrets
from harness.capture.secrets import SharedSecret
from harness.ike import constants_v1 as n1
from harness.ike import keys_v1
from harness.ike import payloads_v1 as v1
from harness.ike.keys_v1 import Phase1Exchange
from harness.ike.names import name_of
from harness.ike.payload import Payload, every, first
from harness.ike.transforms import Prf


class Phase1(NamedTuple):
    """What the proofs of phase 1 are made of.

    `skeyid` is empty where it is not known. `identities` are the bodies of the ID payloads so far:
    in Aggressive Mode the last message proves what the first one said.
    """

    prf: Prf
    method: int
    exchange: Phase1Exchange
    nonces: tuple[bytes, ...]
    identities: tuple[bytes, ...]
    skeyid: bytes


def phase1_proof(
    phase: Phase1, payloads: Sequence[Payload], shared: Sequence[SharedSecret]
) -> Proof | None:
    """What became of HASH or SIG in a message of phase 1, None where it has neither."""
    found = first(payloads, v1.Hash)
    signature = first(payloads, v1.Signature)
    if found is None and signature is None:
        return None
    if (own := first(payloads, v1.Identification)) is not None:
        phase = phase._replace(identities=(own.body(),))
    if signature is not None:
        return _signed(phase, payloads, signature)
    assert found is not None
    if phase.skeyid:
        name = _matching(phase, phase.skeyid, found.data)
        if not name:
            return Proof("HASH", False, "does not verify with SKEYID")
    else:
        name = ""
    if len(phase.nonces) < 2:
        return Proof(name, True, "verifies with SKEYID") if name else None
    skeyids = {one: keys_v1.skeyid_psk(phase.prf, one.secret, *phase.nonces[:2]) for one in shared}
    if not shared:
        return Proof(name, True, "verifies with SKEYID") if name else None
    named = [_matching(phase, skeyid, found.data) for skeyid in skeyids.values()]
    label = name or next((one for one in named if one), "HASH")
    return by_shared_secrets(
        label, shared, lambda one: bool(_matching(phase, skeyids[one], found.data))
    )


def _signed(phase: Phase1, payloads: Sequence[Payload], signature: v1.Signature) -> Proof:
    if not phase.skeyid:
        return Proof.unchecked("SIG", "SKEYID is not known")
    from harness.ike.signatures import PublicKey, SignatureFailure
    from harness.ike.signatures_v1 import CURVES, signed_prf, verify

    rsa = phase.method == n1.AuthenticationMethod.RSA_SIGNATURES
    if not rsa and phase.method not in CURVES:
        name = name_of(n1.AuthenticationMethod, phase.method)
        return Proof.unchecked("SIG", f"nothing here checks {name}")
    signed = phase._replace(prf=signed_prf(phase.method, phase.prf))

    def matches(key: PublicKey) -> None:
        for _, made in _hashes(signed, phase.skeyid):
            try:
                return verify(key, phase.method, signature.data, made)
            except SignatureFailure:
                continue
        raise SignatureFailure("The signature does not match.")

    certificates = [
        one.data
        for one in every(payloads, v1.Certificate)
        if one.encoding == n1.CertEncoding.X509_SIGNATURE
    ]
    kind = "an RSA signature" if rsa else "an ECDSA signature"
    return by_certificate("SIG", certificates, matches, kind)


def _matching(phase: Phase1, skeyid: bytes, given: bytes) -> str:
    """HASH_I or HASH_R, whichever this is with that SKEYID; empty for neither."""
    for name, made in _hashes(phase, skeyid):
        if hmac.compare_digest(made, given):
            return name
    return ""


def _hashes(phase: Phase1, skeyid: bytes) -> Iterator[tuple[str, bytes]]:
    """Both hashes; a capture that begins late may have the two public values the other way."""
    there = phase.exchange
    back = Phase1Exchange(
        there.public_r, there.public_i, there.cookie_i, there.cookie_r, there.sa_i
    )
    for exchange in (there, back):
        for body in phase.identities:
            yield "HASH_I", keys_v1.hash_i(phase.prf, skeyid, exchange, body)
            yield "HASH_R", keys_v1.hash_r(phase.prf, skeyid, exchange, body)
