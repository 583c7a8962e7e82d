# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 messages opened: SK and SKF (RFC 7296 section 3.14, RFC 7383), of every SA of a capture.

An SA may have several sets of keys, one after each additional key exchange (RFC 9370), and many
SAs may follow one another by rekeying. Which candidate belongs to which SA is proved by the ICV.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.capture.entries import Proof, Status
from harness.capture.ike_v2_proofs import IkeV2Proofs
from harness.capture.secrets import IkeV2Secret, Secrets
from harness.capture.unsealing import Unsealing, fitting, unsealing
from harness.ike.constants_v2 import ExchangeType, Flag, ProtocolId, TransformType
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Encrypted, EncryptedFragment, SecurityAssociation
from harness.ike.protection import IntegrityFailure
from harness.ike.transforms import (
    Encryption,
    Integrity,
    UnknownAlgorithm,
    encryption_by_id,
    integrity_by_id,
)
from harness.ike.wire import Message, decode_payloads, sealed_offset

PATIENCE = 8
"""Messages of an SA for which all candidates are tried; one that none opens has no key here."""

SaId = tuple[bytes, bytes]
Algorithms = tuple[Encryption, Integrity | None]


class Opened(NamedTuple):
    """What a message holds, or why it cannot be read; see `entries.Ike`."""

    payloads: tuple[Payload, ...]
    status: Status
    detail: str = ""
    authentic: bool | None = None
    fragment: tuple[int, int] | None = None
    frames: tuple[int, ...] = ()
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class _Keys:
    secret: IkeV2Secret
    initiator: Unsealing
    responder: Unsealing


@dataclass(frozen=True, slots=True)
class _Piece:
    plaintext: bytes
    first_payload: int
    frame: int


class IkeV2Opener:
    """Opens the messages of a capture in their order; keeps what later ones need."""

    def __init__(self, secrets: Secrets) -> None:
        self._keys: dict[SaId, list[_Keys]] = {}
        self._candidates: list[IkeV2Secret] = []
        self._negotiated: dict[SaId, Algorithms] = {}
        self._offered: dict[tuple[SaId, int], tuple[bytes, ...]] = {}
        self._failures: dict[SaId, int] = {}
        self._pieces: dict[tuple[SaId, int, int, int], dict[int, _Piece]] = {}
        self._proofs = IkeV2Proofs(secrets.shared)
        for secret in secrets.ike_v2:
            if secret.spi_i is None or secret.spi_r is None:
                self._candidates.append(secret)
                continue
            for keys in _all_keys(secret, None):
                self._keys.setdefault((secret.spi_i, secret.spi_r), []).append(keys)

    @property
    def proved(self) -> tuple[IkeV2Secret, ...]:
        """All secrets of which the SA is known, those that a message proved among them."""
        return tuple(dict.fromkeys(one.secret for keys in self._keys.values() for one in keys))

    def open(self, message: Message, datagram: bytes, frame: int) -> Opened:
        """What the message holds; `datagram` is its octets, `frame` where it came."""
        sealed = message.sealed
        if sealed is None:
            self._learn(message, message.payloads)
            self._proofs.begin(message, datagram)
            return Opened(message.payloads, Status.CLEAR)
        sa = (message.initiator_spi, message.responder_spi)
        prefix = datagram[: sealed_offset(message, len(datagram))]
        before = message.payloads[:-1]
        unsealed = self._unseal(sa, bool(message.flags & Flag.INITIATOR), prefix, sealed.data)
        if isinstance(unsealed, Opened):
            return unsealed._replace(payloads=before)
        plaintext, keys = unsealed
        if isinstance(sealed, Encrypted):
            opened = self._read(message, before, sealed.first_payload, plaintext, (), keys)
        else:
            piece = _Piece(plaintext, sealed.first_payload, frame)
            opened = self._collect(message, before, sealed, piece, keys)
        return opened._replace(authentic=None) if keys.secret.unchecked_icv else opened

    def _unseal(
        self, sa: SaId, from_initiator: bool, prefix: bytes, body: bytes
    ) -> tuple[bytes, _Keys] | Opened:
        """The plaintext and whose keys opened it, or what to say without it."""
        known = self._keys.get(sa, [])
        for position in reversed(range(len(known))):
            keys = known[position]
            try:
                side = keys.initiator if from_initiator else keys.responder
                return _without_padding(side, prefix, body), keys
            except IntegrityFailure:
                continue
        failures = self._failures.get(sa, 0)
        if failures < PATIENCE:
            for keys in self._untried(sa):
                try:
                    plaintext = _without_padding(
                        keys.initiator if from_initiator else keys.responder, prefix, body
                    )
                except IntegrityFailure:
                    continue
                self._keys.setdefault(sa, []).append(keys)
                return plaintext, keys
            self._failures[sa] = failures + 1
        if known:
            return Opened((), Status.BAD_ICV, "its ICV does not match", False)
        spis = f"{sa[0].hex()} {sa[1].hex()}"
        return Opened((), Status.NO_KEY, f"there is no key for the IKE SA {spis}")

    def _untried(self, sa: SaId) -> Iterator[_Keys]:
        """The candidates as keys of this SA, by the algorithms that were negotiated if known."""
        for candidate in self._candidates:
            bound = replace(candidate, spi_i=sa[0], spi_r=sa[1])
            yield from _all_keys(bound, self._negotiated.get(sa))

    def _collect(
        self,
        message: Message,
        before: tuple[Payload, ...],
        sealed: EncryptedFragment,
        piece: _Piece,
        keys: _Keys,
    ) -> Opened:
        """Keep a fragment that is authentic; the whole message with the last one."""
        numbers = (sealed.number, sealed.total)
        if not 1 <= sealed.number <= sealed.total:
            detail = f"fragment {sealed.number} of {sealed.total} cannot be"
            return Opened(before, Status.MALFORMED, detail, True, numbers)
        sa = (message.initiator_spi, message.responder_spi)
        # A sender that finds a smaller MTU begins anew with a larger total (RFC 7383 2.5.1).
        key = (sa, message.flags, message.message_id, sealed.total)
        pieces = self._pieces.setdefault(key, {})
        pieces.setdefault(sealed.number, piece)
        if len(pieces) < sealed.total:
            return Opened(before, Status.FRAGMENT, "", True, numbers)
        del self._pieces[key]
        ordered = [pieces[number] for number in range(1, sealed.total + 1)]
        whole = b"".join(one.plaintext for one in ordered)
        frames = tuple(sorted(one.frame for one in ordered))
        opened = self._read(message, before, ordered[0].first_payload, whole, frames, keys)
        return opened._replace(fragment=numbers)

    def _read(
        self,
        message: Message,
        before: tuple[Payload, ...],
        first: int,
        plaintext: bytes,
        frames: tuple[int, ...],
        keys: _Keys,
    ) -> Opened:
        try:
            inner, behind = decode_payloads(2, first, plaintext)
        except Malformed as malformed:
            return Opened(before, Status.MALFORMED, f"inside SK, {malformed}", True, None, frames)
        payloads = before + inner
        self._learn(message, payloads)
        detail = f"{len(behind)} octets stand behind the last payload" if behind else ""
        proof = None
        if message.exchange == ExchangeType.IKE_INTERMEDIATE:
            self._proofs.between(message, first, plaintext, keys.secret)
        elif message.exchange == ExchangeType.IKE_AUTH:
            proof = self._proofs.check(message, payloads, keys.secret)
        return Opened(payloads, Status.DECRYPTED, detail, True, None, frames, proof)

    def _learn(self, message: Message, payloads: tuple[Payload, ...]) -> None:
        """Keep the algorithms of an SA that is being negotiated."""
        sa = (message.initiator_spi, message.responder_spi)
        proposals = [
            proposal
            for payload in payloads
            if isinstance(payload, SecurityAssociation)
            for proposal in payload.proposals
            if proposal.protocol == ProtocolId.IKE
        ]
        if not proposals:
            return
        # Requests of both ends may have the same number: the initiator bit tells them apart.
        response = bool(message.flags & Flag.RESPONSE)
        requester = bool(message.flags & Flag.INITIATOR) != response
        exchange = (sa, message.message_id << 1 | requester)
        if not response:
            self._offered[exchange] = tuple(dict.fromkeys(one.spi for one in proposals))
            return
        algorithms = _algorithms(proposals[0].transforms)
        if algorithms is None:
            return
        if message.exchange == ExchangeType.IKE_SA_INIT:
            self._negotiated[sa] = algorithms
        for spi in self._offered.get(exchange, ()):
            self._negotiated[(spi, proposals[0].spi)] = algorithms


