# SPDX-License-Identifier: GPL-2.0-or-later
"""The payloads of IKEv2, one frozen dataclass each (RFC 7296 3.2 to 3.16, RFC 7383).

Every class has `payload_type`, `flags` (critical bit and reserved bits of its header) and
`body()`. SA is in `sa_v2`, TSi and TSr in `traffic_selectors`, CP in `configuration`; they are
listed here too, so that `harness.ike.payloads_v2` is the one module to import. `reserved` fields
have 24 bits unless a class says otherwise. All data is in network order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import ClassVar

from harness.ike.attributes import Attribute
from harness.ike.configuration import (
    Configuration,
    ConfigurationAttribute,
    decode_configuration,
)
from harness.ike.deletes import SpiList, decode_spis, encode_spis
from harness.ike.malformed import Malformed
from harness.ike.payload import Decoder, Payload, need
from harness.ike.proposals import Proposal, chosen
from harness.ike.sa_v2 import SecurityAssociation, Transform, decode_security_association
from harness.ike.traffic_selectors import (
    RawSelector,
    TrafficSelector,
    TrafficSelectors,
    decode_traffic_selectors,
)

__all__ = [
    "Attribute",
    "Authentication",
    "Certificate",
    "CertificateRequest",
    "Configuration",
    "ConfigurationAttribute",
    "DECODERS",
    "Delete",
    "Eap",
    "Encrypted",
    "EncryptedFragment",
    "Identification",
    "KeyExchange",
    "Nonce",
    "Notify",
    "Proposal",
    "RawSelector",
    "SecurityAssociation",
    "TrafficSelector",
    "TrafficSelectors",
    "Transform",
    "VendorId",
]

_PAIR = Struct(">HH")
_NOTIFY = Struct(">BBH")
_SHA1_SIZE = 20


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """KE (34): a public value of a key exchange method (RFC 7296 3.4); `reserved` has 16 bits."""

    payload_type: ClassVar[int] = 34

    group: int
    data: bytes
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """Method number, reserved octets, public value."""
        return _PAIR.pack(self.group, self.reserved) + self.data


@dataclass(frozen=True, slots=True)
class Identification:
    """IDi (35) or IDr (36): who somebody says to be (RFC 7296 3.5)."""

    payload_type: int
    id_type: int
    data: bytes
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """ID type, reserved octets, data: what AUTH covers as RestOfIDPayload."""
        return self.id_type.to_bytes(1, "big") + self.reserved.to_bytes(3, "big") + self.data


@dataclass(frozen=True, slots=True)
class Certificate:
    """CERT (37): one certificate, list or URL in an encoding (RFC 7296 3.6)."""

    payload_type: ClassVar[int] = 37

    encoding: int
    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """Encoding and data."""
        return self.encoding.to_bytes(1, "big") + self.data


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """CERTREQ (38): the encoding and the authorities that are wanted (RFC 7296 3.7)."""

    payload_type: ClassVar[int] = 38

    encoding: int
    data: bytes = b""
    flags: int = 0

    @property
    def authorities(self) -> tuple[bytes, ...]:
        """The SHA-1 hashes of the wanted authorities' SubjectPublicKeyInfo, 20 octets each."""
        whole = len(self.data) // _SHA1_SIZE * _SHA1_SIZE
        return tuple(self.data[at : at + _SHA1_SIZE] for at in range(0, whole, _SHA1_SIZE))

    def body(self) -> bytes:
        """Encoding and data."""
        return self.encoding.to_bytes(1, "big") + self.data


@dataclass(frozen=True, slots=True)
class Authentication:
    """AUTH (39): the proof of an identity by some method (RFC 7296 3.8, RFC 7427)."""

    payload_type: ClassVar[int] = 39

    method: int
    data: bytes
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """Method, reserved octets, data."""
        return self.method.to_bytes(1, "big") + self.reserved.to_bytes(3, "big") + self.data


