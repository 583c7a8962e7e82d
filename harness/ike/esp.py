# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP: sealing and opening of packets of one SA (RFC 4303), from SPI to ICV.

What a packet carries is a payload and a next header: an IP packet and 4 or 41 in tunnel mode, an
upper-layer packet and its protocol in transport mode; harness.ike.ip_modes turns IP packets into
those. A UDP header around it (RFC 3948) is the caller's. Sizes are bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct

from harness.ike.protection import IntegrityFailure, Protection, protection
from harness.ike.replay import ReplayWindow, extended_sequence
from harness.ike.transforms import Encryption, Integrity

HEADER = Struct("!II")
EXTENDED_HEADER = Struct("!III")
HIGH_HALF = Struct("!I")
MASK = 0xFFFFFFFF
HEADER_SIZE = 8
WORD = 4
NO_NEXT_HEADER = 59
MOST_PADDING = 255
# Without a window packets may come in any order: half the space either way is the fair guess.
NO_WINDOW_REACH = 1 << 31

# The trailer of RFC 4303 section 2.4 for each pad length: 1, 2, 3, …, and then that length.
PADDING = tuple(bytes(range(1, size + 1)) + bytes([size]) for size in range(MOST_PADDING + 1))
NEXT_HEADER = tuple(bytes([number]) for number in range(256))

IvSource = Callable[[int], bytes]


class EspFailureReason(StrEnum):
    """Why a packet was not opened."""

    MALFORMED = "malformed"
    UNKNOWN_SPI = "unknown SPI"
    REPLAYED = "replayed"
    BAD_ICV = "bad ICV"
    BAD_PADDING = "bad padding"