def _without_padding(side: Unsealing, prefix: bytes, body: bytes) -> bytes:
    """The inner payloads; raises IntegrityFailure, also for a pad length that cannot be."""
    plaintext = side.open(prefix, body)
    if not plaintext or plaintext[-1] >= len(plaintext):
        raise IntegrityFailure("The pad length is longer than the plaintext.")
    return plaintext[: len(plaintext) - plaintext[-1] - 1]


def _algorithms(transforms: tuple[object, ...]) -> Algorithms | None:
    encryption: Encryption | None = None
    integrity: Integrity | None = None
    try:
        for one in transforms:
            kind, number = getattr(one, "type", 0), getattr(one, "id", 0)
            if kind == TransformType.ENCR:
                encryption = encryption_by_id(number, getattr(one, "key_length", None))
            elif kind == TransformType.INTEG and number:
                integrity = integrity_by_id(number)
    except UnknownAlgorithm:
        return None
    return None if encryption is None else (encryption, integrity)


def _all_keys(secret: IkeV2Secret, negotiated: Algorithms | None) -> Iterator[_Keys]:
    """The keys with the algorithms that are known, else with each that fits their sizes."""
    if secret.encryption is not None:
        choices = [(secret.encryption, secret.integrity)]
    elif negotiated is not None:
        choices = [negotiated]
    else:
        choices = list(fitting(len(secret.ei), len(secret.ai)))
    for encryption, integrity in choices:
        try:
            yield _Keys(
                replace(secret, encryption=encryption, integrity=integrity),
                unsealing(encryption, secret.ei, integrity, secret.ai, secret.unchecked_icv),
                unsealing(encryption, secret.er, integrity, secret.ar, secret.unchecked_icv),
            )
        except ValueError:
            continue
