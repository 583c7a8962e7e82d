# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 messages opened: phase 1, phase 2 and what goes with them (RFC 2409 appendix B).

The IV of a message is the last ciphertext block of the one before in its exchange. A capture may
lack a message or hold it twice, so the blocks that came are all kept, and where the chain does not
lead to payloads the others are tried. HASH payloads are checked where SKEYID_a and SKEYID are
known.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.capture.entries import Proof, Status
from harness.capture.ike_v1_proofs import Phase1, phase1_proof
from harness.capture.ike_v2 import Opened
from harness.capture.secrets import IkeV1Secret, Secrets, bound_v1
from harness.ike import keys_v1
from harness.ike.ciphers import cipher
from harness.ike.constants_v1 import ExchangeType, PayloadType, Phase1Attribute
from harness.ike.keys_v1 import MessageCipher, Phase1Exchange
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload, first
from harness.ike.payloads_v1 import (
    Fragment,
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    SecurityAssociation,
)
from harness.ike.transforms import (
    Encryption,
    Prf,
    UnknownAlgorithm,
    encryption_by_phase1_id,
    prf_by_hash_id,
)
from harness.ike.wire import Message, decode, decode_payloads

KEPT_BLOCKS = 16
"""Ciphertext blocks of an exchange that may still be an IV: a sender's window is far smaller."""
LONGEST_PADDING = 255
NO_COOKIE = bytes(8)
_KNOWN_TYPES = frozenset(int(one) for one in PayloadType)
_PHASE_1 = (ExchangeType.IDENTITY_PROTECTION, ExchangeType.AGGRESSIVE, ExchangeType.BASE)
_HASHED_LIKE_1 = (ExchangeType.INFORMATIONAL, ExchangeType.TRANSACTION, ExchangeType.NEW_GROUP_MODE)


def _blocks() -> deque[bytes]:
    return deque(maxlen=KEPT_BLOCKS)


