# SPDX-License-Identifier: GPL-2.0-or-later
"""What Main and Aggressive Mode have in common: values, keys and authentication (RFC 2409 5)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeVar

from harness.ike import vendor_ids
from harness.ike.address import Path
from harness.ike.certificates import (
    CertificateFailure,
    check_identity,
    der,
    load_certificates,
    subject_dn,
    trusted_peer,
)
from harness.ike.chance import Draw, Purpose
from harness.ike.constants_v1 import CertEncoding, NotifyType
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, secret_size, share
from harness.ike.keys_v1 import (
    Phase1Exchange,
    hash_i,
    hash_r,
    initial_iv,
    phase1_keys,
    skeyid_psk,
    skeyid_signature,
)
from harness.ike.payload import Payload, every, first
from harness.ike.payloads_v1 import (
    Certificate,
    CertificateRequest,
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    SecurityAssociation,
    Signature,
    VendorId,
)
from harness.ike.signatures import SignatureFailure
from harness.ike.signatures_v1 import sign, signed_prf, verify
from harness.ike.v1.configuration import Connection, PreSharedKey, Signer
from harness.ike.v1.identity import Identity, dn_identity, read_identity
from harness.ike.v1.isakmp_sa import IsakmpSa, build_isakmp_sa
from harness.ike.v1.nat_traversal import (
    NatSituation,
    best_vendor_id,
    detected,
    detection_payloads,
    situation_of,
)
from harness.ike.v1.phase1_proposals import Phase1Choice
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal

P = TypeVar("P")
_MOST_CERTIFICATES = 6


@dataclass(slots=True)
class Negotiation:
    """What has become known in a phase 1 exchange so far; `now` is that of the last message."""

    connection: Connection
    initiator: bool
    cookie_i: bytes
    cookie_r: bytes
    path: Path
    draw: Draw
    now: float = 0.0
    offer: SecurityAssociation | None = None
    choice: Phase1Choice | None = None
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    public_i: bytes = b""
    public_r: bytes = b""
    share: Share | None = field(default=None, repr=False)
    nat: NatSituation = field(default_factory=NatSituation)
    nat_mark: bytes | None = None
    peer_dpd: bool = False
    peer: Identity | None = None
    sa: IsakmpSa | None = None
    iv: bytes = b""

    @property
    def cookies(self) -> bytes:
        """Both cookies, initiator's first."""
        return self.cookie_i + self.cookie_r

    @property
    def agreed(self) -> Phase1Choice:
        """The proposal that was chosen."""
        assert self.choice is not None
        return self.choice


@dataclass(frozen=True, slots=True)
class Step:
    """What a message leads to: payloads to send, whether encrypted, and whether that is the end."""

    payloads: tuple[Payload, ...] = ()
    encrypted: bool = False
    done: bool = False


class Handshake(Protocol):
    """Main or Aggressive Mode, as initiator or responder."""

    exchange: int

    @property
    def negotiation(self) -> Negotiation:
        """What has become known."""
        ...

    @property
    def awaits_encrypted(self) -> bool:
        """Whether the next message from the peer must come encrypted."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether this end repeats what it sent last until an answer comes."""
        ...

    def start(self) -> Step:
        """The initiator's first message."""
        ...

    def receive(self, payloads: tuple[Payload, ...]) -> Step:
        """What the peer's next message leads to; raises `Refusal` and `Ignored`."""
        ...


def needed(payloads: Iterable[Payload], kind: type[P]) -> P:
    """The payload of that kind; raises `Ignored` where there is none."""
    found = first(payloads, kind)
    if found is None:
        raise Ignored(f"a phase 1 message without {kind.__name__}")
    return found


def own_share(negotiation: Negotiation) -> bytes:
    """Make this end's key exchange value and nonce, and return the value."""
    group = negotiation.agreed.group
    secret = negotiation.draw(Purpose.SECRET, secret_size(group))
    made = share(group, secret)
    nonce = negotiation.draw(Purpose.NONCE, negotiation.connection.nonce_size)
    negotiation.share = made
    if negotiation.initiator:
        negotiation.public_i, negotiation.nonce_i = made.public, nonce
    else:
        negotiation.public_r, negotiation.nonce_r = made.public, nonce
    return made.public


def share_payloads(negotiation: Negotiation) -> tuple[KeyExchange, Nonce]:
    """KE and NONCE of this end."""
    if negotiation.initiator:
        return KeyExchange(negotiation.public_i), Nonce(negotiation.nonce_i)
    return KeyExchange(negotiation.public_r), Nonce(negotiation.nonce_r)


def peer_share(negotiation: Negotiation, payloads: tuple[Payload, ...]) -> None:
    """Take KE and NONCE of the peer."""
    public, nonce = needed(payloads, KeyExchange).data, needed(payloads, Nonce).data
    if negotiation.initiator:
        negotiation.public_r, negotiation.nonce_r = public, nonce
    else:
        negotiation.public_i, negotiation.nonce_i = public, nonce


def derive(negotiation: Negotiation) -> None:
    """Compute the keys, once both shares and nonces are known; raises `Refusal`."""
    n = negotiation
    assert n.share is not None
    try:
        shared = n.share.agree(n.public_r if n.initiator else n.public_i)
    except InvalidKeyExchangeData as error:
        raise Refusal(Reason.INVALID_KEY, NotifyType.INVALID_KEY_INFORMATION, str(error)) from None
    digest = n.agreed.hash
    match n.connection.credentials:
        case PreSharedKey(secret):
            skeyid = skeyid_psk(digest, secret, n.nonce_i, n.nonce_r)
        case Signer():
            skeyid = skeyid_signature(digest, n.nonce_i, n.nonce_r, shared)
    keys = phase1_keys(digest, skeyid, shared, n.cookie_i, n.cookie_r)
    n.sa = build_isakmp_sa(n.cookie_i, n.cookie_r, n.agreed, keys)
    n.iv = initial_iv(digest, n.public_i, n.public_r, n.agreed.encryption)


