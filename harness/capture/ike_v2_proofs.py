# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether AUTH of IKEv2 verifies (RFC 7296 section 2.15), as anybody with the keys can check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.capture.entries import Proof
from harness.capture.proofs import by_certificate, by_shared_secrets
from harness.capture.secrets import IkeV2Secret, SharedSecret
from harness.ike import constants_v2 as n2
from harness.ike import payloads_v2 as v2
from harness.ike.authentication import (
    int_auth,
    intermediate_auth,
    psk_auth_matches,
    signed_octets,
)
from harness.ike.names import name_of
from harness.ike.payload import Payload, every, first
from harness.ike.transforms import Prf, UnknownAlgorithm, prf_by_id
from harness.ike.wire import Message

SaId = tuple[bytes, bytes]


@dataclass(slots=True)
class _Handshake:
    """What both ends of an IKE SA authenticate."""

    request: bytes
    response: bytes
    nonce_i: bytes
    nonce_r: bytes
    prf: Prf | None
    intermediate: dict[bool, bytes] = field(default_factory=dict)
    identities: dict[bool, v2.Identification] = field(default_factory=dict)
    auth_message_id: int | None = None
    eap: bool = False
    ppk: bool = False


class IkeV2Proofs:
    """Follows the IKE SAs of a capture from IKE_SA_INIT to IKE_AUTH."""

    def __init__(self, shared: Sequence[SharedSecret]) -> None:
        self._shared = shared
        self._requests: dict[bytes, tuple[bytes, bytes]] = {}
        self._handshakes: dict[SaId, _Handshake] = {}

    def begin(self, message: Message, datagram: bytes) -> None:
        """Take a message of IKE_SA_INIT; of several requests the last before the answer counts."""
        nonce = first(message.payloads, v2.Nonce)
        if message.exchange != n2.ExchangeType.IKE_SA_INIT or nonce is None:
            return
        if not message.flags & n2.Flag.RESPONSE:
            self._requests[message.initiator_spi] = (datagram, nonce.data)
            return
        asked = self._requests.get(message.initiator_spi)
        if asked is not None:
            request, nonce_i = asked
            self._handshakes[_sa(message)] = _Handshake(
                request, datagram, nonce_i, nonce.data, _prf(message.payloads)
            )

    def between(
        self, message: Message, first_payload: int, plaintext: bytes, secret: IkeV2Secret
    ) -> None:
        """Take a message of IKE_INTERMEDIATE with its plaintext: AUTH covers it (RFC 9242)."""
        from harness.ike.v2.sealing import authenticated_part

        known = self._handshakes.get(_sa(message))
        if known is None or known.prf is None or message.sealed is None:
            return
        from_initiator = bool(message.flags & n2.Flag.INITIATOR)
        sk_p = secret.pi if from_initiator else secret.pr
        part = authenticated_part(message, first_payload, len(plaintext), message.sealed.flags)
        before = known.intermediate.get(from_initiator, b"")
        known.intermediate[from_initiator] = intermediate_auth(
            known.prf, sk_p, before, part, plaintext
        )

    def check(
        self, message: Message, payloads: Sequence[Payload], secret: IkeV2Secret
    ) -> Proof | None:
        """What became of AUTH in a message of IKE_AUTH, None where it has none."""
        known = self._handshakes.get(_sa(message))
        from_initiator = bool(message.flags & n2.Flag.INITIATOR)
        auth = first(payloads, v2.Authentication)
        if known is not None:
            _learn(known, message, payloads, from_initiator, auth is not None)
        if auth is None:
            return None
        if known is None or known.prf is None:
            return Proof.unchecked("AUTH", "the capture does not show its IKE_SA_INIT")
        identity = known.identities.get(from_initiator)
        sk_p, name = (secret.pi, "SK_pi") if from_initiator else (secret.pr, "SK_pr")
        if identity is None:
            return Proof.unchecked("AUTH", "the sender does not say who it is")
        if not sk_p:
            return Proof.unchecked("AUTH", f"{name} is not known")
        octets = _octets(known, known.prf, sk_p, identity, from_initiator)
        return self._proof(known, known.prf, auth, octets, sk_p, payloads)

    def _proof(
        self,
        known: _Handshake,
        prf: Prf,
        auth: v2.Authentication,
        octets: bytes,
        sk_p: bytes,
        payloads: Sequence[Payload],
    ) -> Proof:
        match auth.method:
            case n2.AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE if known.eap:
                return Proof.unchecked("AUTH", "its key comes from EAP")
            case n2.AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE:
                proof = by_shared_secrets(
                    "AUTH",
                    self._shared,
                    lambda one: psk_auth_matches(prf, one.secret, octets, auth.data),
                )
                if known.ppk and not proof.verified:
                    return Proof.unchecked("AUTH", "a post-quantum key is mixed into SK_p")
                return proof
            case n2.AuthMethod.NULL:
                right = psk_auth_matches(prf, sk_p, octets, auth.data)
                what = "verifies, and proves no identity (RFC 7619)"
                return Proof("AUTH", right, what if right else "does not verify with SK_p")
        certificates = [
            one.data
            for one in every(payloads, v2.Certificate)
            if one.encoding == n2.CertEncoding.X509_SIGNATURE
        ]
        from harness.ike.signatures import verify_auth

        return by_certificate(
            "AUTH",
            certificates,
            lambda key: verify_auth(key, auth.method, auth.data, octets),
            name_of(n2.AuthMethod, auth.method),
        )


def _learn(
    known: _Handshake,
    message: Message,
    payloads: Sequence[Payload],
    from_initiator: bool,
    proves: bool,
) -> None:
    if known.auth_message_id is None:
        known.auth_message_id = message.message_id
        # Who asks without a proof wants to use EAP (RFC 7296 section 2.16).
        known.eap = not proves
    kind = n2.PayloadType.IDi if from_initiator else n2.PayloadType.IDr
    identity = first(payloads, v2.Identification, kind)
    if identity is not None:
        known.identities[from_initiator] = identity
    known.ppk |= any(
        one.notify_type == n2.NotifyType.PPK_IDENTITY for one in every(payloads, v2.Notify)
    )


def _octets(
    known: _Handshake, prf: Prf, sk_p: bytes, identity: v2.Identification, from_initiator: bool
) -> bytes:
    proof = b""
    if known.intermediate:
        both = (known.intermediate.get(True, b""), known.intermediate.get(False, b""))
        proof = int_auth(*both, known.auth_message_id or 0)
    parts = (known.request, known.nonce_r) if from_initiator else (known.response, known.nonce_i)
    return signed_octets(prf, *parts, sk_p, identity.body(), proof)


def _sa(message: Message) -> SaId:
    return message.initiator_spi, message.responder_spi


def _prf(payloads: Sequence[Payload]) -> Prf | None:
    chosen = first(payloads, v2.SecurityAssociation)
    if chosen is None:
        return None
    for proposal in chosen.proposals:
        for transform in proposal.transforms:
            if transform.type == n2.TransformType.PRF:
                try:
                    return prf_by_id(transform.id)
                except UnknownAlgorithm:
                    return None
    return None
