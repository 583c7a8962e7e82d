# SPDX-License-Identifier: GPL-2.0-or-later
"""The preshared key behind an Aggressive Mode exchange, from two messages that anybody can read.

HASH_R is in clear and depends on nothing secret but the key (RFC 2409 5.4), so that whoever has
seen the first two messages can try words without ever speaking to a peer. That is why a peer
refuses Aggressive Mode with a preshared key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.capture.entries import Entry, Ike, Status
from harness.ike.constants_v1 import AuthenticationMethod, ExchangeType, Phase1Attribute
from harness.ike.keys_v1 import Phase1Exchange, hash_r, skeyid_psk
from harness.ike.payload import Payload, first
from harness.ike.payloads_v1 import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    SecurityAssociation,
)
from harness.ike.transforms import Prf, UnknownAlgorithm, prf_by_hash_id

_NO_COOKIE = bytes(8)


@dataclass(frozen=True, slots=True)
class Opening:
    """The first two messages of an Aggressive Mode exchange, as far as HASH_R depends on them.

    `frames` are where they stand in the capture.
    """

    digest: Prf
    values: Phase1Exchange
    nonces: tuple[bytes, bytes]
    responder: bytes
    hash_r: bytes
    frames: tuple[int, int]

    def fits(self, word: bytes) -> bool:
        """Whether HASH_R comes of this preshared key."""
        skeyid = skeyid_psk(self.digest, word, *self.nonces)
        return hmac.compare_digest(
            hash_r(self.digest, skeyid, self.values, self.responder), self.hash_r
        )


@dataclass(frozen=True, slots=True)
class Guess:
    """A preshared key that fits, and after how many words; the frames that gave it away."""

    secret: bytes = field(repr=False)
    tried: int
    frames: tuple[int, int]

    def __str__(self) -> str:
        first_frame, second_frame = self.frames
        return (
            f"frames {first_frame} and {second_frame}, which anybody on the path can read, were"
            f" enough to find the preshared key with word {self.tried} of a list: use Main Mode, or"
            " certificates, or a key that is in no list"
        )


def openings(entries: Iterable[Entry]) -> Iterator[Opening]:
    """The Aggressive Mode exchanges with a preshared key of which both messages are there."""
    requests: dict[bytes, tuple[int, tuple[Payload, ...]]] = {}
    for entry in entries:
        content = entry.content
        if not isinstance(content, Ike) or not _is_aggressive(content) or content.repeats:
            continue
        header = content.header
        if header.responder_spi == _NO_COOKIE:
            requests[header.initiator_spi] = (entry.number, content.payloads)
        elif header.initiator_spi in requests:
            number, request = requests[header.initiator_spi]
            cookies = header.initiator_spi, header.responder_spi
            opening = _opening(request, content.payloads, cookies, (number, entry.number))
            if opening is not None:
                del requests[header.initiator_spi]
                yield opening


def guess(entries: Iterable[Entry], words: Iterable[bytes]) -> Guess | None:
    """The first word that is the preshared key of an exchange in the capture, or None."""
    found = tuple(openings(entries))
    if not found:
        return None
    for tried, word in enumerate(words, 1):
        for opening in found:
            if opening.fits(word):
                return Guess(word, tried, opening.frames)
    return None


def _is_aggressive(content: Ike) -> bool:
    header = content.header
    return (
        content.status is Status.CLEAR
        and header.major_version == 1
        and header.exchange_type == ExchangeType.AGGRESSIVE
    )


def _opening(
    request: tuple[Payload, ...],
    answer: tuple[Payload, ...],
    cookies: tuple[bytes, bytes],
    frames: tuple[int, int],
) -> Opening | None:
    """What two messages say, or None where they are no exchange with a preshared key."""
    offered, chosen = first(request, SecurityAssociation), first(answer, SecurityAssociation)
    publics = first(request, KeyExchange), first(answer, KeyExchange)
    nonces = first(request, Nonce), first(answer, Nonce)
    responder, proof = first(answer, Identification), first(answer, Hash)
    digest = None if chosen is None else _digest(chosen)
    if offered is None or digest is None or responder is None or proof is None:
        return None
    if publics[0] is None or publics[1] is None or nonces[0] is None or nonces[1] is None:
        return None
    values = Phase1Exchange(publics[0].data, publics[1].data, *cookies, offered.body())
    return Opening(
        digest, values, (nonces[0].data, nonces[1].data), responder.body(), proof.data, frames
    )


def _digest(chosen: SecurityAssociation) -> Prf | None:
    """The hash of the one transform that was chosen, where it goes with a preshared key."""
    transforms = [each for one in chosen.proposals for each in one.transforms]
    if len(transforms) != 1:
        return None
    method = transforms[0].number_of(Phase1Attribute.AUTHENTICATION_METHOD)
    number = transforms[0].number_of(Phase1Attribute.HASH_ALGORITHM)
    if method != AuthenticationMethod.PRE_SHARED_KEY or number is None:
        return None
    try:
        return prf_by_hash_id(number)
    except UnknownAlgorithm:
        return None
