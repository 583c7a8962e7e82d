# SPDX-License-Identifier: GPL-2.0-or-later
"""The payloads of IKEv1, one frozen dataclass each.

RFC 2408 3.4 to 3.16 and RFC 2407 4.6 for the layouts, RFC 3947 for NAT-D and NAT-OA, the Mode
Config and XAUTH drafts for the Attributes payload. Every class has `payload_type`, `flags` (the
RESERVED octet of its header) and `body()`. SA is in `sa_v1`; it is listed here too, so that
`harness.ike.payloads_v1` is the one module to import. All data is in network order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import ClassVar

from harness.ike.attributes import Attribute, decode_attributes, encode_attributes
from harness.ike.deletes import SpiList, decode_spis, encode_spis
from harness.ike.malformed import Malformed
from harness.ike.payload import Decoder, Payload, need
from harness.ike.proposals import Proposal, chosen
from harness.ike.sa_v1 import SecurityAssociation, Transform, decode_security_association

__all__ = [
    "Attribute",
    "Certificate",
    "CertificateRequest",
    "DECODERS",
    "Delete",
    "Fragment",
    "Hash",
    "Identification",
    "KeyExchange",
    "ModeConfig",
    "NatDetection",
    "NatOriginalAddress",
    "Nonce",
    "Notification",
    "Proposal",
    "SecurityAssociation",
    "Signature",
    "Transform",
    "VendorId",
]

_WORD = Struct(">I")
_ID = Struct(">BBH")
_NOTIFICATION = Struct(">IBBH")
_MODE_CONFIG = Struct(">BBH")
_FRAGMENT = Struct(">HBB")


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """KE (4): the Diffie-Hellman public value of the group agreed on before (RFC 2408 3.7)."""

    payload_type: ClassVar[int] = 4

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The public value."""
        return self.data


@dataclass(frozen=True, slots=True)
class Identification:
    """ID (5): who a peer is, or in Quick Mode for whom it negotiates (RFC 2407 4.6.2)."""

    payload_type: ClassVar[int] = 5

    id_type: int
    data: bytes
    protocol: int = 0
    port: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """ID type, protocol, port and data: IDii_b and IDir_b of RFC 2409 5."""
        return _ID.pack(self.id_type, self.protocol, self.port) + self.data


@dataclass(frozen=True, slots=True)
class Certificate:
    """CERT (6): one certificate or list in an encoding (RFC 2408 3.9)."""

    payload_type: ClassVar[int] = 6

    encoding: int
    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """Encoding and data."""
        return self.encoding.to_bytes(1, "big") + self.data


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """CR (7): the certificate type that is wanted and its authority's DN (RFC 2408 3.10)."""

    payload_type: ClassVar[int] = 7

    encoding: int
    authority: bytes = b""
    flags: int = 0

    def body(self) -> bytes:
        """Certificate type and the authority's distinguished name in DER, which may be empty."""
        return self.encoding.to_bytes(1, "big") + self.authority


@dataclass(frozen=True, slots=True)
class Hash:
    """HASH (8): the output of the negotiated prf over an exchange or message (RFC 2408 3.11)."""

    payload_type: ClassVar[int] = 8

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The hash."""
        return self.data


@dataclass(frozen=True, slots=True)
class Signature:
    """SIG (9): a signature over HASH_I or HASH_R (RFC 2408 3.12, RFC 2409 5.1)."""

    payload_type: ClassVar[int] = 9

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The signature."""
        return self.data


@dataclass(frozen=True, slots=True)
class Nonce:
    """NONCE (10): 8 to 256 octets of randomness, not checked here (RFC 2408 3.13)."""

    payload_type: ClassVar[int] = 10

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The nonce: Ni_b and Nr_b of RFC 2409 5."""
        return self.data


@dataclass(frozen=True, slots=True)
class Notification:
    """N (11): an error or a status about an SA (RFC 2408 3.14, RFC 2407 4.6.3, RFC 3706)."""

    payload_type: ClassVar[int] = 11

    notify_type: int
    data: bytes = b""
    protocol: int = 1
    spi: bytes = b""
    doi: int = 1
    spi_size: int | None = None
    flags: int = 0

    def body(self) -> bytes:
        """DOI, protocol, SPI size, type, SPI, data."""
        size = chosen(self.spi_size, len(self.spi))
        head = _NOTIFICATION.pack(self.doi, self.protocol, size, self.notify_type)
        return head + self.spi + self.data


@dataclass(frozen=True, slots=True)
class Delete:
    """D (12): the SAs of one protocol that the sender has deleted (RFC 2408 3.15).

    The SPI of the ISAKMP SA is both cookies. `spi_size` and `count` are computed where None;
    `extra` is what stands behind the SPIs.
    """

    payload_type: ClassVar[int] = 12

    protocol: int
    spis: tuple[bytes, ...] = ()
    spi_size: int | None = None
    count: int | None = None
    extra: bytes = b""
    doi: int = 1
    flags: int = 0

    def body(self) -> bytes:
        """DOI, protocol, SPI size, number of SPIs, SPIs."""
        spis = SpiList(self.protocol, self.spis, self.spi_size, self.count, self.extra)
        return _WORD.pack(self.doi) + encode_spis(spis)


@dataclass(frozen=True, slots=True)
class VendorId:
    """VID (13): a vendor's own mark (RFC 2408 3.16); `vendor_ids.vendor_name` reads it."""

    payload_type: ClassVar[int] = 13

    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """The mark."""
        return self.data


