# SPDX-License-Identifier: GPL-2.0-or-later
"""Message authentication codes, untruncated: HMAC, AES-XCBC, AES-CMAC and KAME's keyed hashes."""

import hashlib
import hmac
from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from harness.ike.ciphers import WrongKeyLength
from harness.ike.transforms import Integrity, MacKind

Mac = Callable[[bytes], bytes]

BLOCK = 16
ZERO_BLOCK = bytes(BLOCK)


def _encrypt_block(key: bytes, block: bytes) -> bytes:
    return Cipher(AES(key), modes.ECB()).encryptor().update(block)


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")


def aes_xcbc(key: bytes) -> Mac:
    """AES-XCBC-MAC with a 16-byte key, giving 16 bytes (RFC 3566 section 4)."""
    first, second, third = (_encrypt_block(key, bytes([n]) * BLOCK) for n in (1, 2, 3))
    block_cipher = AES(first)

    def mac(message: bytes) -> bytes:
        whole = max(len(message) - 1, 0) // BLOCK * BLOCK
        last = message[whole:]
        if len(last) == BLOCK:
            last = _xor(last, second)
        else:
            last = _xor((last + b"\x80").ljust(BLOCK, b"\0"), third)
        chain = Cipher(block_cipher, modes.CBC(ZERO_BLOCK)).encryptor()
        return chain.update(message[:whole] + last)[-BLOCK:]

    return mac


def aes_cmac(key: bytes) -> Mac:
    """AES-CMAC with a 16-byte key, giving 16 bytes (RFC 4493)."""
    start = CMAC(AES(key))

    def mac(message: bytes) -> bytes:
        context = start.copy()
        context.update(message)
        return context.finalize()

    return mac


def keyed_hash(name: str, key: bytes) -> Mac:
    """The hash of key, fill, message and key again (RFC 1828, RFC 1852) as KAME computes it.

    The fill is MD5's own padding of the key. For SHA-1 KAME kept the length in MD5's byte order,
    which RFC 1852 does not; this follows KAME, because its peers are the only ones there are.
    """
    fill = b"\x80" + bytes(-(len(key) + 9) % 64) + (len(key) * 8).to_bytes(8, "little")
    start = hashlib.new(name, key + fill)

    def mac(message: bytes) -> bytes:
        context = start.copy()
        context.update(message)
        context.update(key)
        return context.digest()

    return mac


def hmac_of(name: str, key: bytes) -> Mac:
    """HMAC with the hash `name` (RFC 2104); the key may have any length."""
    return partial(_hmac, key, name)


def _hmac(key: bytes, name: str, message: bytes) -> bytes:
    return hmac.digest(key, message, name)


def _nothing(message: bytes) -> bytes:
    return b""


def integrity_check(algorithm: Integrity, key: bytes) -> Mac:
    """The function from a message to its ICV, truncated as `algorithm` says.

    Raises WrongKeyLength for a key that is not of the algorithm's fixed length (RFC 7296 2.13).
    """
    if len(key) != algorithm.key_size:
        raise WrongKeyLength(
            f"{algorithm.name} takes a key of {algorithm.key_size} bytes, not {len(key)}; "
            "check the keys of the SA."
        )
    match algorithm.kind:
        case MacKind.HMAC:
            whole = hmac_of(algorithm.hash, key)
        case MacKind.KEYED:
            whole = keyed_hash(algorithm.hash, key)
        case MacKind.XCBC:
            whole = aes_xcbc(key)
        case MacKind.CMAC:
            whole = aes_cmac(key)
        case MacKind.NONE:
            return _nothing
    size = algorithm.icv_size

    def icv(message: bytes) -> bytes:
        return whole(message)[:size]

    return icv
