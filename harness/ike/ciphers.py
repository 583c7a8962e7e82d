# SPDX-License-Identifier: GPL-2.0-or-later
"""Encryption without authentication: CBC, CTR and NULL over every block cipher of IPsec.

Keys come as keying material does: the key and then, for CTR, its salt. Lengths are bytes.
"""

import warnings
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher as LibraryCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.ike.transforms import CipherKind, Encryption

with warnings.catch_warnings():
    # The old ciphers are the point here; the library's advice against them is known.
    warnings.simplefilter("ignore")
    from cryptography.hazmat.decrepit.ciphers.algorithms import (
        CAST5,
        Blowfish,
        Camellia,
        TripleDES,
    )

BlockCipher = AES | Camellia | TripleDES | Blowfish | CAST5

# RFC 3686 section 4: the block counter of a packet starts at one.
FIRST_COUNTER = (1).to_bytes(4, "big")


class WrongKeyLength(ValueError):
    """A key does not have the length of its algorithm; the message says both lengths."""


class Cipher(Protocol):
    """Encrypts and decrypts whole texts; each call stands alone."""

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """The ciphertext, as long as `plaintext`, which the caller has padded to blocks."""
        ...

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """The plaintext; raises ValueError when the length is not a whole number of blocks."""
        ...


@dataclass(frozen=True, slots=True)
class CbcCipher:
    """Cipher block chaining (RFC 2451, 3602)."""

    block_cipher: BlockCipher = field(repr=False)

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """See Cipher."""
        context = LibraryCipher(self.block_cipher, modes.CBC(iv)).encryptor()
        return context.update(plaintext) + context.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """See Cipher."""
        context = LibraryCipher(self.block_cipher, modes.CBC(iv)).decryptor()
        return context.update(ciphertext) + context.finalize()


@dataclass(frozen=True, slots=True)
class CtrCipher:
    """Counter mode with a salt from the keying material (RFC 3686, RFC 5930)."""

    block_cipher: AES = field(repr=False)
    salt: bytes = field(repr=False)

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """See Cipher."""
        counter = modes.CTR(self.salt + iv + FIRST_COUNTER)
        return LibraryCipher(self.block_cipher, counter).encryptor().update(plaintext)

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """See Cipher."""
        return self.encrypt(iv, ciphertext)


@dataclass(frozen=True, slots=True)
class NullCipher:
    """No encryption (RFC 2410)."""

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """See Cipher."""
        return plaintext

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """See Cipher."""
        return ciphertext


def check_key(algorithm: Encryption, key: bytes) -> None:
    """Raise WrongKeyLength unless `key` is the key and salt of `algorithm`."""
    if len(key) != algorithm.keymat_size:
        raise WrongKeyLength(
            f"{algorithm.name} takes {algorithm.keymat_size} bytes of key and salt, "
            f"not {len(key)}; check the key length of the proposal or of the SA."
        )


def _block_cipher(algorithm: Encryption, key: bytes) -> BlockCipher:
    match algorithm.cipher:
        case "aes":
            return algorithms.AES(key)
        case "camellia":
            return Camellia(key)
        case "des":
            # EDE with three equal keys is single DES.
            return TripleDES(key * 3)
        case "3des":
            return TripleDES(key)
        case "blowfish":
            return Blowfish(key)
        case "cast":
            return CAST5(key)
        case other:
            raise ValueError(f"{algorithm.name} has no block cipher called {other!r}.")


def cipher(algorithm: Encryption, key: bytes) -> Cipher:
    """A cipher ready for use; `key` is the key and then the salt if there is one.

    Raises WrongKeyLength, and ValueError for an algorithm that authenticates by itself
    (harness.ike.protection serves those).
    """
    check_key(algorithm, key)
    if algorithm.kind is CipherKind.NULL:
        return NullCipher()
    if algorithm.combined:
        raise ValueError(f"{algorithm.name} authenticates; use harness.ike.protection for it.")
    if algorithm.kind is CipherKind.CTR:
        return CtrCipher(AES(key[: algorithm.key_size]), key[algorithm.key_size :])
    return CbcCipher(_block_cipher(algorithm, key))
