# SPDX-License-Identifier: GPL-2.0-or-later
"""Security associations as bodies and attributes of NETLINK_XFRM messages, and back."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from socket import AF_INET
from typing import Any, TypeVar

from harness.kernel.addresses import ANY, family_of, read_address, write_address
from harness.kernel.algorithms import (
    Algorithm,
    read_aead,
    read_algorithm,
    read_integrity,
    write_aead,
    write_algorithm,
    write_integrity,
)
from harness.kernel.errors import MalformedMessage
from harness.kernel.lifetimes import read_lifetimes, read_usage, write_lifetimes, write_usage
from harness.kernel.messages import Attributes
from harness.kernel.numbers import (
    ENCAPSULATIONS,
    MODES,
    PROTOCOLS,
    SA_DIRECTIONS,
    Attribute,
    SaExtraFlag,
    SaFlag,
    number,
    word,
)
from harness.kernel.replay import (
    Replay,
    needs_long_form,
    read_long_replay,
    read_replay,
    write_long_replay,
    write_replay,
)
from harness.kernel.sa import Encapsulation, Faults, Mark, SaId, SecurityAssociation
from harness.kernel.selector import read_selector, write_selector
from harness.kernel.structures import (
    ENCAPSULATION,
    ID,
    MARK,
    SA_ID,
    SA_INFO,
    SELECTOR,
    STATISTICS,
)

T = TypeVar("T")
U8 = struct.Struct("=B")
U32 = struct.Struct("=I")
U64 = struct.Struct("=Q")
EVERY_BIT = 0xFFFFFFFF
USUAL = frozenset(
    (
        Attribute.ALG_AEAD,
        Attribute.ALG_AUTH,
        Attribute.ALG_AUTH_TRUNC,
        Attribute.ALG_CRYPT,
        Attribute.LASTUSED,
        Attribute.REPLAY_ESN_VAL,
        Attribute.REPLAY_VAL,
        Attribute.SA,
    )
)
"""The attributes that nearly every SA comes with, and what holds it in news of its end."""


def read_sa(body: bytes, attributes: Attributes) -> SecurityAssociation:
    """The SA in an xfrm_usersa_info and its attributes; raises MalformedMessage."""
    info = SA_INFO.unpack(body)
    identity = ID.unpack(info.id)
    family = info.family or AF_INET
    esn, flags = _read_flags(info.flags)
    # Looked for only where there is any: there is an SA with each event.
    unusual = {} if attributes.keys() <= USUAL else _read_unusual(attributes, family)
    return SecurityAssociation(
        spi=identity.spi,
        source=read_address(info.saddr, family),
        destination=read_address(identity.daddr, family),
        protocol=word(PROTOCOLS, identity.proto),
        mode=word(MODES, info.mode),
        reqid=info.reqid,
        selector=read_selector(info.sel, family) if any(info.sel) else None,
        encryption=_optional(attributes, Attribute.ALG_CRYPT, read_algorithm),
        integrity=_read_integrity(attributes),
        aead=_optional(attributes, Attribute.ALG_AEAD, read_aead),
        lifetimes=read_lifetimes(info.lft),
        current=read_usage(info.curlft),
        replay=_read_replay(attributes, info.replay_window),
        esn=esn,
        flags=flags,
        statistics=_read_faults(info.stats),
        acquire_sequence=info.seq,
        last_used=read_number(attributes, Attribute.LASTUSED, U64),
        **unusual,
    )


def write_sa(sa: SecurityAssociation) -> tuple[dict[str, Any], list[tuple[Attribute, bytes]]]:
    """The SA as the fields of an xfrm_usersa_info and attributes; raises ValueError.

    The counters that only the kernel keeps (`current`, `statistics`, `last_used`) are written too
    where the message has room for them: the kernel ignores them in a request.
    """
    long_replay = needs_long_form(sa.replay, sa.esn)
    body = SA_INFO.values(
        sel=write_selector(sa.selector) if sa.selector else bytes(SELECTOR.size),
        id=ID.pack(
            daddr=write_address(sa.destination), spi=sa.spi, proto=number(PROTOCOLS, sa.protocol)
        ),
        saddr=write_address(sa.source),
        lft=write_lifetimes(sa.lifetimes),
        curlft=write_usage(sa.current),
        stats=STATISTICS.pack(
            replay_window=sa.statistics.outside_window,
            replay=sa.statistics.replayed,
            integrity_failed=sa.statistics.not_authentic,
        ),
        seq=sa.acquire_sequence,
        reqid=sa.reqid,
        family=sa.family,
        mode=number(MODES, sa.mode),
        replay_window=0 if long_replay else sa.replay.window,
        flags=sa.flags | (SaFlag.ESN if sa.esn else 0),
    )
    return body, list(_attributes_of(sa, long_replay).items())


def read_sa_id(body: bytes, attributes: Attributes) -> SaId:
    """The identity in an xfrm_usersa_id; raises MalformedMessage."""
    record = SA_ID.unpack(body)
    return SaId(
        spi=record.spi,
        destination=read_address(record.daddr, record.family),
        protocol=word(PROTOCOLS, record.proto),
        mark=read_mark(attributes),
    )


def write_sa_id(sa: SaId) -> tuple[dict[str, Any], list[tuple[Attribute, bytes]]]:
    """The identity as the fields of an xfrm_usersa_id and attributes."""
    body = {
        "daddr": write_address(sa.destination),
        "spi": sa.spi,
        "family": family_of(sa.destination),
        "proto": number(PROTOCOLS, sa.protocol),
    }
    return body, [(Attribute.MARK, write_mark(sa.mark))] if sa.mark else []


# -- the attributes that policies have too --------------------------------------------------------


def read_number(attributes: Attributes, attribute: Attribute, form: struct.Struct) -> int | None:
    """The number in an attribute, None where it is missing; raises MalformedMessage."""
    data = attributes.get(attribute)
    if data is None:
        return None
    if len(data) < form.size:
        raise MalformedMessage(
            f"attribute {attribute.name} has {len(data)} bytes instead of {form.size}"
        )
    value: int = form.unpack_from(data)[0]
    return value


def read_u32(attributes: Attributes, attribute: Attribute) -> int | None:
    """The 32-bit number in an attribute, None where it is missing; raises MalformedMessage."""
    return read_number(attributes, attribute, U32)


def write_u32(attribute: Attribute, value: int) -> bytes:
    """A 32-bit number as the payload of an attribute; raises ValueError when it does not fit."""
    try:
        return U32.pack(value)
    except struct.error:
        raise ValueError(f"attribute {attribute.name} has no room for {value!r}") from None


def read_mark(attributes: Attributes) -> Mark | None:
    """The mark, None where there is none; raises MalformedMessage."""
    data = attributes.get(Attribute.MARK)
    return None if data is None else Mark(*MARK.unpack(data))


def write_mark(mark: Mark) -> bytes:
    """The mark as an xfrm_mark."""
    return MARK.pack(value=mark.value, mask=mark.mask)


# -- parts of an SA -------------------------------------------------------------------------------


def _attributes_of(sa: SecurityAssociation, long_replay: bool) -> Mapping[Attribute, bytes]:
    attributes: dict[Attribute, bytes] = {}
    if sa.aead:
        attributes[Attribute.ALG_AEAD] = write_aead(sa.aead)
    if sa.integrity:
        kind = Attribute.ALG_AUTH_TRUNC if sa.integrity.icv_bits else Attribute.ALG_AUTH
        write = write_integrity if sa.integrity.icv_bits else write_algorithm
        attributes[kind] = write(sa.integrity)
    if sa.encryption:
        attributes[Attribute.ALG_CRYPT] = write_algorithm(sa.encryption)
    if sa.compression:
        attributes[Attribute.ALG_COMP] = write_algorithm(sa.compression)
    if sa.encapsulation:
        attributes[Attribute.ENCAP] = _write_encapsulation(sa.encapsulation)
    if long_replay:
        attributes[Attribute.REPLAY_ESN_VAL] = write_long_replay(sa.replay)
    elif sa.replay != Replay(sa.replay.window):
        attributes[Attribute.REPLAY_VAL] = write_replay(sa.replay)
    if sa.mark:
        attributes[Attribute.MARK] = write_mark(sa.mark)
    if sa.output_mark:
        attributes[Attribute.SET_MARK] = write_u32(Attribute.SET_MARK, sa.output_mark.value)
        attributes[Attribute.SET_MARK_MASK] = write_u32(
            Attribute.SET_MARK_MASK, sa.output_mark.mask
        )
    if sa.if_id is not None:
        attributes[Attribute.IF_ID] = write_u32(Attribute.IF_ID, sa.if_id)
    if sa.extra_flags:
        attributes[Attribute.SA_EXTRA_FLAGS] = write_u32(Attribute.SA_EXTRA_FLAGS, sa.extra_flags)
    if sa.tfc_padding:
        attributes[Attribute.TFCPAD] = write_u32(Attribute.TFCPAD, sa.tfc_padding)
    if sa.direction:
        attributes[Attribute.SA_DIR] = U8.pack(number(SA_DIRECTIONS, sa.direction))
    if sa.care_of:
        attributes[Attribute.COADDR] = write_address(sa.care_of)
    return attributes


def _read_unusual(attributes: Attributes, family: int) -> dict[str, Any]:
    return {
        "compression": _optional(attributes, Attribute.ALG_COMP, read_algorithm),
        "extra_flags": _read_extra_flags(read_u32(attributes, Attribute.SA_EXTRA_FLAGS) or 0),
        "mark": read_mark(attributes),
        "output_mark": _read_output_mark(attributes),
        "if_id": read_u32(attributes, Attribute.IF_ID),
        "encapsulation": _optional(attributes, Attribute.ENCAP, _encapsulation_of(family)),
        "direction": _read_direction(attributes),
        "tfc_padding": read_u32(attributes, Attribute.TFCPAD) or 0,
        "care_of": _optional(attributes, Attribute.COADDR, lambda data: read_address(data, family)),
    }


def _optional(attributes: Attributes, kind: Attribute, read: Callable[[bytes], T]) -> T | None:
    data = attributes.get(kind)
    return None if data is None else read(data)


@lru_cache(maxsize=256)
def _read_flags(octet: int) -> tuple[bool, SaFlag]:
    flags = SaFlag(octet)
    return SaFlag.ESN in flags, flags & ~SaFlag.ESN


@lru_cache(maxsize=256)
def _read_extra_flags(bits: int) -> SaExtraFlag:
    return SaExtraFlag(bits)


@lru_cache(maxsize=256)
def _read_faults(data: bytes) -> Faults:
    return Faults(*STATISTICS.unpack(data))


def _read_integrity(attributes: Attributes) -> Algorithm | None:
    # The kernel sends the older form beside the one that knows the truncation.
    truncated = attributes.get(Attribute.ALG_AUTH_TRUNC)
    if truncated is not None:
        return read_integrity(truncated)
    return _optional(attributes, Attribute.ALG_AUTH, read_algorithm)


def _read_replay(attributes: Attributes, window: int) -> Replay:
    extended = attributes.get(Attribute.REPLAY_ESN_VAL)
    if extended is not None:
        return read_long_replay(extended)
    plain = attributes.get(Attribute.REPLAY_VAL)
    return Replay(window) if plain is None else read_replay(plain, window)


def _read_output_mark(attributes: Attributes) -> Mark | None:
    value = read_u32(attributes, Attribute.SET_MARK)
    if value is None:
        return None
    mask = read_u32(attributes, Attribute.SET_MARK_MASK)
    # Kernels before 4.19 know no mask: they set the whole mark.
    return Mark(value, EVERY_BIT if mask is None else mask)


def _read_direction(attributes: Attributes) -> str | None:
    value = read_number(attributes, Attribute.SA_DIR, U8)
    return word(SA_DIRECTIONS, value) if value else None


def _encapsulation_of(family: int) -> Callable[[bytes], Encapsulation]:
    def read(data: bytes) -> Encapsulation:
        record = ENCAPSULATION.unpack(data)
        return Encapsulation(
            type=word(ENCAPSULATIONS, record.encap_type),
            source_port=record.sport,
            destination_port=record.dport,
            original_address=read_address(record.oa, family) if any(record.oa) else ANY,
        )

    return read


def _write_encapsulation(encapsulation: Encapsulation) -> bytes:
    return ENCAPSULATION.pack(
        encap_type=number(ENCAPSULATIONS, encapsulation.type),
        sport=encapsulation.source_port,
        dport=encapsulation.destination_port,
        oa=write_address(encapsulation.original_address),
    )
