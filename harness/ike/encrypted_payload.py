# SPDX-License-Identifier: GPL-2.0-or-later
"""The body of IKEv2's Encrypted and Encrypted Fragment payloads (RFC 7296 section 3.14, RFC 7383).

The ICV covers the message from the start of the IKE header, so the caller encodes everything up
to the IV with final lengths first: `sealed_size` tells what to write.
"""

from harness.ike.key_exchange import Randomness
from harness.ike.protection import IntegrityFailure, Protection

PAD_LENGTH_SIZE = 1
MOST_PADDING = 255


def _padding_size(protection: Protection, size: int) -> int:
    return -(size + PAD_LENGTH_SIZE) % protection.alignment


def sealed_size(protection: Protection, size: int, extra_padding: int = 0) -> int:
    """Bytes of IV, ciphertext and ICV for inner payloads of `size` bytes.

    `extra_padding` bytes, which hide the length, are a multiple of the block size.
    """
    padding = _padding_size(protection, size) + extra_padding
    return protection.iv_size + size + padding + PAD_LENGTH_SIZE + protection.icv_size


def seal_payloads(
    protection: Protection, prefix: bytes, inner: bytes, iv: bytes, extra_padding: int = 0
) -> bytes:
    """IV, ciphertext and ICV of the inner payloads, to go right after `prefix`.

    `prefix` is the message from the IKE header to the end of the Encrypted payload's header (for
    a fragment: of its fragment numbers), with final lengths. `iv` has `protection.iv_size` bytes
    and, for combined algorithms and CTR, must never repeat under the key. Raises ValueError for
    more than 255 bytes of padding.
    """
    padding = _padding_size(protection, len(inner)) + extra_padding
    if padding > MOST_PADDING:
        raise ValueError(f"An Encrypted payload has at most 255 bytes of padding, not {padding}.")
    return protection.seal(prefix, iv, inner + bytes(padding) + bytes([padding]))


def open_payloads(protection: Protection, prefix: bytes, body: bytes) -> bytes:
    """The inner payloads of a sealed body, without padding.

    Raises IntegrityFailure, also for a pad length beyond the plaintext: a peer that knows the
    keys and pads wrongly is treated as one that does not.
    """
    plaintext = protection.open(prefix, body)
    if not plaintext or plaintext[-1] >= len(plaintext):
        raise IntegrityFailure("The pad length is longer than the plaintext.")
    return plaintext[: len(plaintext) - plaintext[-1] - PAD_LENGTH_SIZE]


def fresh_iv(protection: Protection, counter: int, randomness: Randomness) -> bytes:
    """An IV for the message with that number: a counter where uniqueness is all, else random.

    CBC wants an unpredictable IV (RFC 3602 section 3), the others one that never repeats (RFC
    4106 section 3.1): give each sealed message or fragment its own `counter`.
    """
    if protection.alignment > 1:
        return randomness(protection.iv_size)
    return counter.to_bytes(protection.iv_size, "big") if protection.iv_size else b""
