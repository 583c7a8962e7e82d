# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 keying material (RFC 7296 section 2.14 to 2.18, RFC 9370, RFC 8784); keys_v1 has IKEv1's.

All inputs and outputs are octets as on the wire. No secret appears in a `repr`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.ike.prfs import prf_output, prf_plus
from harness.ike.transforms import Encryption, Integrity, MacKind, Prf

HALF_KEY = 8


@dataclass(frozen=True, slots=True)
class SaOrigin:
    """What all keys of an exchange are bound to: both nonces and both IKE SPIs (8 bytes each)."""

    nonce_i: bytes
    nonce_r: bytes
    spi_i: bytes
    spi_r: bytes


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The seven keys of an IKE SA; keys of combined algorithms include the salt (RFC 5282 7.1)."""

    d: bytes = field(repr=False)
    ai: bytes = field(repr=False)
    ar: bytes = field(repr=False)
    ei: bytes = field(repr=False)
    er: bytes = field(repr=False)
    pi: bytes = field(repr=False)
    pr: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChildKeys:
    """The keys of a CHILD_SA: what the initiator of the exchange seals with, and the responder.

    Encryption keys include the salt. The initiator is that of the exchange that made the SA.
    """

    encryption_i: bytes = field(repr=False)
    integrity_i: bytes = field(repr=False)
    encryption_r: bytes = field(repr=False)
    integrity_r: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DirectionKeys:
    """What one direction of a pair of ESP SAs is sealed with; the encryption key has the salt."""

    encryption: bytes = field(repr=False)
    integrity: bytes = field(repr=False)


def skeyseed(prf: Prf, nonce_i: bytes, nonce_r: bytes, shared: bytes) -> bytes:
    """SKEYSEED of a first exchange: prf(Ni | Nr, g^ir).

    The two PRFs of AES take 64 bits of each nonce as their key (RFC 7296 section 2.14).
    """
    if prf.kind is not MacKind.HMAC:
        return prf_output(prf, nonce_i[:HALF_KEY] + nonce_r[:HALF_KEY], shared)
    return prf_output(prf, nonce_i + nonce_r, shared)


def rekeyed_skeyseed(
    old_prf: Prf, old_d: bytes, shared: Sequence[bytes], nonce_i: bytes, nonce_r: bytes
) -> bytes:
    """SKEYSEED of a rekeyed IKE SA, with the PRF and SK_d of the old one.

    `shared` holds one secret for each key exchange in order: prf(SK_d, SK(0) | Ni | Nr | SK(1) |
    ...), which with a single one is RFC 7296 section 2.18, with more RFC 9370 section 2.2.4.
    """
    return prf_output(old_prf, old_d, _mixed(shared, nonce_i, nonce_r))


def additional_skeyseed(prf: Prf, d: bytes, shared: bytes, nonce_i: bytes, nonce_r: bytes) -> bytes:
    """SKEYSEED(n) after a key exchange in IKE_INTERMEDIATE: prf(SK_d(n-1), SK(n) | Ni | Nr).

    The nonces are those of IKE_SA_INIT (RFC 9370 section 2.2.2).
    """
    return prf_output(prf, d, shared + nonce_i + nonce_r)


def _mixed(shared: Sequence[bytes], nonce_i: bytes, nonce_r: bytes) -> bytes:
    first = b"".join(shared[:1])
    return first + nonce_i + nonce_r + b"".join(shared[1:])


def ike_keys(
    prf: Prf,
    encryption: Encryption,
    integrity: Integrity | None,
    seed: bytes,
    origin: SaOrigin,
) -> IkeKeys:
    """All SK_ keys from SKEYSEED: prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) (RFC 7296 2.14).

    `integrity` is `None` with a combined algorithm, whose SK_a keys are empty.
    """
    mac = integrity.key_size if integrity else 0
    cipher = encryption.keymat_size
    sizes = (prf.key_size, mac, mac, cipher, cipher, prf.key_size, prf.key_size)
    salt = origin.nonce_i + origin.nonce_r + origin.spi_i + origin.spi_r
    return IkeKeys(*_cut(prf_plus(prf, seed, salt, sum(sizes)), sizes))


def child_keys(
    prf: Prf,
    d: bytes,
    encryption: Encryption | None,
    integrity: Integrity | None,
    nonce_i: bytes,
    nonce_r: bytes,
    shared: Sequence[bytes] = (),
) -> ChildKeys:
    """The keys of a CHILD_SA: prf+(SK_d, [SK(0)] | Ni | Nr | [SK(1) ...]) (RFC 7296 2.17).

    `shared` is empty without a key exchange of its own; more than one is RFC 9370 section
    2.2.4. `encryption` is `None` for AH. Nonces are those of the exchange that makes the SA.
    """
    cipher = encryption.keymat_size if encryption else 0
    mac = integrity.key_size if integrity else 0
    sizes = (cipher, mac, cipher, mac)
    keymat = prf_plus(prf, d, _mixed(shared, nonce_i, nonce_r), sum(sizes))
    return ChildKeys(*_cut(keymat, sizes))


def _cut(material: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    """Consecutive pieces of those sizes."""
    pieces = []
    start = 0
    for size in sizes:
        pieces.append(material[start : start + size])
        start += size
    return pieces
