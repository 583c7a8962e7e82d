# SPDX-License-Identifier: GPL-2.0-or-later
"""AUTH payloads made and checked: shared keys and certificates (RFC 7296 2.15, RFC 7427)."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509

from harness.ike.authentication import int_auth, psk_auth, psk_auth_matches, signed_octets
from harness.ike.certificates import (
    CertificateFailure,
    check_identity,
    der,
    key_hash,
    load_certificates,
    trusted_peer,
)
from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import AuthMethod, CertEncoding, PayloadType
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v2 import (
    Authentication,
    Certificate,
    CertificateRequest,
    Identification,
)
from harness.ike.signatures import (
    SignatureFailure,
    auth_method,
    schemes_for,
    sign_auth,
    verify_auth,
)
from harness.ike.v2.connection import Anchors, Connection, Identity, SharedKey, Signer
from harness.ike.v2.ike_sa import Handshake, IkeSa
from harness.ike.v2.keys import KeySet

MOST_CERTIFICATES = 8


class Unproven(Exception):
    """The peer did not prove who it says to be; the message says why."""


def octets_to_sign(
    sa: IkeSa, identity: Identification, auth_message_id: int, *, initiator: bool
) -> bytes:
    """What one end authenticates, ours or the peer's (RFC 7296 2.15, RFC 9242 3.3.2)."""
    handshake, keys = handshake_of(sa)
    origin = keys.origin
    proof = b""
    if handshake.intermediates:
        proof = int_auth(handshake.intermediate_i, handshake.intermediate_r, auth_message_id)
    if initiator:
        parts = (handshake.request, origin.nonce_r, keys.keys.pi)
    else:
        parts = (handshake.response, origin.nonce_i, keys.keys.pr)
    return signed_octets(keys.prf, *parts, identity.body(), proof)


def handshake_of(sa: IkeSa) -> tuple[Handshake, KeySet]:
    """The handshake and keys of an SA that is not established yet; `ValueError` for others."""
    if sa.handshake is None or sa.keys is None:
        raise ValueError("the IKE SA has no handshake any more; it is established or closed")
    return sa.handshake, sa.keys


def own_identity(sa: IkeSa, connection: Connection) -> Identification:
    """The ID payload of this end."""
    kind = PayloadType.IDi if sa.initiator else PayloadType.IDr
    return Identification(kind, connection.local_id.type, connection.local_id.data)


def own_proof(
    sa: IkeSa, connection: Connection, identity: Identification, auth_message_id: int
) -> tuple[Payload, ...]:
    """AUTH, after the certificates that it needs; raises `SignatureFailure`."""
    _, keys = handshake_of(sa)
    octets = octets_to_sign(sa, identity, auth_message_id, initiator=sa.initiator)
    match connection.local_auth:
        case SharedKey(secret):
            data = psk_auth(keys.prf, secret, octets)
            return (Authentication(AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE, data),)
        case Signer() as signer:
            certificates = tuple(
                Certificate(CertEncoding.X509_SIGNATURE, der(one)) for one in signer.chain
            )
            return (*certificates, _signature(sa, signer, octets))


def certificate_requests(connection: Connection) -> tuple[Payload, ...]:
    """CERTREQ for the authorities that the peer may be certified by."""
    match connection.remote_auth:
        case Anchors(certificates):
            hashes = b"".join(key_hash(one) for one in certificates)
            return (CertificateRequest(CertEncoding.X509_SIGNATURE, hashes),)
        case SharedKey():
            return ()


def check_peer(
    sa: IkeSa,
    connection: Connection,
    payloads: tuple[Payload, ...],
    auth_message_id: int,
    now: float,
) -> Identity:
    """The identity that the peer proved; raises `Unproven`."""
    kind = PayloadType.IDr if sa.initiator else PayloadType.IDi
    identity = first(payloads, Identification, kind)
    proof = first(payloads, Authentication)
    if identity is None or proof is None:
        raise Unproven("The peer sent no identity or no AUTH.")
    found = Identity(identity.id_type, identity.data)
    if connection.remote_id is not None and found != connection.remote_id:
        raise Unproven(f"The peer is {found}, and {connection.remote_id} is expected.")
    octets = octets_to_sign(sa, identity, auth_message_id, initiator=not sa.initiator)
    _, keys = handshake_of(sa)
    match connection.remote_auth:
        case SharedKey(secret):
            if proof.method != AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE:
                raise Unproven(f"The peer authenticates by method {proof.method}, not a key.")
            if not psk_auth_matches(keys.prf, secret, octets, proof.data):
                raise Unproven("The preshared key is not the peer's.")
        case Anchors(anchors):
            _check_signature(sa, anchors, found, proof, octets, payloads, now)
    return found


def _check_signature(
    sa: IkeSa,
    anchors: tuple[x509.Certificate, ...],
    identity: Identity,
    proof: Authentication,
    octets: bytes,
    payloads: tuple[Payload, ...],
    now: float,
) -> None:
    received: list[x509.Certificate] = []
    try:
        for payload in every(payloads, Certificate)[:MOST_CERTIFICATES]:
            if payload.encoding == CertEncoding.X509_SIGNATURE:
                received.extend(load_certificates(payload.data))
        at = sa.host.settings.epoch + timedelta(seconds=now)
        peer = trusted_peer(received, anchors, at)
        check_identity(peer.chain[0], identity.type, identity.data)
        verify_auth(peer.key, proof.method, proof.data, octets)
    except (CertificateFailure, SignatureFailure) as failure:
        raise Unproven(str(failure)) from None


def _signature(sa: IkeSa, signer: Signer, octets: bytes) -> Authentication:
    handshake, _ = handshake_of(sa)
    schemes = schemes_for(signer.key, handshake.peer_hashes, pss=signer.pss)
    method = auth_method(signer.key, digital_signature=bool(schemes))
    scheme = schemes[0] if method is AuthMethod.DIGITAL_SIGNATURE else None
    randomness = drawing(sa.host.draw, Purpose.SIGNATURE)
    return Authentication(method, sign_auth(signer.key, method, octets, randomness, scheme))