@dataclass(frozen=True, slots=True)
class Nonce:
    """Ni or Nr (40): 16 to 256 octets of randomness, not checked here (RFC 7296 3.9)."""

    payload_type: ClassVar[int] = 40

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The nonce."""
        return self.data


@dataclass(frozen=True, slots=True)
class Notify:
    """N (41): an error or a status, about an SA where `spi` is not empty (RFC 7296 3.10)."""

    payload_type: ClassVar[int] = 41

    notify_type: int
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""
    spi_size: int | None = None
    flags: int = 0

    def body(self) -> bytes:
        """Protocol, SPI size, type, SPI, data."""
        size = chosen(self.spi_size, len(self.spi))
        return _NOTIFY.pack(self.protocol, size, self.notify_type) + self.spi + self.data


@dataclass(frozen=True, slots=True)
class Delete:
    """D (42): the SAs of one protocol that the sender no longer receives on (RFC 7296 3.11).

    `spi_size` and `count` are computed where None; `extra` is what stands behind the SPIs.
    """

    payload_type: ClassVar[int] = 42

    protocol: int
    spis: tuple[bytes, ...] = ()
    spi_size: int | None = None
    count: int | None = None
    extra: bytes = b""
    flags: int = 0

    def body(self) -> bytes:
        """Protocol, SPI size, number of SPIs, SPIs."""
        return encode_spis(SpiList(self.protocol, self.spis, self.spi_size, self.count, self.extra))


@dataclass(frozen=True, slots=True)
class VendorId:
    """V (43): a vendor's own mark (RFC 7296 3.12); `vendor_ids.vendor_name` reads it."""

    payload_type: ClassVar[int] = 43

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The mark."""
        return self.data


@dataclass(frozen=True, slots=True)
class Encrypted:
    """SK (46): IV, ciphertext and ICV in one piece (RFC 7296 3.14); always the last payload.

    `first_payload` is its next payload field: the type of the first payload inside, 0 for none.
    """

    payload_type: ClassVar[int] = 46

    first_payload: int
    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """IV, ciphertext and ICV."""
        return self.data


@dataclass(frozen=True, slots=True)
class EncryptedFragment:
    """SKF (53): fragment `number` of `total`, from 1 on (RFC 7383 2.5); always the last payload.

    `first_payload` is the type of the first payload inside in fragment 1, and 0 in the others.
    """

    payload_type: ClassVar[int] = 53

    first_payload: int
    number: int
    total: int
    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """Fragment number, total fragments, then IV, ciphertext and ICV."""
        return _PAIR.pack(self.number, self.total) + self.data


@dataclass(frozen=True, slots=True)
class Eap:
    """EAP (48): one EAP message as it came (RFC 7296 3.16, RFC 3748 4)."""

    payload_type: ClassVar[int] = 48

    data: bytes
    flags: int = 0

    @property
    def code(self) -> int | None:
        """1 Request, 2 Response, 3 Success, 4 Failure; None where there is no octet for it."""
        return self.data[0] if self.data else None

    @property
    def identifier(self) -> int | None:
        """The octet that pairs a response with its request, or None."""
        return self.data[1] if len(self.data) > 1 else None

    @property
    def method(self) -> int | None:
        """The EAP type of a request or response (1 Identity, 26 MSCHAPv2), or None."""
        return self.data[4] if len(self.data) > 4 else None

    def body(self) -> bytes:
        """The EAP message."""
        return self.data


def _sa(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return decode_security_association(data, start, end, flags)


def _ke(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "a KE body", "7296 3.4")
    group, reserved = _PAIR.unpack_from(data, start)
    return KeyExchange(group, data[start + 4 : end], reserved, flags)


def _id(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an ID body", "7296 3.5")
    reserved = int.from_bytes(data[start + 1 : start + 4], "big")
    return Identification(kind, data[start], data[start + 4 : end], reserved, flags)


def _cert(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 1, start, "a CERT body", "7296 3.6")
    return Certificate(data[start], data[start + 1 : end], flags)


def _certreq(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 1, start, "a CERTREQ body", "7296 3.7")
    return CertificateRequest(data[start], data[start + 1 : end], flags)


def _auth(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an AUTH body", "7296 3.8")
    reserved = int.from_bytes(data[start + 1 : start + 4], "big")
    return Authentication(data[start], data[start + 4 : end], reserved, flags)


def _nonce(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Nonce(data[start:end], flags)


def _notify(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an N body", "7296 3.10")
    protocol, size, notify_type = _NOTIFY.unpack_from(data, start)
    at = start + 4 + size
    if at > end:
        raise Malformed(f"SPI size {size}", start + 1, f"at most {end - start - 4}", "7296 3.10")
    return Notify(notify_type, data[at:end], protocol, data[start + 4 : at], None, flags)


def _delete(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Delete(*decode_spis(data, start, end, "7296 3.11"), flags)


def _vendor(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return VendorId(data[start:end], flags)


def _ts(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return decode_traffic_selectors(kind, data, start, end, flags)


def _sk(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Encrypted(after, data[start:end], flags)


def _skf(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an SKF body", "7383 2.5")
    number, total = _PAIR.unpack_from(data, start)
    return EncryptedFragment(after, number, total, data[start + 4 : end], flags)


def _cp(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return decode_configuration(data, start, end, flags)


def _eap(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Eap(data[start:end], flags)


DECODERS: Mapping[int, Decoder] = MappingProxyType(
    {
        33: _sa,
        34: _ke,
        35: _id,
        36: _id,
        37: _cert,
        38: _certreq,
        39: _auth,
        40: _nonce,
        41: _notify,
        42: _delete,
        43: _vendor,
        44: _ts,
        45: _ts,
        46: _sk,
        47: _cp,
        48: _eap,
        53: _skf,
    }
)
"""How to read each payload type; what is not here is kept as `RawPayload`."""
