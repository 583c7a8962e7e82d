# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys ready to open what somebody else sealed, also where nothing can check the ICV.

Like `harness.ike.protection`, but for opening alone, and so faster: a capture has many packets.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, modes

from harness.ike.ciphers import CbcCipher, cipher
from harness.ike.macs import Mac, integrity_check
from harness.ike.protection import IntegrityFailure, protection
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, CipherKind, Encryption, Integrity

Decrypt = Callable[[bytes, bytes], bytes]
"""From IV and ciphertext to plaintext."""


class Unsealing(Protocol):
    """Keys of one direction of an SA; see `harness.ike.protection.Protection`."""

    @property
    def combined(self) -> bool:
        """Whether encryption and integrity are one algorithm."""
        ...

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """The plaintext of a sealed body; raises IntegrityFailure."""
        ...


@dataclass(frozen=True, slots=True)
class SeparateUnsealing:
    """A cipher and an ICV of `icv_size` octets, which is passed over where `icv` is None."""

    iv_size: int
    icv_size: int
    block_size: int
    decrypt: Decrypt = field(repr=False)
    icv: Mac | None = field(repr=False)
    combined: bool = False

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Unsealing."""
        end = len(body) - self.icv_size
        if end < self.iv_size:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        if self.icv is not None and not hmac.compare_digest(
            self.icv(associated + body[:end] + suffix), body[end:]
        ):
            raise IntegrityFailure("The ICV does not match.")
        if (end - self.iv_size) % self.block_size:
            raise IntegrityFailure("The ciphertext is not a whole number of blocks.")
        return self.decrypt(body[: self.iv_size], body[self.iv_size : end])


def _chained_cbc(made: CbcCipher) -> Decrypt:
    """CBC decryption with one context for all packets: making one takes most of the time.

    A block of CBC depends on the ciphertext block before it alone. So the IV is given as if it
    were ciphertext: what comes out for it means nothing, what follows is the plaintext.
    """
    size = made.block_cipher.block_size // 8
    context = Cipher(made.block_cipher, modes.CBC(bytes(size))).decryptor()

    def decrypt(iv: bytes, ciphertext: bytes) -> bytes:
        return context.update(iv + ciphertext)[size:]

    return decrypt


def unsealing(
    encryption: Encryption,
    key: bytes,
    integrity: Integrity | None,
    integrity_key: bytes,
    unchecked_icv: int = 0,
) -> Unsealing:
    """The keys of one direction ready for use; raises WrongKeyLength and ValueError.

    `unchecked_icv` is the size in octets of an ICV to pass over.
    """
    if encryption.combined:
        return protection(encryption, key)
    made = cipher(encryption, key)
    decrypt = _chained_cbc(made) if isinstance(made, CbcCipher) else made.decrypt
    icv, size = None, unchecked_icv
    if not unchecked_icv and integrity is not None:
        icv, size = integrity_check(integrity, integrity_key), integrity.icv_size
    return SeparateUnsealing(encryption.iv_size, size, encryption.block_size, decrypt, icv)


def fitting(
    key_size: int, integrity_key_size: int
) -> Iterator[tuple[Encryption, Integrity | None]]:
    """Every pair of algorithms whose keys have these sizes, for keys of unknown algorithms."""
    for encryption in ENCRYPTIONS:
        if encryption.keymat_size != key_size or encryption.kind is CipherKind.NULL:
            continue
        if encryption.combined:
            if not integrity_key_size:
                yield encryption, None
            continue
        for integrity in INTEGRITIES:
            if integrity.key_size == integrity_key_size and integrity.icv_size:
                yield encryption, integrity
