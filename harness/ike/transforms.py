# SPDX-License-Identifier: GPL-2.0-or-later
"""Every algorithm once: its numbers in IKEv1 and IKEv2, its sizes, its name in each dialect.

`ENCRYPTIONS`, `INTEGRITIES`, `PRFS`, `KEY_EXCHANGES` and `SEQUENCE_NUMBERS` hold every record;
the functions below find one by number or by name. The tables are written in
`harness.ike.algorithms`. Key lengths are bits, sizes bytes.
"""

from collections.abc import Iterator
from typing import TypeVar

from harness.ike.algorithm_records import (
    CipherKind,
    Dialect,
    Encryption,
    GroupKind,
    Integrity,
    KeyExchange,
    MacKind,
    Names,
    Prf,
    SequenceNumbers,
)
from harness.ike.algorithms import (
    ENCRYPTIONS,
    ESN,
    INTEGRITIES,
    KEY_EXCHANGES,
    NO_ESN,
    PRFS,
    SEQUENCE_NUMBERS,
)

__all__ = [
    "ENCRYPTIONS",
    "ESN",
    "INTEGRITIES",
    "KEY_EXCHANGES",
    "NO_ESN",
    "PRFS",
    "SEQUENCE_NUMBERS",
    "CipherKind",
    "Dialect",
    "Encryption",
    "GroupKind",
    "Integrity",
    "KeyExchange",
    "MacKind",
    "Names",
    "Prf",
    "SequenceNumbers",
    "UnknownAlgorithm",
    "encryption",
    "encryption_by_esp_id",
    "encryption_by_id",
    "encryption_by_phase1_id",
    "encryption_named",
    "integrity",
    "integrity_by_ah_id",
    "integrity_by_auth_id",
    "integrity_by_id",
    "integrity_named",
    "key_exchange",
    "key_exchange_by_id",
    "key_exchange_named",
    "prf",
    "prf_by_hash_id",
    "prf_by_id",
    "prf_named",
    "sequence_numbers_by_id",
]


class UnknownAlgorithm(LookupError):
    """No record has that number or name; the message says which and where it was looked for."""


Record = TypeVar("Record", Encryption, Integrity, Prf, KeyExchange)


def _first(records: Iterator[Record], what: str) -> Record:
    for record in records:
        return record
    raise UnknownAlgorithm(f"No algorithm is known as {what}; see harness.ike.transforms.")


def _spelled(record: Record, dialect: Dialect | None, name: str) -> bool:
    if dialect is None:
        return record.name == name
    return record.names.of(dialect) == name or name in record.names.also


def _named(records: tuple[Record, ...], dialect: Dialect | None, name: str) -> Iterator[Record]:
    """Records called `name`, those that use it as their own word before mere spellings."""
    if dialect is not None:
        yield from (r for r in records if r.names.of(dialect) == name)
    yield from (r for r in records if _spelled(r, dialect, name))


def encryption(name: str) -> Encryption:
    """The encryption of that name, such as `AES_GCM_16_256`; raises UnknownAlgorithm."""
    return _first(_named(ENCRYPTIONS, None, name), f"encryption {name!r}")


def encryption_named(
    dialect: Dialect, name: str, key_bits: int | None = None, icv_bits: int | None = None
) -> Encryption:
    """The encryption that `dialect` calls `name`.

    Dialects whose names leave the key length (without salt) or the ICV length open need
    `key_bits` and `icv_bits`; without them the first record of that name is returned, which is
    the default of that dialect (128 bits). Raises UnknownAlgorithm.
    """
    found = (
        record
        for record in _named(ENCRYPTIONS, dialect, name)
        if (key_bits is None or record.key_bits == key_bits)
        and (icv_bits is None or record.icv_size * 8 == icv_bits)
    )
    return _first(found, f"encryption {name!r} ({key_bits} bits) in {dialect}")


def _by_number(field: str, number: int, key_bits: int | None) -> Encryption:
    """The first record of that number: without a key length, the default of 128 bits."""
    found = (
        record
        for record in ENCRYPTIONS
        if getattr(record, field) == number and key_bits in (None, record.key_bits)
    )
    return _first(found, f"encryption {field} {number} with key length {key_bits}")


