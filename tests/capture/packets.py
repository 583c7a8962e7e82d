# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames as they are on a wire, made with the codec and the ESP of harness.ike."""

import socket
import struct
from collections.abc import Iterable
from dataclasses import replace

from harness.capture import pcapng
from harness.capture.captured import CapturedFrame
from harness.capture.secrets import IkeV2Secret, IpsecSecret
from harness.ike import ip_modes
from harness.ike.encrypted_payload import seal_payloads, sealed_size
from harness.ike.esp import EspSa, Sealer
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Encrypted, EncryptedFragment
from harness.ike.protection import protection
from harness.ike.transforms import Encryption, Integrity, encryption, integrity
from harness.ike.wire import VERSION_2, Message, encode, encode_payloads, sealed_prefix

MOON, SUN = "192.0.2.1", "192.0.2.2"
MOON6, SUN6 = "2001:db8::1", "2001:db8::2"
SPI_I, SPI_R = bytes.fromhex("1111111111111111"), bytes.fromhex("2222222222222222")
INITIATOR, RESPONSE = 0x08, 0x20


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ip(payload: bytes, protocol: int, source: str = MOON, destination: str = SUN) -> bytes:
    return ip_modes.outer_packet(packed(source), packed(destination), payload, protocol)


def udp(payload: bytes, sport: int = 500, dport: int = 500) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


GCM = encryption("AES_GCM_16_128")
INNER = ip(udp(b"are you there?", 7, 9), 17, "10.1.0.10", "10.2.0.10")
"""A packet that a tunnel carries."""


def ethernet(packet: bytes) -> bytes:
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + kind + packet


def frame(packet: bytes, number: int = 1, wire: str = "wan", time_ns: int = 0) -> CapturedFrame:
    return CapturedFrame(number, wire, "", "", time_ns or number * 10**6, ethernet(packet))


def frames(packets: Iterable[bytes], wire: str = "wan") -> list[CapturedFrame]:
    return [frame(packet, number, wire) for number, packet in enumerate(packets, 1)]


def ike(message: bytes, back: bool = False, port: int = 500) -> bytes:
    """The IP packet with an IKE message, from moon unless `back`."""
    marked = bytes(4) + message if port == 4500 else message
    ends = (SUN, MOON) if back else (MOON, SUN)
    return ip(udp(marked, port, port), 17, *ends)


def ike_secret(
    cipher: Encryption | None = None, mac: Integrity | None = None, seed: int = 1
) -> IkeV2Secret:
    """Keys of an IKE SA, AES-CBC-128 with HMAC-SHA-256 unless told otherwise."""
    cipher = cipher or encryption("AES_CBC_128")
    if mac is None and not cipher.combined:
        mac = integrity("HMAC_SHA2_256_128")

    def key(size: int, which: int) -> bytes:
        return bytes((seed * 16 + which * 3 + at * 7) % 256 for at in range(size))

    mac_size = mac.key_size if mac else 0
    return IkeV2Secret(
        SPI_I,
        SPI_R,
        key(cipher.keymat_size, 1),
        key(cipher.keymat_size, 2),
        key(mac_size, 3),
        key(mac_size, 4),
        cipher,
        mac,
    )


def header(
    exchange: int, message_id: int, *, initiator: bool = True, response: bool = False
) -> Message:
    flags = (INITIATOR if initiator else 0) | (RESPONSE if response else 0)
    return Message(VERSION_2, exchange, SPI_I, SPI_R, message_id, flags)


def sealed(
    secret: IkeV2Secret, message: Message, payloads: Iterable[Payload], fragments: int = 0
) -> list[bytes]:
    """The octets of the message with these payloads in SK, or in that many SKF."""
    assert secret.encryption is not None
    first, inner = encode_payloads(payloads)
    from_initiator = bool(message.flags & INITIATOR)
    ready = protection(
        secret.encryption,
        secret.ei if from_initiator else secret.er,
        secret.integrity,
        secret.ai if from_initiator else secret.ar,
    )
    size = -(-len(inner) // fragments) if fragments else len(inner)
    out = []
    for number in range(1, (fragments or 1) + 1):
        piece = inner[(number - 1) * size : number * size] if fragments else inner
        envelope: Payload
        if fragments:
            envelope = EncryptedFragment(first if number == 1 else 0, number, fragments, b"")
        else:
            envelope = Encrypted(first, b"")
        whole = replace(message, payloads=(*message.payloads, envelope))
        prefix = sealed_prefix(whole, sealed_size(ready, len(piece)))
        iv = (
            (message.message_id * 64 + number).to_bytes(ready.iv_size, "big")
            if ready.iv_size
            else b""
        )
        out.append(prefix + seal_payloads(ready, prefix, piece, iv))
    return out


def clear(message: Message, payloads: Iterable[Payload]) -> bytes:
    return encode(replace(message, payloads=tuple(payloads)))


def pcapng_of(captured: Iterable[CapturedFrame]) -> bytes:
    """A capture file of one Ethernet wire."""
    blocks = [pcapng.section_header(), pcapng.interface_description("wan", "")]
    blocks += [pcapng.enhanced_packet(0, one.time_ns, one.data, b"") for one in captured]
    return b"".join(blocks)


def esp_secret(
    cipher: Encryption, mac: Integrity | None = None, *, spi: int = 0xC0FFEE01, esn: bool = False
) -> IpsecSecret:
    """Keys of an ESP SA."""
    return IpsecSecret(
        spi,
        encryption=cipher,
        encryption_key=bytes(range(1, 1 + cipher.keymat_size)),
        integrity=mac,
        integrity_key=b"\x5a" * (mac.key_size if mac else 0),
        esn=esn,
    )


def sealer(secret: IpsecSecret, sequence: int = 0) -> Sealer:
    """The sending end of the SA; its IVs repeat from test to test."""
    assert secret.encryption is not None
    sa = EspSa(
        secret.spi,
        secret.encryption,
        secret.encryption_key,
        secret.integrity,
        secret.integrity_key,
        bool(secret.esn),
    )
    size = secret.encryption.iv_size
    return Sealer(
        sa,
        lambda number: (number * 2654435761).to_bytes(16, "big")[-size:] if size else b"",
        sequence,
    )
