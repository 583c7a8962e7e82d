# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP packets opened (RFC 4303), by destination and SPI, with ESN; replays are noticed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from struct import Struct

from harness.capture.entries import Ipsec, Status
from harness.capture.frames import Esp, Headers
from harness.capture.secrets import IpsecSecret, Secrets
from harness.capture.unsealing import Unsealing, unsealing
from harness.ike.esp import NO_WINDOW_REACH
from harness.ike.protection import IntegrityFailure
from harness.ike.replay import extended_sequence

_HEADER_SIZE = 8
_EXTENDED = Struct("!III")
_HIGH = Struct("!I")

PacketId = tuple[int, str, str]
"""SPI, source and destination: what decides on the SA."""


@dataclass(slots=True)
class _Sa:
    """An SA as far as its packets have shown it; `seen` has the frame of each number, by wire."""

    secret: IpsecSecret
    esn: bool
    protection: Unsealing
    highest: int = 0
    proved: bool = False
    seen: dict[str, dict[int, int]] = field(default_factory=dict)


class EspOpener:
    """Opens the packets of a capture in their order; keeps sequence numbers.

    `negotiated` has the SPIs that IKE agreed on, so that a missing key is told from a stranger.
    """

    def __init__(self, secrets: Secrets) -> None:
        self.negotiated: set[int] = set()
        self._sas: dict[int, list[_Sa]] = {}
        self._serving: dict[PacketId, list[_Sa]] = {}
        self._unusable: dict[int, str] = {}
        for secret in secrets.ipsec:
            if secret.protocol != "esp":
                continue
            try:
                ready = list(_ready(secret))
            except ValueError as error:
                self._unusable[secret.spi] = str(error)
                continue
            self._sas.setdefault(secret.spi, []).extend(ready)

    @property
    def proved(self) -> tuple[IpsecSecret, ...]:
        """The secrets that opened a packet, and those of SAs that no packet was seen of.

        A secret is there once more for each destination that a translation gave its packets.
        """
        found = []
        for sas in self._sas.values():
            proved = {sa.secret.destination for sa in sas if sa.proved}
            for sa in sas:
                if sa.proved:
                    found.append(replace(sa.secret, esn=sa.esn))
                elif sa.secret.destination not in proved:
                    found.append(sa.secret)
        for (_, source, destination), sas in self._serving.items():
            found += [
                replace(sa.secret, source=source, destination=destination, esn=sa.esn)
                for sa in sas[:1]
                if sa.proved and not sa.secret.serves(source, destination)
            ]
        return tuple(dict.fromkeys(found))

    def open(self, esp: Esp, headers: Headers, packet: bytes, wire: str, frame: int) -> Ipsec:
        """What the packet holds, or why it cannot be read."""
        spi, low, data, encapsulated = esp
        key = (spi, headers.source, headers.destination)
        sas = self._serving.get(key)
        if sas is None:
            sas = self._serving[key] = self._find(*key)
        for position, sa in enumerate(sas):
            opened = _open(sa, low, data)
            if opened is None:
                continue
            if position:
                sas.insert(0, sas.pop(position))
            sequence, plaintext = opened
            return _entry(sa, sequence, plaintext, esp, packet, wire, frame)
        status, detail, authentic = self._refusal(spi, headers.destination, bool(sas))
        return Ipsec("ESP", spi, low, encapsulated, status, packet, detail, authentic)

    def _find(self, spi: int, source: str, destination: str) -> list[_Sa]:
        """The SAs of that SPI; where a translation changed the addresses, any of that SPI."""
        sas = self._sas.get(spi, [])
        serving = [sa for sa in sas if sa.secret.serves(source, destination)]
        return serving or list(sas)

    def _refusal(self, spi: int, destination: str, tried: bool) -> tuple[Status, str, bool | None]:
        if tried:
            return Status.BAD_ICV, "its ICV does not match", False
        if spi in self._unusable:
            return Status.NO_KEY, f"its key is of no use: {self._unusable[spi]}", None
        if spi in self.negotiated:
            return Status.NO_KEY, f"there is no key for SPI 0x{spi:08x}, which was negotiated", None
        detail = f"no SA with SPI 0x{spi:08x} to {destination} is known"
        return Status.UNKNOWN_SPI, detail, None