def own_authentication(negotiation: Negotiation) -> tuple[Payload, ...]:
    """HASH, or CERT and SIG, of this end; raises `Refusal` where its key cannot sign."""
    digest = _hash(negotiation, negotiation.initiator, negotiation.connection.local_identity)
    match negotiation.connection.credentials:
        case PreSharedKey():
            return (Hash(digest),)
        case Signer(chain=chain, key=key):
            certificates = tuple(
                Certificate(CertEncoding.X509_SIGNATURE, der(one)) for one in chain
            )
            try:
                return (*certificates, Signature(sign(key, digest)))
            except SignatureFailure as failure:
                raise Refusal(
                    Reason.AUTHENTICATION_FAILED, NotifyType.AUTHENTICATION_FAILED, str(failure)
                ) from None


def certificate_request(negotiation: Negotiation) -> tuple[Payload, ...]:
    """A request for a certificate under one of the anchors, where signatures are used."""
    match negotiation.connection.credentials:
        case Signer(anchors=anchors):
            return tuple(
                CertificateRequest(CertEncoding.X509_SIGNATURE, one.subject.public_bytes())
                for one in anchors
            )
        case PreSharedKey():
            return ()


def peer_identity(payloads: tuple[Payload, ...]) -> Identity:
    """Who the peer says it is; raises `Ignored` where it says nothing."""
    return read_identity(needed(payloads, Identification))


def check_peer(negotiation: Negotiation, payloads: tuple[Payload, ...], identity: Identity) -> None:
    """Check that the peer proves its identity, and that it is the wanted one; raises `Refusal`.

    The proof comes first, so that a stranger cannot ask for identities.
    """
    expected = _hash(negotiation, not negotiation.initiator, identity)
    match negotiation.connection.credentials:
        case PreSharedKey():
            if not hmac.compare_digest(needed(payloads, Hash).data, expected):
                raise _unauthentic(f"the HASH of {identity} is wrong; is it the same secret?")
        case Signer() as credentials:
            _check_signature(negotiation, credentials, payloads, identity, expected)
    wanted = negotiation.connection.remote_identity
    if wanted is not None and not wanted.is_who(identity):
        raise Refusal(
            Reason.INVALID_ID,
            NotifyType.INVALID_ID_INFORMATION,
            f"the peer says that it is {identity}, and {wanted} is configured",
        )
    negotiation.peer = identity


def _check_signature(
    negotiation: Negotiation,
    credentials: Signer,
    payloads: tuple[Payload, ...],
    identity: Identity,
    expected: bytes,
) -> None:
    received = [
        one.data
        for one in every(payloads, Certificate)
        if one.encoding == CertEncoding.X509_SIGNATURE
    ]
    at = credentials.epoch + timedelta(seconds=negotiation.now)
    try:
        chain = [load_certificates(one)[0] for one in received[:_MOST_CERTIFICATES]]
        trusted = trusted_peer(chain, credentials.anchors, at)
        subject = dn_identity(subject_dn(trusted.chain[0]))
        if not subject.is_who(identity):
            check_identity(trusted.chain[0], identity.id_type, identity.data)
        method = negotiation.agreed.method
        verify(trusted.key, method, needed(payloads, Signature).data, expected)
    except CertificateFailure as failure:
        raise Refusal(
            Reason.AUTHENTICATION_FAILED, NotifyType.INVALID_CERTIFICATE, str(failure)
        ) from None
    except SignatureFailure as failure:
        raise Refusal(
            Reason.AUTHENTICATION_FAILED, NotifyType.INVALID_SIGNATURE, str(failure)
        ) from None


def _unauthentic(detail: str) -> Refusal:
    return Refusal(Reason.AUTHENTICATION_FAILED, NotifyType.AUTHENTICATION_FAILED, detail)


def _hash(negotiation: Negotiation, of_initiator: bool, identity: Identity) -> bytes:
    """HASH_I or HASH_R over an identity, as it is sent or signed."""
    n = negotiation
    assert n.sa is not None
    assert n.offer is not None
    values = Phase1Exchange(n.public_i, n.public_r, n.cookie_i, n.cookie_r, n.offer.body())
    make = hash_i if of_initiator else hash_r
    digest = signed_prf(n.agreed.method, n.agreed.hash)
    return make(digest, n.sa.keys.skeyid, values, identity.payload().body())


def take_vendor_ids(negotiation: Negotiation, payloads: tuple[Payload, ...]) -> None:
    """Learn from the vendor ids what the peer can."""
    marks = {vendor.data for vendor in every(payloads, VendorId)}
    negotiation.peer_dpd = any(mark[:14] == vendor_ids.DPD[:14] for mark in marks)
    if negotiation.connection.nat.enabled:
        negotiation.nat_mark = best_vendor_id(payloads)
        negotiation.nat = situation_of(negotiation.nat_mark)


def nat_payloads(negotiation: Negotiation) -> tuple[Payload, ...]:
    """NAT-D payloads, where both ends know them."""
    return detection_payloads(
        negotiation.nat,
        negotiation.agreed.hash,
        negotiation.cookies,
        negotiation.path,
        negotiation.connection.nat.force,
        negotiation.draw,
    )


def detect_nat(negotiation: Negotiation, payloads: tuple[Payload, ...]) -> None:
    """Learn from the peer's NAT-D payloads who is translated."""
    negotiation.nat = detected(
        negotiation.nat,
        payloads,
        negotiation.agreed.hash,
        negotiation.cookies,
        negotiation.path,
        negotiation.connection.nat.force,
    )
