# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages and payloads in the words of the RFCs, for ladders, logs and errors.

`headline` names a message (`IKE_SA_INIT request 0`), `notation` a payload as the RFCs' exchange
diagrams write it (`N(COOKIE)`, `IDi`), `describe` a payload with its fields on one line. Secrets
and long data are never spelled out: octets beyond 20 appear as their count.
"""

from __future__ import annotations

from ipaddress import ip_address

from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.distinguished_names import read_name
from harness.ike.names import flag_names, hyphened, name_of
from harness.ike.payload import Forged, Payload, RawPayload, is_critical
from harness.ike.transform_words import attribute_v1, transform_id_v1, transform_v2
from harness.ike.vendor_ids import vendor_name
from harness.ike.wire import Message

_SHOWN = 20
_TEXT_IDS_1 = {n1.IdType.FQDN, n1.IdType.USER_FQDN}
_TEXT_IDS_2 = {n2.IdType.FQDN, n2.IdType.RFC822_ADDR}


def headline(message: Message) -> str:
    """Exchange, role and message id: `Quick Mode 6b2f0c11` or `IKE_AUTH response 1`."""
    if message.major_version == 1:
        name = hyphened(n1.ExchangeType, message.exchange)
        mark = "" if message.message_id == 0 else f" {message.message_id:08x}"
        flags = flag_names(n1.Flag, message.flags)
        return f"{name}{mark}" + ("" if flags == "-" else f" [{flags}]")
    if message.major_version == 2:
        role = "response" if message.flags & n2.Flag.RESPONSE else "request"
        return f"{name_of(n2.ExchangeType, message.exchange)} {role} {message.message_id}"
    return f"version {message.major_version}.{message.version & 15}, exchange {message.exchange}"


def notation(payload: Payload) -> str:
    """The payload as an RFC's exchange diagram writes it."""
    match payload:
        case Forged(payload=inner):
            return f"{notation(inner)}!"
        case v2.Notify():
            return f"N({name_of(n2.NotifyType, payload.notify_type)})"
        case v1.Notification():
            return f"N({hyphened(n1.NotifyType, payload.notify_type)})"
        case v2.Nonce():
            return "Nonce"
        case v2.EncryptedFragment():
            return f"SKF({payload.number}/{payload.total})"
        case v1.Fragment():
            return f"FRAG({payload.number}{', last' if payload.last else ''})"
        case v2.Configuration():
            return f"CP({name_of(n2.CfgType, payload.cfg_type)})"
        case v1.ModeConfig():
            return f"ATTR({hyphened(n1.CfgType, payload.cfg_type)})"
        case v1.VendorId() | v2.VendorId():
            name = vendor_name(payload.data)
            return "VID" if name is None else f"VID({name})"
        case v1.NatDetection():
            return "NAT-D"
        case v1.NatOriginalAddress():
            return "NAT-OA"
    return _announced(payload.payload_type)


def describe(payload: Payload) -> str:
    """The payload with its fields on one line, algorithms by number."""
    critical = " critical" if _is_v2(payload) and is_critical(payload) else ""
    fields = _fields(payload)
    return f"{notation(payload)}{critical}" + (f": {fields}" if fields else "")


def octets(data: bytes) -> str:
    """Short data as hex, longer data as its size."""
    return data.hex() or "empty" if len(data) <= _SHOWN else f"{len(data)} octets"


def identity(id_type: int, data: bytes, version: int = 2) -> str:
    """An identity as people write it: an address, a name (RFC 4514 if distinguished), else hex."""
    texts = _TEXT_IDS_1 if version == 1 else _TEXT_IDS_2
    if id_type in texts and data.isascii() and data.decode("ascii").isprintable():
        return data.decode("ascii")
    if id_type == n2.IdType.DER_ASN1_DN:
        name = read_name(data)
        text = name.rfc4514_string() if name else ""
        return text if text and text.isprintable() else octets(data)
    # Address types carry one address, or in IKEv1 two: a subnet with its mask, or a range.
    try:
        if (id_type, len(data)) in {(1, 4), (5, 16)}:
            return str(ip_address(data))
        half = len(data) // 2
        if version == 1 and (id_type, len(data)) in {(4, 8), (6, 32)}:
            return f"{ip_address(data[:half])}/{ip_address(data[half:])}"
        if version == 1 and (id_type, len(data)) in {(7, 8), (8, 32)}:
            return f"{ip_address(data[:half])}-{ip_address(data[half:])}"
    except ValueError:  # pragma: no cover - the sizes above are those of addresses
        pass
    return octets(data)


def _is_v2(payload: Payload) -> bool:
    return 33 <= payload.payload_type <= 127


def _announced(payload_type: int) -> str:
    known = n2.PayloadType if payload_type > 32 and payload_type < 128 else n1.PayloadType
    name = name_of(known, payload_type)
    return f"payload {name}" if name.isdigit() else name.replace("_", "-")


def _fields(payload: Payload) -> str:
    match payload:
        case Forged(payload=inner):
            told = [
                f"{label} {value}"
                for label, value in (
                    ("announced as", payload.announced_as),
                    ("next payload", payload.next_payload),
                    ("length", payload.length),
                )
                if value is not None
            ]
            return ", ".join([_fields(inner), *told]).lstrip(", ")
        case RawPayload():
            return octets(payload.data)
    return _fields_v2(payload) if _is_v2(payload) else _fields_v1(payload)


