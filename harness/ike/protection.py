# SPDX-License-Identifier: GPL-2.0-or-later
"""Sealing and opening of packets, one interface for every algorithm, for IKE and ESP alike.

A sealed body is IV, ciphertext and ICV (RFC 7296 section 3.14, RFC 4303 section 2). For
algorithms with separate integrity the ICV covers `associated`, IV, ciphertext and `suffix`; for
combined ones `associated` is the AAD and `suffix` must be empty.
"""

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as LibraryCipher
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.ike.ciphers import Cipher, check_key, cipher
from harness.ike.macs import Mac, integrity_check
from harness.ike.transforms import CipherKind, Encryption, Integrity

FULL_TAG = 16


class IntegrityFailure(Exception):
    """A body is too short or its ICV does not match; the message says which."""


class Protection(Protocol):
    """Keys of one direction of an SA, ready to seal or to open.

    `alignment` is what padded plaintext must be a multiple of; `combined` whether the algorithm
    authenticates by itself. All sizes are bytes.
    """

    @property
    def iv_size(self) -> int:
        """Length of the IV that goes with each packet."""
        ...

    @property
    def icv_size(self) -> int:
        """Length of the ICV at the end."""
        ...

    @property
    def alignment(self) -> int:
        """What the length of the plaintext must be a multiple of."""
        ...

    @property
    def combined(self) -> bool:
        """Whether encryption and integrity are one algorithm."""
        ...

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """IV, ciphertext and ICV in one; `iv` has `iv_size` bytes."""
        ...

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """The plaintext of a sealed body; raises IntegrityFailure."""
        ...


@dataclass(frozen=True, slots=True)
class SeparateProtection:
    """Encrypt, then authenticate (RFC 7296 section 3.14, RFC 4303 section 3.3.2.1)."""

    iv_size: int
    icv_size: int
    alignment: int
    cipher: Cipher = field(repr=False)
    icv: Mac = field(repr=False)
    combined: bool = False

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        body = iv + self.cipher.encrypt(iv, plaintext)
        return body + self.icv(associated + body + suffix)

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        end = len(body) - self.icv_size
        if end < self.iv_size:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        if not hmac.compare_digest(self.icv(associated + body[:end] + suffix), body[end:]):
            raise IntegrityFailure("The ICV does not match.")
        ciphertext = body[self.iv_size : end]
        if len(ciphertext) % self.alignment:
            raise IntegrityFailure("The ciphertext is not a whole number of blocks.")
        return self.cipher.decrypt(body[: self.iv_size], ciphertext)


@dataclass(frozen=True, slots=True)
class AeadProtection:
    """AES-GCM and AES-CCM with any ICV that the library makes, and ChaCha20-Poly1305."""

    icv_size: int
    aead: AESGCM | AESCCM | ChaCha20Poly1305 = field(repr=False)
    salt: bytes = field(repr=False)
    iv_size: int = 8
    alignment: int = 1
    combined: bool = True

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        return iv + self.aead.encrypt(self.salt + iv, plaintext, associated)

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        if len(body) < 8 + self.icv_size:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        try:
            return self.aead.decrypt(self.salt + body[:8], body[8:], associated)
        except InvalidTag:
            raise IntegrityFailure("The ICV does not match.") from None


@dataclass(frozen=True, slots=True)
class ShortGcmProtection:
    """AES-GCM with an ICV of 8 or 12 bytes, a truncation of the full one (RFC 4106 section 6)."""

    icv_size: int
    aead: AESGCM = field(repr=False)
    block_cipher: AES = field(repr=False)
    salt: bytes = field(repr=False)
    iv_size: int = 8
    alignment: int = 1
    combined: bool = True

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        sealed = self.aead.encrypt(self.salt + iv, plaintext, associated)
        return iv + sealed[: self.icv_size - FULL_TAG]

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        end = len(body) - self.icv_size
        if end < 8:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        mode = modes.GCM(self.salt + body[:8], body[end:], min_tag_length=self.icv_size)
        context = LibraryCipher(self.block_cipher, mode).decryptor()
        context.authenticate_additional_data(associated)
        try:
            return context.update(body[8:end]) + context.finalize()
        except InvalidTag:
            raise IntegrityFailure("The ICV does not match.") from None


@dataclass(frozen=True, slots=True)
class GmacProtection:
    """Authentication alone with AES-GMAC; IV and payload are part of the AAD (RFC 4543)."""

    aead: AESGCM = field(repr=False)
    salt: bytes = field(repr=False)
    iv_size: int = 8
    icv_size: int = FULL_TAG
    alignment: int = 1
    combined: bool = True

    def seal(self, associated: bytes, iv: bytes, plaintext: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        body = iv + plaintext
        return body + self.aead.encrypt(self.salt + iv, b"", associated + body)

    def open(self, associated: bytes, body: bytes, suffix: bytes = b"") -> bytes:
        """See Protection."""
        end = len(body) - FULL_TAG
        if end < 8:
            raise IntegrityFailure("The body is shorter than its IV and ICV.")
        try:
            self.aead.decrypt(self.salt + body[:8], body[end:], associated + body[:end])
        except InvalidTag:
            raise IntegrityFailure("The ICV does not match.") from None
        return body[8:end]


def protection(
    encryption: Encryption, key: bytes, integrity: Integrity | None = None, mac_key: bytes = b""
) -> Protection:
    """The protection of one direction, from keys as they come out of the keying material.

    `key` is the key and then the salt. `integrity` is `None` for combined algorithms, and for
    plain encryption without integrity as old ESP had it (RFC 2406). Raises WrongKeyLength, and
    ValueError when a combined algorithm comes with an integrity algorithm.
    """
    check_key(encryption, key)
    if not encryption.combined:
        return SeparateProtection(
            encryption.iv_size,
            integrity.icv_size if integrity else 0,
            encryption.block_size,
            cipher(encryption, key),
            integrity_check(integrity, mac_key) if integrity else _no_icv,
        )
    if integrity is not None and integrity.icv_size:
        raise ValueError(
            f"{encryption.name} authenticates by itself; propose no {integrity.name} with it."
        )
    bare, salt = key[: encryption.key_size], key[encryption.key_size :]
    match encryption.kind:
        case CipherKind.CHACHA:
            return AeadProtection(FULL_TAG, ChaCha20Poly1305(bare), salt)
        case CipherKind.CCM:
            size = encryption.icv_size
            return AeadProtection(size, AESCCM(bare, tag_length=size), salt)
        case CipherKind.GMAC:
            return GmacProtection(AESGCM(bare), salt)
        case _ if encryption.icv_size == FULL_TAG:
            return AeadProtection(FULL_TAG, AESGCM(bare), salt)
        case _:
            return ShortGcmProtection(encryption.icv_size, AESGCM(bare), AES(bare), salt)


def _no_icv(message: bytes) -> bytes:
    return b""
