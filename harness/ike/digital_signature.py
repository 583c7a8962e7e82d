# SPDX-License-Identifier: GPL-2.0-or-later
"""What an AUTH payload of method 14, Digital Signature, carries (RFC 7427 3)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ike.malformed import Malformed, Unencodable


@dataclass(frozen=True, slots=True)
class DigitalSignature:
    """The algorithm as a DER AlgorithmIdentifier, and the signature it made."""

    algorithm: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The authentication data; raises `Unencodable` for an algorithm over 255 octets."""
        if len(self.algorithm) > 255:
            raise Unencodable(
                f"an AlgorithmIdentifier of {len(self.algorithm)} octets has no length octet"
            )
        return len(self.algorithm).to_bytes(1, "big") + self.algorithm + self.signature


def decode_digital_signature(data: bytes) -> DigitalSignature:
    """The two parts of authentication data; raises `Malformed`."""
    if not data:
        raise Malformed("no octets", 0, "a length octet", "7427 3")
    size = data[0]
    if 1 + size > len(data):
        raise Malformed(
            f"ASN.1 length {size}", 0, f"at most {len(data) - 1}, the octets left", "7427 3"
        )
    return DigitalSignature(data[1 : 1 + size], data[1 + size :])


def decode_hash_algorithms(data: bytes) -> tuple[int, ...]:
    """The numbers in a SIGNATURE_HASH_ALGORITHMS notify, two octets each; raises `Malformed`."""
    if len(data) % 2:
        raise Malformed(f"{len(data)} octets", 0, "two octets for each algorithm", "7427 4")
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