def _fields_v2(payload: Payload) -> str:
    match payload:
        case v2.SecurityAssociation():
            return "; ".join(_proposal_v2(one) for one in payload.proposals)
        case v2.KeyExchange():
            return f"method {payload.group}, {len(payload.data)} octets"
        case v2.Identification():
            kind = name_of(n2.IdType, payload.id_type)
            return f"{kind} {identity(payload.id_type, payload.data)}"
        case v2.Certificate() | v2.CertificateRequest():
            return f"{name_of(n2.CertEncoding, payload.encoding)}, {len(payload.data)} octets"
        case v2.Authentication():
            return f"{name_of(n2.AuthMethod, payload.method)}, {len(payload.data)} octets"
        case v2.Notify():
            about = f"{name_of(n2.ProtocolId, payload.protocol)} SPI {payload.spi.hex()}"
            told = [about] if payload.spi else []
            return ", ".join(told + ([octets(payload.data)] if payload.data else []))
        case v2.Delete():
            name = name_of(n2.ProtocolId, payload.protocol)
            return " ".join([name, *(spi.hex() for spi in payload.spis)])
        case v2.TrafficSelectors():
            return ", ".join(_selector(one) for one in payload.selectors)
        case v2.Encrypted() | v2.EncryptedFragment():
            return f"first {_announced(payload.first_payload)}, {len(payload.data)} octets"
        case v2.Configuration():
            return ", ".join(
                f"{name_of(n2.CfgAttribute, one.type)}={octets(one.value)}"
                for one in payload.attributes
            )
        case v2.Eap():
            code = "no code" if payload.code is None else name_of(n2.EapCode, payload.code)
            return code if payload.method is None else f"{code}, type {payload.method}"
    return octets(payload.body())


def _fields_v1(payload: Payload) -> str:
    match payload:
        case v1.SecurityAssociation():
            if payload.opaque:
                return f"{name_of(n1.Doi, payload.doi)} DOI, {octets(payload.opaque)}"
            return "; ".join(_proposal_v1(one) for one in payload.proposals)
        case v1.Identification():
            kind = name_of(n1.IdType, payload.id_type)
            who = identity(payload.id_type, payload.data, 1)
            return f"{kind} {who}, protocol {payload.protocol}, port {payload.port}"
        case v1.Certificate():
            return f"{name_of(n1.CertEncoding, payload.encoding)}, {len(payload.data)} octets"
        case v1.CertificateRequest():
            return f"{name_of(n1.CertEncoding, payload.encoding)}, {octets(payload.authority)}"
        case v1.Notification():
            about = f"{hyphened(n1.ProtocolId, payload.protocol)} SPI {payload.spi.hex()}"
            return ", ".join([about, *([octets(payload.data)] if payload.data else [])])
        case v1.Delete():
            name = hyphened(n1.ProtocolId, payload.protocol)
            return " ".join([name, *(spi.hex() for spi in payload.spis)])
        case v1.ModeConfig():
            # A value may be a user's password, so that only names are told.
            names = (hyphened(n1.CfgAttribute, one.type) for one in payload.attributes)
            return " ".join([f"id {payload.identifier}", *names])
        case v1.NatOriginalAddress():
            return identity(payload.id_type, payload.data, 1)
        case v1.Fragment():
            return f"id {payload.id}, {len(payload.data)} octets"
    return octets(payload.body())


def _proposal_v2(proposal: v2.Proposal[v2.Transform]) -> str:
    transforms = (transform_v2(one.type, one.id, one.key_length) for one in proposal.transforms)
    protocol = name_of(n2.ProtocolId, proposal.protocol)
    return _proposal(proposal.number, protocol, proposal.spi) + " ".join(transforms)


def _proposal_v1(proposal: v1.Proposal[v1.Transform]) -> str:
    transforms = ", ".join(
        " ".join(
            (
                f"T{one.number}({transform_id_v1(proposal.protocol, one.id)})",
                *(attribute_v1(proposal.protocol, e.type, e.number) for e in one.attributes),
            )
        )
        for one in proposal.transforms
    )
    name = hyphened(n1.ProtocolId, proposal.protocol)
    return _proposal(proposal.number, name, proposal.spi) + transforms


def _proposal(number: int, protocol: str, spi: bytes) -> str:
    return f"{number} {protocol} " + (f"SPI {spi.hex()} " if spi else "")


def _selector(selector: v2.TrafficSelector | v2.RawSelector) -> str:
    if isinstance(selector, v2.RawSelector):
        return f"{name_of(n2.TsType, selector.type)} {octets(selector.data)}"
    try:
        addresses = f"{selector.start_address}-{selector.end_address}"
    except ValueError:
        addresses = f"{octets(selector.start)}-{octets(selector.end)}"
    protocol = f" protocol {selector.protocol}" if selector.protocol else ""
    ports = (selector.start_port, selector.end_port)
    return f"{addresses}{protocol}" + (
        "" if ports == (0, 65535) else f" ports {ports[0]}-{ports[1]}"
    )