@dataclass(frozen=True, slots=True)
class ModeConfig:
    """ATTR (14): Mode Config and XAUTH (draft-dukes-ike-mode-cfg, draft-beaulieu-ike-xauth)."""

    payload_type: ClassVar[int] = 14

    cfg_type: int
    identifier: int
    attributes: tuple[Attribute, ...] = ()
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """Type, reserved octet, identifier, attributes."""
        head = _MODE_CONFIG.pack(self.cfg_type, self.reserved, self.identifier)
        return head + encode_attributes(self.attributes)


@dataclass(frozen=True, slots=True)
class NatDetection:
    """NAT-D (20; 130 in draft -02): a hash of cookies, address and port (RFC 3947 3.2)."""

    data: bytes
    payload_type: int = 20
    flags: int = 0

    def body(self) -> bytes:
        """The hash."""
        return self.data


@dataclass(frozen=True, slots=True)
class NatOriginalAddress:
    """NAT-OA (21; 131 in draft -02): an address before translation (RFC 3947 5.2).

    `reserved` has 24 bits.
    """

    id_type: int
    data: bytes
    payload_type: int = 21
    reserved: int = 0
    flags: int = 0

    def body(self) -> bytes:
        """ID type, reserved octets, address."""
        return self.id_type.to_bytes(1, "big") + self.reserved.to_bytes(3, "big") + self.data


@dataclass(frozen=True, slots=True)
class Fragment:
    """FRAG (132): a piece of a whole IKEv1 message, as Cisco and Microsoft cut it.

    Pieces of one message share `id` and count `number` from 1; `last` is 1 in the last.
    """

    payload_type: ClassVar[int] = 132

    id: int
    number: int
    last: int
    data: bytes
    flags: int = 0

    def body(self) -> bytes:
        """Fragment id, number, last-fragment octet, data."""
        return _FRAGMENT.pack(self.id, self.number, self.last) + self.data


def _sa(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return decode_security_association(data, start, end, flags)


def _ke(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return KeyExchange(data[start:end], flags)


def _id(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an ID body", "2407 4.6.2")
    id_type, protocol, port = _ID.unpack_from(data, start)
    return Identification(id_type, data[start + 4 : end], protocol, port, flags)


def _cert(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 1, start, "a CERT body", "2408 3.9")
    return Certificate(data[start], data[start + 1 : end], flags)


def _cr(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 1, start, "a CR body", "2408 3.10")
    return CertificateRequest(data[start], data[start + 1 : end], flags)


def _hash(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Hash(data[start:end], flags)


def _sig(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Signature(data[start:end], flags)


def _nonce(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return Nonce(data[start:end], flags)


def _n(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 8, start, "an N body", "2408 3.14")
    doi, protocol, size, notify_type = _NOTIFICATION.unpack_from(data, start)
    at = start + 8 + size
    if at > end:
        raise Malformed(f"SPI size {size}", start + 5, f"at most {end - start - 8}", "2408 3.14")
    return Notification(notify_type, data[at:end], protocol, data[start + 8 : at], doi, None, flags)


def _d(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 8, start, "a D body", "2408 3.15")
    doi = _WORD.unpack_from(data, start)[0]
    return Delete(*decode_spis(data, start + 4, end, "2408 3.15"), doi, flags)


def _vid(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return VendorId(data[start:end], flags)


def _attr(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "an ATTR body", "2408 3.3 and draft-dukes-ike-mode-cfg 3.2")
    cfg_type, reserved, identifier = _MODE_CONFIG.unpack_from(data, start)
    attributes = decode_attributes(data, start + 4, end)
    return ModeConfig(cfg_type, identifier, attributes, reserved, flags)


def _nat_d(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    return NatDetection(data[start:end], kind, flags)


def _nat_oa(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "a NAT-OA body", "3947 5.2")
    reserved = int.from_bytes(data[start + 1 : start + 4], "big")
    return NatOriginalAddress(data[start], data[start + 4 : end], kind, reserved, flags)


def _frag(kind: int, after: int, flags: int, data: bytes, start: int, end: int) -> Payload:
    need(end - start, 4, start, "a FRAG body", "2408 3.1 and MS-IKEE 2.2.4")
    id_, number, last = _FRAGMENT.unpack_from(data, start)
    return Fragment(id_, number, last, data[start + 4 : end], flags)


DECODERS: Mapping[int, Decoder] = MappingProxyType(
    {
        1: _sa,
        4: _ke,
        5: _id,
        6: _cert,
        7: _cr,
        8: _hash,
        9: _sig,
        10: _nonce,
        11: _n,
        12: _d,
        13: _vid,
        14: _attr,
        20: _nat_d,
        21: _nat_oa,
        130: _nat_d,
        131: _nat_oa,
        132: _frag,
    }
)
"""How to read each payload type; what is not here is kept as `RawPayload`."""
