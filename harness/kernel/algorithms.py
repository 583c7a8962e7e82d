# SPDX-License-Identifier: GPL-2.0-or-later
"""An SA's algorithms: the kernel's name for each, its key, and the size of its check value."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from harness.kernel.errors import MalformedMessage
from harness.kernel.structures import ALGORITHM, ALGORITHM_AEAD, ALGORITHM_AUTH, Layout

LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm of an SA by the kernel's name, ``rfc4106(gcm(aes))``, with its key.

    `icv_bits` is the size of the integrity check value: that of an AEAD, or the length that an
    integrity algorithm is cut to, 0 for the kernel's own choice; encryption and compression have 0.
    The key of an AEAD or a counter mode ends in its salt or nonce, as the kernel wants it.
    """

    name: str
    key: bytes = field(default=b"", repr=False)
    icv_bits: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode()) <= LONGEST_NAME:
            raise ValueError(
                f"{self.name!r} is no algorithm name: the kernel takes 1 to {LONGEST_NAME} bytes"
            )

    def __str__(self) -> str:
        key = f" with a key of {len(self.key) * 8} bits" if self.key else ""
        icv = f", ICV {self.icv_bits} bits" if self.icv_bits else ""
        return f"{self.name}{key}{icv}"

    def as_json(self) -> dict[str, Any]:
        """The algorithm as plain values, the key in hexadecimal."""
        return {"name": self.name, "key": self.key.hex(), "icv_bits": self.icv_bits}


def read_algorithm(data: bytes) -> Algorithm:
    """The algorithm in an xfrm_algo (encryption, compression); raises MalformedMessage."""
    record = ALGORITHM.unpack(data)
    return Algorithm(_name(record.name), _key(ALGORITHM, record.key_bits, data))


def read_integrity(data: bytes) -> Algorithm:
    """The algorithm in an xfrm_algo_auth; raises MalformedMessage."""
    record = ALGORITHM_AUTH.unpack(data)
    key = _key(ALGORITHM_AUTH, record.key_bits, data)
    return Algorithm(_name(record.name), key, record.trunc_bits)


def read_aead(data: bytes) -> Algorithm:
    """The algorithm in an xfrm_algo_aead; raises MalformedMessage."""
    record = ALGORITHM_AEAD.unpack(data)
    key = _key(ALGORITHM_AEAD, record.key_bits, data)
    return Algorithm(_name(record.name), key, record.icv_bits)


def write_algorithm(algorithm: Algorithm) -> bytes:
    """The algorithm as an xfrm_algo."""
    name = algorithm.name.encode()
    return ALGORITHM.pack(name=name, key_bits=len(algorithm.key) * 8) + algorithm.key


def write_integrity(algorithm: Algorithm) -> bytes:
    """The algorithm as an xfrm_algo_auth."""
    name, bits = algorithm.name.encode(), len(algorithm.key) * 8
    icv_bits = algorithm.icv_bits
    return ALGORITHM_AUTH.pack(name=name, key_bits=bits, trunc_bits=icv_bits) + algorithm.key


def write_aead(algorithm: Algorithm) -> bytes:
    """The algorithm as an xfrm_algo_aead."""
    name, bits = algorithm.name.encode(), len(algorithm.key) * 8
    return (
        ALGORITHM_AEAD.pack(name=name, key_bits=bits, icv_bits=algorithm.icv_bits) + algorithm.key
    )


@lru_cache(maxsize=256)
def _name(data: bytes) -> str:
    name = data.split(b"\0", 1)[0]
    if not name or len(name) > LONGEST_NAME or not name.isascii():
        raise MalformedMessage(f"{name!r} is no algorithm name")
    return name.decode("ascii")


def _key(layout: Layout, bits: int, data: bytes) -> bytes:
    size = (bits + 7) // 8
    if size > len(data) - layout.size:
        raise MalformedMessage(
            f"a key of {bits} bits does not fit in the {len(data) - layout.size} bytes left for it"
        )
    return data[layout.size : layout.size + size]
