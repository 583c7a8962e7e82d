# SPDX-License-Identifier: GPL-2.0-or-later
"""Pseudorandom functions and prf+ (RFC 7296 section 2.13; RFC 4434 and 4615 for those of AES)."""

import hashlib
import hmac

from harness.ike.macs import Mac, aes_cmac, aes_xcbc
from harness.ike.transforms import MacKind, Prf

AES_KEY = 16
MOST_BLOCKS = 255


def _aes_key(algorithm: Prf, key: bytes) -> bytes:
    """Any key made into one of 16 bytes, as RFC 4434 section 2 and RFC 4615 section 3 say."""
    if len(key) == AES_KEY:
        return key
    if algorithm.kind is MacKind.CMAC:
        return aes_cmac(bytes(AES_KEY))(key)
    if len(key) < AES_KEY:
        return key.ljust(AES_KEY, b"\0")
    return aes_xcbc(bytes(AES_KEY))(key)


def _aes_mac(algorithm: Prf, key: bytes) -> Mac:
    make = aes_cmac if algorithm.kind is MacKind.CMAC else aes_xcbc
    return make(_aes_key(algorithm, key))


def prf_output(algorithm: Prf, key: bytes, data: bytes) -> bytes:
    """prf(key, data): `algorithm.size` bytes, for a key of any length."""
    if algorithm.kind is MacKind.HMAC:
        return hmac.digest(key, data, algorithm.hash)
    return _aes_mac(algorithm, key)(data)


def prf_plus(algorithm: Prf, key: bytes, seed: bytes, size: int) -> bytes:
    """The first `size` bytes of prf+(key, seed) (RFC 7296 section 2.13).

    Raises ValueError beyond 255 blocks, which the construction does not reach.
    """
    if size > MOST_BLOCKS * algorithm.size:
        raise ValueError(
            f"prf+ with {algorithm.name} gives at most {MOST_BLOCKS * algorithm.size} bytes, "
            f"not {size}; ask for less keying material."
        )
    stream = b""
    block = b""
    counter = 0
    while len(stream) < size:
        counter += 1
        block = prf_output(algorithm, key, block + seed + bytes([counter]))
        stream += block
    return stream[:size]


def hash_output(algorithm: Prf, data: bytes) -> bytes:
    """The IKEv1 negotiated hash itself over `data`, which makes IVs (RFC 2409 appendix B).

    Raises ValueError for a PRF that is no HMAC; IKEv1 does not have those.
    """
    if algorithm.kind is not MacKind.HMAC:
        raise ValueError(f"{algorithm.name} has no hash; IKEv1 needs an HMAC.")
    return hashlib.new(algorithm.hash, data).digest()
