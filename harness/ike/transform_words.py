# SPDX-License-Identifier: GPL-2.0-or-later
"""Transforms of proposals in the RFCs' words, or as numbers where no RFC that we know has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike.names import hyphened, name_of
from harness.ike.transforms import (
    UnknownAlgorithm,
    encryption_by_esp_id,
    encryption_by_id,
    encryption_by_phase1_id,
    integrity_by_auth_id,
    integrity_by_id,
    key_exchange_by_id,
    prf_by_hash_id,
    prf_by_id,
    sequence_numbers_by_id,
)

Words = Callable[[int], str]
"""From a number to words; raises UnknownAlgorithm."""


def _group(number: int) -> str:
    return key_exchange_by_id(number).rfc_name


_V2: Mapping[int, Words] = MappingProxyType(
    {
        n2.TransformType.ENCR: lambda number: encryption_by_id(number).rfc_name,
        n2.TransformType.PRF: lambda number: prf_by_id(number).rfc_name,
        n2.TransformType.INTEG: lambda number: integrity_by_id(number).rfc_name,
        n2.TransformType.KE: _group,
        n2.TransformType.SN: lambda number: sequence_numbers_by_id(number).name,
    }
)
_PHASE_1: Mapping[int, Words] = MappingProxyType(
    {
        n1.Phase1Attribute.ENCRYPTION_ALGORITHM: lambda number: _bare(
            encryption_by_phase1_id(number).rfc_name
        ),
        n1.Phase1Attribute.HASH_ALGORITHM: lambda number: _bare(prf_by_hash_id(number).rfc_name),
        n1.Phase1Attribute.AUTHENTICATION_METHOD: lambda number: hyphened(
            n1.AuthenticationMethod, number
        ),
        n1.Phase1Attribute.GROUP_DESCRIPTION: _group,
        n1.Phase1Attribute.LIFE_TYPE: lambda number: hyphened(n1.LifeType, number),
    }
)
_IPSEC: Mapping[int, Words] = MappingProxyType(
    {
        n1.IpsecAttribute.AUTHENTICATION_ALGORITHM: lambda number: _bare(
            integrity_by_auth_id(number).rfc_name
        ),
        n1.IpsecAttribute.ENCAPSULATION_MODE: lambda number: hyphened(n1.EncapsulationMode, number),
        n1.IpsecAttribute.GROUP_DESCRIPTION: _group,
        n1.IpsecAttribute.SA_LIFE_TYPE: lambda number: hyphened(n1.LifeType, number),
    }
)


def transform_v2(kind: int, number: int, key_length: int | None) -> str:
    """A transform of IKEv2: `ENCR_AES_CBC/128`, `PRF_HMAC_SHA2_256`, or `ENCR=65001`."""
    words = _words(_V2.get(kind), number) or f"{name_of(n2.TransformType, kind)}={number}"
    return words if key_length is None else f"{words}/{key_length}"


def attribute_v1(protocol: int, kind: int, number: int | None) -> str:
    """An attribute of a transform of IKEv1: `HASH-ALGORITHM=SHA2-256`, `KEY-LENGTH=256`."""
    if protocol == n1.ProtocolId.ISAKMP:
        name, words = hyphened(n1.Phase1Attribute, kind), _PHASE_1.get(kind)
    else:
        name, words = hyphened(n1.IpsecAttribute, kind), _IPSEC.get(kind)
    return f"{name}={'' if number is None else _words(words, number) or number}"


def transform_id_v1(protocol: int, number: int) -> str:
    """What a transform of IKEv1 is: `KEY-IKE`, `AES-CBC`, or its number."""
    if protocol == n1.ProtocolId.ISAKMP:
        return hyphened(n1.TransformId, number)
    if protocol == n1.ProtocolId.IPSEC_ESP:
        return _words(lambda one: _bare(encryption_by_esp_id(one).rfc_name), number) or str(number)
    return str(number)


def _words(words: Words | None, number: int) -> str:
    try:
        return "" if words is None else words(number)
    except UnknownAlgorithm:
        return ""


def _bare(rfc_name: str) -> str:
    """IKEv1 has the same names without IKEv2's prefixes, and with hyphens."""
    for prefix in ("ENCR_", "PRF_HMAC_", "AUTH_"):
        rfc_name = rfc_name.removeprefix(prefix)
    return rfc_name.replace("_", "-")
