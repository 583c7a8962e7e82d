# SPDX-License-Identifier: GPL-2.0-or-later
"""RSASSA-PSS with the salt as a parameter (RFC 8017 section 8.1), for runs from a seed.

The library draws the salt by itself. Verification is the library's; only signing is here.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

TRAILER = b"\xbc"
HASH_PREFIX = bytes(8)


class KeyTooShort(ValueError):
    """An RSA modulus has no room for the hash and the salt; the message says the sizes."""


def _mask(seed: bytes, size: int, hash_name: str) -> bytes:
    """MGF1 (RFC 8017 appendix B.2.1)."""
    mask = b""
    counter = 0
    while len(mask) < size:
        mask += hashlib.new(hash_name, seed + counter.to_bytes(4, "big")).digest()
        counter += 1
    return mask[:size]


def _encode(message: bytes, bits: int, salt: bytes, hash_name: str) -> bytes:
    """EMSA-PSS-ENCODE for an encoded message of `bits` bits (RFC 8017 section 9.1.1)."""
    digest = hashlib.new(hash_name, message).digest()
    size = (bits + 7) // 8
    if size < len(digest) + len(salt) + 2:
        raise KeyTooShort(f"An RSA key of {bits + 1} bits is too short for PSS with {hash_name}.")
    check = hashlib.new(hash_name, HASH_PREFIX + digest + salt).digest()
    block = bytes(size - len(salt) - len(digest) - 2) + b"\x01" + salt
    mask = _mask(check, len(block), hash_name)
    masked = int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")
    masked &= (1 << (8 * len(block) - (8 * size - bits))) - 1
    return masked.to_bytes(len(block), "big") + check + TRAILER


def _private_operation(key: RSAPrivateKey, message: int) -> int:
    """RSASP1 through the Chinese remainder theorem (RFC 8017 section 5.2.1)."""
    numbers = key.private_numbers()
    first = pow(message, numbers.dmp1, numbers.p)
    second = pow(message, numbers.dmq1, numbers.q)
    quotient = (first - second) * numbers.iqmp % numbers.p
    return second + quotient * numbers.q


def sign_pss(key: RSAPrivateKey, message: bytes, salt: bytes, hash_name: str) -> bytes:
    """The signature with that salt; `hash_name` serves message and mask. Raises KeyTooShort."""
    encoded = _encode(message, key.key_size - 1, salt, hash_name)
    signature = _private_operation(key, int.from_bytes(encoded, "big"))
    return signature.to_bytes((key.key_size + 7) // 8, "big")