def encryption_by_id(number: int, key_bits: int | None = None) -> Encryption:
    """The encryption of an IKEv2 ENCR transform (RFC 7296 3.3.2); raises UnknownAlgorithm."""
    return _by_number("id", number, key_bits)


def encryption_by_phase1_id(number: int, key_bits: int | None = None) -> Encryption:
    """The encryption of an IKEv1 phase 1 attribute (RFC 2409 appendix A)."""
    return _by_number("phase1_id", number, key_bits)


def encryption_by_esp_id(number: int, key_bits: int | None = None) -> Encryption:
    """The encryption of an IKEv1 phase 2 ESP transform (RFC 2407 section 4.4.4)."""
    return _by_number("esp_id", number, key_bits)


def integrity(name: str) -> Integrity:
    """The integrity algorithm of that name, such as `HMAC_SHA2_256_128`."""
    return _first(_named(INTEGRITIES, None, name), f"integrity {name!r}")


def integrity_named(dialect: Dialect, name: str, icv_bits: int | None = None) -> Integrity:
    """The integrity algorithm that `dialect` calls `name`, with that truncation if given."""
    found = (
        record
        for record in _named(INTEGRITIES, dialect, name)
        if icv_bits in (None, record.icv_bits)
    )
    return _first(found, f"integrity {name!r} in {dialect}")


def integrity_by_id(number: int) -> Integrity:
    """The integrity algorithm of an IKEv2 INTEG transform; raises UnknownAlgorithm."""
    return _first((r for r in INTEGRITIES if r.id == number), f"integrity transform {number}")


def integrity_by_auth_id(number: int) -> Integrity:
    """The integrity algorithm of an IPsec DOI attribute (RFC 2407 section 4.5)."""
    return _first((r for r in INTEGRITIES if r.auth_id == number), f"authentication {number}")


def integrity_by_ah_id(number: int) -> Integrity:
    """The integrity algorithm of an IKEv1 AH transform (RFC 2407 section 4.4.3)."""
    return _first((r for r in INTEGRITIES if r.ah_id == number), f"AH transform {number}")


def prf(name: str) -> Prf:
    """The PRF of that name, such as `HMAC_SHA2_256`; raises UnknownAlgorithm."""
    return _first(_named(PRFS, None, name), f"PRF {name!r}")


def prf_named(dialect: Dialect, name: str) -> Prf:
    """The PRF, or for IKEv1 the hash, that `dialect` calls `name`."""
    return _first(_named(PRFS, dialect, name), f"PRF {name!r} in {dialect}")


def prf_by_id(number: int) -> Prf:
    """The PRF of an IKEv2 PRF transform; raises UnknownAlgorithm."""
    return _first((r for r in PRFS if r.id == number), f"PRF transform {number}")


def prf_by_hash_id(number: int) -> Prf:
    """The PRF of an IKEv1 phase 1 Hash Algorithm attribute (RFC 2409 appendix A)."""
    return _first((r for r in PRFS if r.hash_id == number), f"hash algorithm {number}")


def key_exchange(name: str) -> KeyExchange:
    """The key exchange method of that name, such as `MODP_2048` or `X25519`."""
    return _first(_named(KEY_EXCHANGES, None, name), f"key exchange {name!r}")


def key_exchange_named(dialect: Dialect, name: str) -> KeyExchange:
    """The key exchange method that `dialect` calls `name`; raises UnknownAlgorithm."""
    return _first(_named(KEY_EXCHANGES, dialect, name), f"key exchange {name!r}")


def key_exchange_by_id(number: int) -> KeyExchange:
    """The method of an IKEv2 KE transform or an IKEv1 Group Description."""
    return _first((r for r in KEY_EXCHANGES if r.id == number), f"key exchange method {number}")


def sequence_numbers_by_id(number: int) -> SequenceNumbers:
    """The meaning of an ESN transform; raises UnknownAlgorithm."""
    for record in SEQUENCE_NUMBERS:
        if record.id == number:
            return record
    raise UnknownAlgorithm(f"No sequence number transform has the id {number}; use 0 or 1.")
