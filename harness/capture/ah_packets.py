# SPDX-License-Identifier: GPL-2.0-or-later
"""AH packets checked (RFC 4302): the ICV covers the IP header too, what routers change as 0."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field

from harness.capture.entries import Ipsec, Status
from harness.capture.esp_packets import likely_sequences, noticed
from harness.capture.frames import AH, Ah, Headers
from harness.capture.secrets import IpsecSecret, Secrets
from harness.ike.macs import Mac, integrity_check

_IPV4_OPTIONS_KEPT = (130, 133, 134, 148, 149)
_FIXED = 12


@dataclass(slots=True)
class _Sa:
    secret: IpsecSecret
    size: int
    esn: bool
    icv: Mac
    highest: int = 0
    seen: dict[str, dict[int, int]] = field(default_factory=dict)


class AhOpener:
    """Checks the packets of a capture in their order; keeps sequence numbers."""

    def __init__(self, secrets: Secrets) -> None:
        self._sas: dict[int, list[_Sa]] = {}
        for secret in secrets.ipsec:
            if secret.protocol != "ah" or secret.integrity is None:
                continue
            try:
                icv = integrity_check(secret.integrity, secret.integrity_key)
            except ValueError:
                continue
            for esn in (False, True) if secret.esn is None else (secret.esn,):
                one = _Sa(secret, secret.integrity.icv_size, esn, icv, secret.high << 32)
                self._sas.setdefault(secret.spi, []).append(one)

    @property
    def proved(self) -> tuple[IpsecSecret, ...]:
        """The secrets of all SAs."""
        return tuple(dict.fromkeys(one.secret for sas in self._sas.values() for one in sas))

    def open(self, ah: Ah, headers: Headers, packet: bytes, wire: str, frame: int) -> Ipsec:
        """What the packet protects, which is in clear, and whether its ICV is right."""
        sas = self._sas.get(ah.spi, [])
        serving = [one for one in sas if one.secret.serves(headers.source, headers.destination)]
        covered = covered_octets(packet)
        if covered is None:
            detail = "its headers go beyond the packet"
            return Ipsec("AH", ah.spi, ah.sequence, False, Status.MALFORMED, packet, detail)
        found = Ipsec(
            "AH",
            ah.spi,
            ah.sequence,
            False,
            Status.UNKNOWN_SPI,
            packet,
            f"no SA with SPI 0x{ah.spi:08x} to {headers.destination} is known",
            None,
            ah.payload,
            ah.next_header,
        )
        for sa in serving or sas:
            numbers: tuple[int, ...] = (ah.sequence,)
            if sa.esn:
                numbers = likely_sequences(ah.sequence, sa.highest, sa.secret.high, bool(sa.seen))
            right = [one for one in numbers if _verifies(sa, covered, one)]
            if not right:
                found = found._replace(
                    status=Status.BAD_ICV, detail="its ICV does not match", authentic=False
                )
                continue
            sequence = right[0]
            sa.highest = max(sa.highest, sequence)
            replays, forwards = noticed(sa.seen, wire, sequence, frame)
            return found._replace(
                sequence=sequence,
                status=Status.DECRYPTED,
                detail="",
                authentic=True,
                secret=sa.secret,
                replays=replays,
                forwards=forwards,
            )
        return found


def _verifies(sa: _Sa, covered: tuple[bytes, int, int], sequence: int) -> bool:
    octets, start, end = covered
    # The rest of the field after a shorter ICV is padding, which is covered as it stands.
    if end - start < sa.size:
        return False
    given = octets[start : start + sa.size]
    blank = octets[:start] + bytes(sa.size) + octets[start + sa.size :]
    if sa.esn:
        blank += struct.pack("!I", sequence >> 32)
    return hmac.compare_digest(sa.icv(blank), given)


def covered_octets(packet: bytes) -> tuple[bytes, int, int] | None:
    """The packet with its mutable fields as 0 (RFC 4302 3.3.3.1), and where its ICV is."""
    version = packet[0] >> 4 if packet else 0
    out = bytearray(packet)
    if version == 4 and len(packet) >= 20:
        start = (packet[0] & 15) * 4
        end = int.from_bytes(packet[2:4], "big")
        if not 20 <= start <= end <= len(packet):
            return None
        out[1] = 0
        out[6:9] = bytes(3)
        out[10:12] = bytes(2)
        _blank_ipv4_options(out, start)
    elif version == 6 and len(packet) >= 40:
        end = 40 + int.from_bytes(packet[4:6], "big")
        out[0:4] = b"\x60\0\0\0"
        out[7] = 0
        start = _ipv6_ah(packet, end)
    else:
        return None
    if start < 0 or start + _FIXED > end or end > len(packet):
        return None
    icv_end = start + (packet[start + 1] + 2) * 4
    if not start + _FIXED <= icv_end <= end:
        return None
    return bytes(out[:end]), start + _FIXED, icv_end


def _blank_ipv4_options(out: bytearray, end: int) -> None:
    at = 20
    while at < end and out[at]:
        if out[at] == 1:
            at += 1
            continue
        size = out[at + 1] if at + 1 < end else 0
        if size < 2:
            return
        if out[at] not in _IPV4_OPTIONS_KEPT:
            stop = min(at + size, end)
            out[at:stop] = bytes(stop - at)
        at += size


def _ipv6_ah(packet: bytes, end: int) -> int:
    """Where AH is behind the extension headers, which are kept as they are, or -1."""
    kind, at = packet[6], 40
    while kind != AH:
        if kind not in (0, 43, 60) or at + 8 > min(end, len(packet)):
            return -1
        kind, at = packet[at], at + (packet[at + 1] + 1) * 8
    return at
