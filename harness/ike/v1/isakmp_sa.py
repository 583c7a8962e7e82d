# SPDX-License-Identifier: GPL-2.0-or-later
"""One ISAKMP SA: its keys, and the sealing and opening of messages under them (RFC 2409 5, B).

The IV of a message is the last block of the one before it in its exchange; the first of a phase 2
exchange has hash(last block of phase 1 | message id). Nothing here moves a chain: the caller does,
once a message has been found good.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from harness.ike.chance import Draw, Purpose
from harness.ike.constants_v1 import Flag
from harness.ike.keys_v1 import (
    MessageCipher,
    Phase1Keys,
    cipher_key,
    informational_hash,
    message_cipher,
    phase2_iv,
)
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import Hash
from harness.ike.v1.configuration import Padding
from harness.ike.v1.phase1_proposals import Phase1Choice
from harness.ike.v1.refusal import Ignored
from harness.ike.wire import Message, decode_payloads, encode, encode_payloads

HashOf = Callable[[bytes], bytes]
"""The HASH of a phase 2 message from all that follows the HASH payload."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was in an encrypted message: payloads, what they were in octets, and the next IV."""

    payloads: tuple[Payload, ...]
    plaintext: bytes = field(repr=False)
    iv: bytes


@dataclass(frozen=True, slots=True)
class IsakmpSa:
    """The secrets that protect messages between two cookies."""

    cookie_i: bytes
    cookie_r: bytes
    choice: Phase1Choice
    keys: Phase1Keys
    cipher: MessageCipher
    cipher_key: bytes = field(repr=False)

    @property
    def cookies(self) -> bytes:
        """Both cookies: the SPI of an ISAKMP SA in notifies and deletes."""
        return self.cookie_i + self.cookie_r

    def first_iv(self, phase1_iv: bytes, message_id: int) -> bytes:
        """The IV of the first message of a phase 2 exchange."""
        return phase2_iv(self.choice.hash, phase1_iv, message_id, self.choice.encryption)

    def informational_hash(self, message_id: int) -> HashOf:
        """HASH(1) of an Informational Exchange with that message id."""
        return lambda rest: informational_hash(self.choice.hash, self.keys.a, message_id, rest)

    def seal(
        self,
        message: Message,
        iv: bytes,
        padding: Padding | bytes,
        draw: Draw,
        hash_of: HashOf | None,
    ) -> tuple[bytes, bytes]:
        """The octets of a message, and the IV that follows; `hash_of` puts a HASH in front.

        A message that begins with a HASH keeps it. Header fields stay as they are. Raises
        `Unencodable`.
        """
        payloads = message.payloads
        if hash_of is not None and not (payloads and isinstance(payloads[0], Hash)):
            payloads = (Hash(hash_of(encode_payloads(payloads)[1])), *payloads)
        first, plaintext = encode_payloads(payloads)
        padded = plaintext + _padding(self.cipher.block_size, len(plaintext), padding, draw)
        ciphertext = self.cipher.encrypt(iv, padded)
        sealed = replace(
            message,
            payloads=(),
            encrypted=ciphertext,
            next_payload=first if message.next_payload is None else message.next_payload,
        )
        return encode(sealed), self.cipher.next_iv(ciphertext)

    def open(self, message: Message, iv: bytes) -> Opened:
        """What an encrypted message says; raises `Ignored` where that makes no sense."""
        try:
            plaintext = self.cipher.decrypt(iv, message.encrypted)
            payloads, padding = decode_payloads(1, message.first_payload, plaintext)
        except (Malformed, ValueError) as error:
            raise Ignored(
                f"a message that cannot be decrypted ({error}); do both ends have one secret?"
            ) from None
        size = len(plaintext) - len(padding)
        return Opened(payloads, plaintext[:size], self.cipher.next_iv(message.encrypted))


def build_isakmp_sa(
    cookie_i: bytes, cookie_r: bytes, choice: Phase1Choice, keys: Phase1Keys
) -> IsakmpSa:
    """The ISAKMP SA that these keys make."""
    ka = cipher_key(choice.hash, keys.e, choice.encryption)
    cipher = message_cipher(choice.hash, keys.e, choice.encryption)
    return IsakmpSa(cookie_i, cookie_r, choice, keys, cipher, ka)


def authentic_payloads(opened: Opened, hash_of: HashOf) -> tuple[Payload, ...]:
    """The payloads behind the HASH of a phase 2 message; raises `Ignored` unless it is right."""
    first = opened.payloads[0] if opened.payloads else None
    if not isinstance(first, Hash):
        raise Ignored("a phase 2 message that does not begin with a HASH")
    expected = hash_of(opened.plaintext[4 + len(first.data) :])
    if not hmac.compare_digest(expected, first.data):
        raise Ignored("a phase 2 message whose HASH is wrong")
    return opened.payloads[1:]


def is_encrypted(message: Message) -> bool:
    """Whether the encryption flag is set."""
    return bool(message.flags & Flag.ENCRYPTION)


def _padding(block: int, size: int, style: Padding | bytes, draw: Draw) -> bytes:
    """One octet to a whole block, as racoon and strongSwan add where none is needed."""
    if isinstance(style, bytes):
        return style + bytes(-(size + len(style)) % block)
    count = block - size % block
    if style is Padding.ZERO:
        return bytes(count)
    return draw(Purpose.PADDING, count - 1) + bytes([count - 1])