class EspFailure(Exception):
    """A packet that an SA does not open; `reason` says why, the message in words."""

    def __init__(self, reason: EspFailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class SequenceExhausted(Exception):
    """An SA has used its last sequence number and must be rekeyed (RFC 4303 section 3.3.3)."""


@dataclass(frozen=True, slots=True)
class EspSa:
    """One direction of a CHILD_SA: SPI, algorithms and keys as the keying material gives them.

    `encryption_key` includes the salt. `integrity` is `None` for combined algorithms. `esn`
    says whether sequence numbers have 64 bits.
    """

    spi: int
    encryption: Encryption
    encryption_key: bytes = field(repr=False)
    integrity: Integrity | None = None
    integrity_key: bytes = field(default=b"", repr=False)
    esn: bool = False

    def protection(self) -> Protection:
        """The keys ready for use; raises WrongKeyLength."""
        return protection(self.encryption, self.encryption_key, self.integrity, self.integrity_key)


@dataclass(frozen=True, slots=True)
class OpenedPacket:
    """What a packet held. `sequence` has 64 bits with ESN; `payload` may end in TFC padding."""

    payload: bytes
    next_header: int
    sequence: int

    @property
    def dummy(self) -> bool:
        """Whether the packet only hides traffic and is to be dropped (RFC 4303 section 2.6)."""
        return self.next_header == NO_NEXT_HEADER


def sequence_iv(size: int) -> Callable[[int], bytes]:
    """IVs that are the packet's sequence number: unique, which combined algorithms and CTR need.

    CBC wants an unpredictable IV (RFC 3602 section 3): give it a source of randomness instead.
    """
    return lambda sequence: sequence.to_bytes(size, "big")


class Sealer:
    """The sending end of an SA; keeps the sequence number.

    `iv` makes the IV of a packet from its sequence number. By default that is the number itself,
    for algorithms that want uniqueness; CBC must be given a source, such as
    `lambda _: randomness(sa.encryption.iv_size)`.
    """

    __slots__ = ("_alignment", "_iv", "_protection", "sa", "sequence")

    def __init__(self, sa: EspSa, iv: IvSource | None = None, sequence: int = 0) -> None:
        """Start after `sequence`; raises ValueError for CBC without a source of IVs."""
        self.sa = sa
        self.sequence = sequence
        self._protection = sa.protection()
        self._alignment = max(WORD, self._protection.alignment)
        if iv is None and self._protection.alignment > 1:
            raise ValueError(f"{sa.encryption.name} needs a source of random IVs; pass one.")
        size = self._protection.iv_size
        self._iv = iv or (sequence_iv(size) if size else lambda _: b"")

    def seal(self, payload: bytes, next_header: int, padding: int = 0) -> bytes:
        """The next packet, from SPI to ICV.

        `padding` asks for that many bytes of padding at least, up to 255 (RFC 4303 section 2.4);
        TFC padding is appended to `payload` by the caller. Raises SequenceExhausted.
        """
        sequence = self.sequence + 1
        esn = self.sa.esn
        if sequence > MASK and (not esn or sequence >> 64):
            raise SequenceExhausted(f"SA 0x{self.sa.spi:08x} has no sequence number left.")
        size = padding + -(len(payload) + padding + 2) % self._alignment
        if size > MOST_PADDING:
            raise ValueError(f"ESP has at most 255 bytes of padding, not {size}.")
        self.sequence = sequence
        plaintext = payload + PADDING[size] + NEXT_HEADER[next_header]
        spi = self.sa.spi
        header = HEADER.pack(spi, sequence & MASK)
        iv = self._iv(sequence)
        if not esn:
            return header + self._protection.seal(header, iv, plaintext)
        high = sequence >> 32
        if self._protection.combined:
            associated = EXTENDED_HEADER.pack(spi, high, sequence & MASK)
            return header + self._protection.seal(associated, iv, plaintext)
        return header + self._protection.seal(header, iv, plaintext, HIGH_HALF.pack(high))


class Opener:
    """The receiving end of an SA; keeps the anti-replay window.

    `window` is its size in packets; 0 accepts replays, as a decryptor of captures must. Sequence
    numbers up to `highest` count as seen.
    """

    __slots__ = ("_protection", "sa", "window")

    def __init__(self, sa: EspSa, window: int = 64, highest: int = 0) -> None:
        self.sa = sa
        self.window = ReplayWindow(window, highest, (1 << window) - 1 if highest else 0)
        self._protection = sa.protection()

    def open(self, packet: bytes) -> OpenedPacket:
        """What the packet holds; raises EspFailure and then changes nothing.

        Padding is checked for its length only, so that a sender's own padding passes (RFC 4303
        section 2.4 wants the content checked only where the algorithm says so).
        """
        if len(packet) < HEADER_SIZE:
            raise EspFailure(EspFailureReason.MALFORMED, "The packet is shorter than its header.")
        spi, low = HEADER.unpack_from(packet)
        if spi != self.sa.spi:
            raise EspFailure(EspFailureReason.UNKNOWN_SPI, f"SPI 0x{spi:08x} is not this SA's.")
        window = self.window
        associated = packet[:HEADER_SIZE]
        suffix = b""
        sequence: int = low
        if self.sa.esn:
            sequence = extended_sequence(low, window.highest, window.size or NO_WINDOW_REACH)
            high = sequence >> 32 & MASK
            if self._protection.combined:
                associated = EXTENDED_HEADER.pack(spi, high, low)
            else:
                suffix = HIGH_HALF.pack(high)
        if not window.acceptable(sequence):
            raise EspFailure(EspFailureReason.REPLAYED, f"Sequence number {sequence} was seen.")
        try:
            plaintext = self._protection.open(associated, packet[HEADER_SIZE:], suffix)
        except IntegrityFailure as failure:
            raise EspFailure(EspFailureReason.BAD_ICV, str(failure)) from None
        size = len(plaintext) - 2
        if size < 0 or plaintext[-2] > size:
            raise EspFailure(EspFailureReason.BAD_PADDING, "The pad length exceeds the packet.")
        window.accept(sequence)
        return OpenedPacket(plaintext[: size - plaintext[-2]], plaintext[-1], sequence)
