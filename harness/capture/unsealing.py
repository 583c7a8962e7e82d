# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys ready to open what somebody else sealed, also where nothing can check the ICV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.ike.ciphers import Cipher, cipher
from harness.ike.protection import IntegrityFailure, Protection, protection
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, CipherKind, Encryption, Integrity


@dataclass(frozen=True, slots=True)
class UncheckedProtection:
    """Decrypts and passes over an ICV whose key or algorithm nobody gave."""

    iv_size: int
    icv_size: int
    alignment: int
    cipher: Cipher = field(repr=False)
    combined: bool = False

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """See Protection; the ICV is zero."""
        return iv + self.cipher.encrypt(iv, plaintext) + bytes(self.icv_size)

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        end = len(body) - self.icv_size
        if end < self.iv_size:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        ciphertext = body[self.iv_size : end]
        if len(ciphertext) % self.alignment:
            raise IntegrityFailure("The ciphertext is not a whole number of blocks.")
        return self.cipher.decrypt(body[: self.iv_size], ciphertext)


def unsealing(
    encryption: Encryption,
    key: bytes,
    integrity: Integrity | None,
    integrity_key: bytes,
    unchecked_icv: int = 0,
) -> Protection:
    """The keys of one direction ready for use; raises WrongKeyLength and ValueError.

    `unchecked_icv` is the size in octets of an ICV to pass over.
    """
    if unchecked_icv and not encryption.combined:
        return UncheckedProtection(
            encryption.iv_size, unchecked_icv, encryption.block_size, cipher(encryption, key)
        )
    return protection(encryption, key, None if encryption.combined else integrity, integrity_key)


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