def _ready(secret: IpsecSecret) -> Iterator[_Sa]:
    """The SA, or with and without ESN two where the source does not say; raises ValueError."""
    if secret.encryption is None:
        raise ValueError("its algorithm is unknown")
    ready = unsealing(
        secret.encryption,
        secret.encryption_key,
        secret.integrity,
        secret.integrity_key,
        secret.unchecked_icv,
    )
    # Without an ICV any reading opens, so that the usual one must do.
    checked = ready.combined or secret.integrity is not None
    for esn in (False, True) if secret.esn is None and checked else (bool(secret.esn),):
        yield _Sa(secret, esn, ready, secret.high << 32)


def _open(sa: _Sa, low: int, data: bytes) -> tuple[int, bytes] | None:
    """The 64-bit sequence number and the plaintext, None where it is not this SA's."""
    if not sa.esn:
        return _tried(sa, low, data, data[:_HEADER_SIZE], b"")
    for sequence in likely_sequences(low, sa.highest, sa.secret.high, sa.proved):
        high = sequence >> 32 & 0xFFFFFFFF
        if sa.protection.combined:
            opened = _tried(sa, sequence, data, _EXTENDED.pack(sa.secret.spi, high, low), b"")
        else:
            opened = _tried(sa, sequence, data, data[:_HEADER_SIZE], _HIGH.pack(high))
        if opened is not None:
            return opened
    return None


def _tried(
    sa: _Sa, sequence: int, data: bytes, associated: bytes, suffix: bytes
) -> tuple[int, bytes] | None:
    try:
        plaintext = sa.protection.open(associated, data[_HEADER_SIZE:], suffix)
    except (IntegrityFailure, ValueError):
        return None
    if sequence > sa.highest:
        sa.highest = sequence
    sa.proved = True
    return sequence, plaintext


def likely_sequences(low: int, highest: int, high: int, proved: bool) -> tuple[int, ...]:
    """The 64-bit numbers that may belong to a low half (RFC 4303 appendix A2).

    The first packet of a capture says nothing of the upper half: it is the `high` that is known,
    or the one after it. Later ones follow from the `highest` so far.
    """
    if proved:
        return (extended_sequence(low, highest, NO_WINDOW_REACH),)
    return (high << 32 | low, (high + 1) << 32 | low)


def _entry(
    sa: _Sa, sequence: int, plaintext: bytes, esp: Esp, packet: bytes, wire: str, frame: int
) -> Ipsec:
    secret = sa.secret
    checked = sa.protection.combined or secret.integrity is not None
    authentic = True if checked and not secret.unchecked_icv else None
    size = len(plaintext) - 2
    spi, encapsulated = esp.spi, esp.encapsulated
    if size < 0 or plaintext[-2] > size:
        detail = "its pad length exceeds the packet"
        return Ipsec(
            "ESP", spi, sequence, encapsulated, Status.MALFORMED, packet, detail, authentic
        )
    replays, forwards = noticed(sa.seen, wire, sequence, frame)
    return Ipsec(
        "ESP",
        spi,
        sequence,
        encapsulated,
        Status.DECRYPTED,
        packet,
        "",
        authentic,
        plaintext[: size - plaintext[-2]],
        plaintext[-1],
        secret,
        replays,
        forwards,
    )


def noticed(
    seen: dict[str, dict[int, int]], wire: str, sequence: int, frame: int
) -> tuple[int, int]:
    """The frame with this number before on this wire, and else that on another wire, 0 for none."""
    here = seen.get(wire)
    if here is None:
        here = seen[wire] = {}
    before = here.get(sequence)
    if before is not None:
        return before, 0
    here[sequence] = frame
    if len(seen) == 1:
        return 0, 0
    return 0, _elsewhere((one for name, one in seen.items() if name != wire), sequence)


def _elsewhere(others: Iterable[dict[int, int]], sequence: int) -> int:
    return next((one[sequence] for one in others if sequence in one), 0)