@dataclass(slots=True)
class _Sa:
    """An ISAKMP SA as far as the capture has shown it."""

    cookie_i: bytes
    cookie_r: bytes = NO_COOKIE
    encryption: Encryption | None = None
    prf: Prf | None = None
    method: int = 0
    sa_i: bytes = b""
    publics: list[bytes] = field(default_factory=list)
    secret: IkeV1Secret | None = None
    cipher: MessageCipher | None = None
    phase_1: deque[bytes] = field(default_factory=_blocks)
    exchanges: dict[int, deque[bytes]] = field(default_factory=dict)
    nonces: dict[int, list[bytes]] = field(default_factory=dict)
    identities: list[bytes] = field(default_factory=list)
    pieces: dict[int, dict[int, tuple[Fragment, int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plain:
    payloads: tuple[Payload, ...]
    plaintext: bytes
    padding: int


class IkeV1Opener:
    """Opens the messages of a capture in their order; keeps what later ones need."""

    def __init__(self, secrets: Secrets) -> None:
        self._sas: dict[bytes, _Sa] = {}
        self._secrets: dict[bytes, list[IkeV1Secret]] = {}
        self._candidates: list[IkeV1Secret] = []
        self._shared = secrets.shared
        for secret in secrets.ike_v1:
            if secret.cookie is None:
                self._candidates.append(secret)
            else:
                self._secrets.setdefault(secret.cookie, []).append(secret)

    @property
    def proved(self) -> tuple[IkeV1Secret, ...]:
        """All secrets of which the SA is known, those that a message proved among them."""
        proved = (sa.secret for sa in self._sas.values() if sa.secret is not None)
        given = (one for each in self._secrets.values() for one in each)
        return tuple(dict.fromkeys((*given, *proved)))

    def open(self, message: Message, frame: int) -> Opened:
        """What the message holds; `frame` is where it came."""
        sa = self._sas.setdefault(message.initiator_spi, _Sa(message.initiator_spi))
        if not message.encrypted:
            fragment = first(message.payloads, Fragment)
            if fragment is not None:
                return self._collect(sa, message, fragment, frame)
            _learn(sa, message, message.payloads)
            proof = self._proof(sa, message, message.payloads)
            return Opened(message.payloads, Status.CLEAR, proof=proof)
        return self._open_encrypted(sa, message)

    def _open_encrypted(self, sa: _Sa, message: Message) -> Opened:
        if sa.encryption is None or sa.prf is None:
            if message.initiator_spi in self._secrets:
                why = "the capture does not show its phase 1, which says how it is encrypted"
            else:
                why = f"there is no key for the ISAKMP SA {sa.cookie_i.hex()}"
            return Opened((), Status.NO_KEY, why)
        body = message.encrypted
        size = sa.encryption.block_size
        if len(body) % size:
            detail = f"its {len(body)} octets are no whole blocks of {size}"
            return Opened((), Status.MALFORMED, detail)
        plain = self._decrypt(sa, message)
        blocks = _exchange_blocks(sa, message)
        if body[-size:] not in blocks:
            blocks.append(body[-size:])
        if plain is None:
            if sa.cipher is None:
                detail = f"there is no key for the ISAKMP SA {sa.cookie_i.hex()}"
                return Opened((), Status.NO_KEY, detail)
            proved = _by_its_hash(sa, sa.cipher, message)
            if proved is not None:
                return _odd(message, proved)
            detail = "it holds no payloads: a message before it is missing, or it was changed"
            return Opened((), Status.BAD_ICV, detail, False)
        proof = self._proof(sa, message, plain.payloads)
        authentic = _authentic(sa, message, plain) if proof is None else proof.verified
        _learn(sa, message, plain.payloads)
        if authentic is False:
            detail = f"its {proof or 'HASH does not verify'}"
            return Opened(plain.payloads, Status.BAD_ICV, detail, False, proof=proof)
        return Opened(plain.payloads, Status.DECRYPTED, "", authentic, proof=proof)

    def _decrypt(self, sa: _Sa, message: Message) -> _Plain | None:
        """What the message holds with the SA's key, or with the first that opens it."""
        if sa.cipher is not None:
            return _opened_with(sa, sa.cipher, message)
        for secret, ready in self._keys_for(sa):
            plain = _opened_with(sa, ready, message)
            if plain is not None:
                sa.secret, sa.cipher = secret, ready
                return plain
        return None

    def _keys_for(self, sa: _Sa) -> Iterator[tuple[IkeV1Secret, MessageCipher]]:
        """The keys that may be this SA's: those of its cookie, then candidates of its IV."""
        assert sa.encryption is not None
        initial = set(_initial_ivs(sa))
        bound = (
            bound_v1(one, sa.cookie_i)
            for one in self._candidates
            if not one.initial_iv or one.initial_iv[: sa.encryption.block_size] in initial
        )
        for secret in (*self._secrets.get(sa.cookie_i, ()), *bound):
            if len(secret.key) >= sa.encryption.keymat_size:
                key = secret.key[: sa.encryption.keymat_size]
                ready = MessageCipher(sa.encryption.block_size, cipher(sa.encryption, key))
                yield secret, ready

    def _proof(self, sa: _Sa, message: Message, payloads: tuple[Payload, ...]) -> Proof | None:
        """What became of the HASH or SIG of phase 1, None where there is none to check."""
        if message.message_id or sa.prf is None or len(sa.publics) < 2:
            return None
        one, other = sa.publics[:2]
        exchange = Phase1Exchange(one, other, sa.cookie_i, sa.cookie_r, sa.sa_i)
        # What is in clear may prove something before a first message was decrypted.
        known = (sa.secret,) if sa.secret is not None else self._secrets.get(sa.cookie_i, ())
        skeyid = next((secret.skeyid for secret in known if secret.skeyid), b"")
        nonces, identities = tuple(sa.nonces.get(0, ())), tuple(sa.identities)
        phase = Phase1(sa.prf, sa.method, exchange, nonces, identities, skeyid)
        return phase1_proof(phase, payloads, self._shared)

    def _collect(self, sa: _Sa, message: Message, fragment: Fragment, frame: int) -> Opened:
        """Keep a piece of a message that was cut; what the whole holds with the last one."""
        pieces = sa.pieces.setdefault(fragment.id, {})
        pieces[fragment.number] = (fragment, frame)
        total = next((number for number, (one, _) in pieces.items() if one.last), 0)
        numbers = (fragment.number, total)
        if not total or any(number not in pieces for number in range(1, total + 1)):
            return Opened(message.payloads, Status.FRAGMENT, fragment=numbers)
        del sa.pieces[fragment.id]
        ordered = [pieces[number] for number in range(1, total + 1)]
        frames = tuple(sorted(one for _, one in ordered))
        try:
            whole = decode(b"".join(one.data for one, _ in ordered))
        except Malformed as malformed:
            detail = f"put together, {malformed}"
            return Opened(message.payloads, Status.MALFORMED, detail, None, numbers, frames)
        if whole.major_version != 1 or first(whole.payloads, Fragment) is not None:
            detail = "put together, it is no IKEv1 message"
            return Opened(message.payloads, Status.MALFORMED, detail, None, numbers, frames)
        return self.open(whole, frame)._replace(fragment=numbers, frames=frames)


def _exchange_blocks(sa: _Sa, message: Message) -> deque[bytes]:
    if message.message_id == 0:
        return sa.phase_1
    return sa.exchanges.setdefault(message.message_id, _blocks())


def _initial_ivs(sa: _Sa) -> Iterator[bytes]:
    """The first IV of phase 1: the initiator's public value goes first, whoever that was."""
    if sa.prf is None or sa.encryption is None:
        return
    if len(sa.publics) >= 2:
        one, other = sa.publics[:2]
        yield keys_v1.initial_iv(sa.prf, one, other, sa.encryption)
        yield keys_v1.initial_iv(sa.prf, other, one, sa.encryption)
    if sa.secret is not None and sa.secret.initial_iv:
        yield sa.secret.initial_iv[: sa.encryption.block_size]


def _ivs(sa: _Sa, message: Message) -> Iterator[bytes]:
    """The IVs that a message may have, the likeliest first."""
    assert sa.prf is not None
    assert sa.encryption is not None
    yield from reversed(_exchange_blocks(sa, message))
    if message.message_id == 0:
        yield from _initial_ivs(sa)
        return
    for block in (*reversed(sa.phase_1), *_initial_ivs(sa)):
        yield keys_v1.phase2_iv(sa.prf, block, message.message_id, sa.encryption)


def _opened_with(sa: _Sa, ready: MessageCipher, message: Message) -> _Plain | None:
    for iv in _ivs(sa, message):
        plaintext = ready.decrypt(iv, message.encrypted)
        plain = _plausible(message.first_payload, plaintext)
        if plain is not None:
            return plain
    return None


def _by_its_hash(sa: _Sa, ready: MessageCipher, message: Message) -> bytes | None:
    """The plaintext by the IV with which its HASH verifies, without padding, whatever follows."""
    if message.first_payload != Hash.payload_type or sa.prf is None:
        return None
    if sa.secret is None or not sa.secret.skeyid_a:
        return None
    start = 4 + sa.prf.size
    for iv in _ivs(sa, message):
        plaintext = ready.decrypt(iv, message.encrypted)
        found = Hash(plaintext[4:start])
        for padding in range(min(ready.block_size, len(plaintext) - start) + 1):
            plain = _Plain((), plaintext, padding)
            if _verifies(found.data, _phase_2_hashes(sa, message, plain, found)):
                return plaintext[: len(plaintext) - padding]
    return None


def _odd(message: Message, plaintext: bytes) -> Opened:
    """What is in a plaintext that is its sender's, and that nobody would take for one."""
    try:
        payloads, _ = decode_payloads(1, message.first_payload, plaintext)
    except Malformed as malformed:
        return Opened((), Status.MALFORMED, f"inside HDR*, {malformed}", True)
    return Opened(payloads, Status.DECRYPTED, "", True)


def _plausible(first_payload: int, plaintext: bytes) -> _Plain | None:
    """The payloads, if this is a plaintext at all: a wrong key or IV garbles the first block."""
    try:
        payloads, behind = decode_payloads(1, first_payload, plaintext)
    except Malformed:
        return None
    if not payloads or len(behind) > LONGEST_PADDING:
        return None
    if any(one.flags or one.payload_type not in _KNOWN_TYPES for one in payloads):
        return None
    return _Plain(payloads, plaintext, len(behind))


# -- what a message tells about its SA --------------------------------------------------------


def _learn(sa: _Sa, message: Message, payloads: tuple[Payload, ...]) -> None:
    """Keep algorithms, public values and nonces, which later IVs and hashes are made of."""
    nonce = first(payloads, Nonce)
    if nonce is not None:
        nonces = sa.nonces.setdefault(message.message_id, [])
        if nonce.data not in nonces:
            nonces.append(nonce.data)
    if message.message_id or message.exchange not in _PHASE_1:
        return
    if message.responder_spi != NO_COOKIE:
        sa.cookie_r = message.responder_spi
    identity = first(payloads, Identification)
    if identity is not None and identity.body() not in sa.identities:
        sa.identities.append(identity.body())
    public = first(payloads, KeyExchange)
    if public is not None and public.data not in sa.publics:
        sa.publics.append(public.data)
    association = first(payloads, SecurityAssociation)
    if association is None:
        return
    if message.responder_spi == NO_COOKIE:
        sa.sa_i = sa.sa_i or association.body()
    elif sa.cipher is None:
        _learn_algorithms(sa, association)


def _learn_algorithms(sa: _Sa, chosen: SecurityAssociation) -> None:
    for proposal in chosen.proposals:
        for transform in proposal.transforms:
            number = transform.number_of(Phase1Attribute.ENCRYPTION_ALGORITHM)
            hash_id = transform.number_of(Phase1Attribute.HASH_ALGORITHM)
            bits = transform.number_of(Phase1Attribute.KEY_LENGTH)
            if number is None or hash_id is None:
                continue
            try:
                sa.encryption = encryption_by_phase1_id(number, bits)
                sa.prf = prf_by_hash_id(hash_id)
            except UnknownAlgorithm:
                continue
            sa.method = transform.number_of(Phase1Attribute.AUTHENTICATION_METHOD) or 0
            return


# -- what proves that a message is its sender's -----------------------------------------------


def _authentic(sa: _Sa, message: Message, plain: _Plain) -> bool | None:
    """Whether the HASH payload verifies, None where there is none or a key for it is missing."""
    found = first(plain.payloads, Hash)
    if found is None or sa.secret is None or not message.message_id:
        return None
    if not sa.secret.skeyid_a:
        return None
    if _verifies(found.data, _phase_2_hashes(sa, message, plain, found)):
        return True
    # The hashes of later messages are made with the nonces, which a capture may lack.
    missing = message.exchange == ExchangeType.QUICK_MODE and _lacks_nonces(sa, message, plain)
    return None if missing else False


def _lacks_nonces(sa: _Sa, message: Message, plain: _Plain) -> bool:
    needed = 1 if first(plain.payloads, Nonce) is not None else 2
    is_first = len(_exchange_blocks(sa, message)) <= 1 and needed == 1
    return not is_first and len(sa.nonces.get(message.message_id, ())) < needed


def _verifies(given: bytes, expected: Iterable[bytes]) -> bool:
    return any(hmac.compare_digest(given, one) for one in expected)


def _phase_2_hashes(sa: _Sa, message: Message, plain: _Plain, found: Hash) -> Iterator[bytes]:
    assert sa.prf is not None
    assert sa.secret is not None
    key, number = sa.secret.skeyid_a, message.message_id
    end = len(plain.plaintext) - plain.padding
    rest = plain.plaintext[4 + len(found.data) : end]
    yield keys_v1.quick_mode_hash1(sa.prf, key, number, rest)
    if message.exchange in _HASHED_LIKE_1:
        return
    nonces = sa.nonces.get(number, [])
    if nonces:
        yield keys_v1.quick_mode_hash2(sa.prf, key, number, nonces[0], rest)
    if len(nonces) >= 2:
        yield keys_v1.quick_mode_hash3(sa.prf, key, number, nonces[0], nonces[1])
