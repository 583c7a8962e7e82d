# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a secret is the one that made a HASH or AUTH payload of a capture.

IKEv1's HASH_I and HASH_R need no key but the secret itself, as all else is on the wire (RFC 2409
5.4). IKEv2's AUTH needs SK_pi or SK_pr too, from a key log (RFC 7296 2.15).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from harness.capture.secrets import Secrets
from harness.ike import constants_v1 as n1
from harness.ike import keys_v1
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.authentication import psk_auth_matches, signed_octets
from harness.ike.constants_v2 import AuthMethod, ExchangeType, TransformType
from harness.ike.transforms import Prf, UnknownAlgorithm, prf_by_hash_id, prf_by_id
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.identities import claimed
from harness.verdict.diagnosis.negotiations import Message, Negotiation


def made_with(secret: bytes, failure: Failure, secrets: Secrets) -> bool | None:
    """Whether the proof that was refused was made with a secret; None where nothing can tell."""
    if failure.version == 1:
        return _hash_verifies(secret, failure)
    return _auth_verifies(secret, failure, secrets)


def has_psk_proof(failure: Failure) -> bool:
    """Whether the message that was refused proves itself by a pre-shared key."""
    if failure.version == 1:
        return failure.asked.one(v1.Hash) is not None
    proof = failure.asked.one(v2.Authentication)
    return proof is not None and proof.method == AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE


# -- IKEv1 --------------------------------------------------------------------------------------


def _hash_verifies(secret: bytes, failure: Failure) -> bool | None:
    found, claim = failure.asked.one(v1.Hash), claimed(failure)
    messages = [
        one
        for one in failure.negotiation.messages
        if one.exchange == failure.asked.exchange and not one.message_id
    ]
    nonces = [one for message in messages for one in message.all(v1.Nonce)]
    publics = [one for message in messages for one in message.all(v1.KeyExchange)]
    offer = messages[0].one(v1.SecurityAssociation)
    prf = _negotiated_hash(messages)
    if found is None or claim is None or offer is None or prf is None:
        return None
    if len(nonces) < 2 or len(publics) < 2:
        return None
    skeyid = keys_v1.skeyid_psk(prf, secret, nonces[0].data, nonces[1].data)
    header = failure.asked.ike.header
    exchange = keys_v1.Phase1Exchange(
        publics[0].data,
        publics[1].data,
        header.initiator_spi,
        header.responder_spi,
        offer.body(),
    )
    made = keys_v1.hash_i if failure.asked.sender == messages[0].sender else keys_v1.hash_r
    return hmac.compare_digest(found.data, made(prf, skeyid, exchange, claim.body))


def _negotiated_hash(messages: Sequence[Message]) -> Prf | None:
    """The hash that the responder chose."""
    answers = (one for one in messages if one.sender != messages[0].sender)
    for message in answers:
        association = message.one(v1.SecurityAssociation)
        for proposal in association.proposals if association else ():
            for transform in proposal.transforms:
                number = transform.number_of(n1.Phase1Attribute.HASH_ALGORITHM)
                try:
                    return prf_by_hash_id(number or 0)
                except UnknownAlgorithm:
                    return None
    return None


# -- IKEv2 --------------------------------------------------------------------------------------


def _auth_verifies(secret: bytes, failure: Failure, secrets: Secrets) -> bool | None:
    proof, claim = failure.asked.one(v2.Authentication), claimed(failure)
    if proof is None or claim is None or not has_psk_proof(failure):
        return None
    negotiation = failure.negotiation
    if any(one.exchange == ExchangeType.IKE_INTERMEDIATE for one in negotiation.messages):
        return None
    init = _init(negotiation)
    if init is None:
        return None
    request, response = init
    prf = _negotiated_prf(response)
    spis = (response.ike.header.initiator_spi, response.ike.header.responder_spi)
    by_responder = failure.asked.response
    signed, other = (response, request) if by_responder else (request, response)
    peer = other.one(v2.Nonce)
    if prf is None or peer is None:
        return None
    key = _proof_key(secrets, spis, by_responder=by_responder)
    if not key:
        return None
    octets = signed_octets(prf, signed.ike.header.data, peer.data, key, claim.body)
    return psk_auth_matches(prf, secret, octets, proof.data)


def _proof_key(secrets: Secrets, spis: tuple[bytes, bytes], *, by_responder: bool) -> bytes:
    """SK_pi or SK_pr of an IKE SA, empty where no source has it.

    Only one source of several may have it, and a key log does not say of which SA it is: its SK_ei
    does.
    """
    known = {one.ei for one in secrets.ike_v2 if (one.spi_i, one.spi_r) == spis}
    keys = (one.pr if by_responder else one.pi for one in secrets.ike_v2 if one.ei in known)
    return next((one for one in keys if one), b"")


def _init(negotiation: Negotiation) -> tuple[Message, Message] | None:
    """The last IKE_SA_INIT request and its response."""
    messages = [one for one in negotiation.messages if one.exchange == ExchangeType.IKE_SA_INIT]
    requests = [one for one in messages if not one.response]
    responses = [one for one in messages if one.response and one.one(v2.Nonce) is not None]
    return (requests[-1], responses[-1]) if requests and responses else None


def _negotiated_prf(response: Message) -> Prf | None:
    association = response.one(v2.SecurityAssociation)
    for proposal in association.proposals if association else ():
        for transform in proposal.transforms:
            if transform.type == TransformType.PRF:
                try:
                    return prf_by_id(transform.id)
                except UnknownAlgorithm:
                    return None
    return None
