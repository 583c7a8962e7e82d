# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of a captured frame: one typed entry for each, decrypted or with the reason why not.

Tuples, because there is one for each frame of a capture. Frame numbers are those of the capture,
from 1; 0 stands for no frame.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from harness.capture.captured import CapturedFrame
from harness.capture.frames import Headers, Isakmp
from harness.capture.secrets import IpsecSecret
from harness.ike.ip_modes import MalformedPacket, inner_packet, join_transport, split_transport
from harness.ike.payload import Payload
from harness.ike.wire import Message

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, NO_NEXT_HEADER = 4, 41, 59


class Status(StrEnum):
    """How far a packet could be read."""

    CLEAR = "in clear"
    DECRYPTED = "decrypted"
    FRAGMENT = "fragment"
    NO_KEY = "no key"
    BAD_ICV = "bad ICV"
    UNKNOWN_SPI = "unknown SPI"
    CUT = "cut short"
    MALFORMED = "malformed"


class Proof(NamedTuple):
    """What became of a check of AUTH, HASH or SIG, which prove who the sender is.

    `verified` is None where it could not be checked, `text` says in words what came out. `by` are
    the nodes whose configured pre-shared key verifies it, or the subject of the certificate that
    does; `not_by` are the nodes whose key is another.
    """

    payload: str
    verified: bool | None
    text: str
    by: tuple[str, ...] = ()
    not_by: tuple[str, ...] = ()

    @classmethod
    def unchecked(cls, payload: str, why: str) -> Proof:
        """A proof that nobody here can check, with half a sentence that says why."""
        return cls(payload, None, f"is not checked: {why}")

    def __str__(self) -> str:
        return f"{self.payload} {self.text}"


class Ike(NamedTuple):
    """An IKE message (RFC 7296, RFC 2409).

    `payloads` are all that can be read, those inside SK or SKF after those before. `message` is
    as it was on the wire, None where that is malformed. `detail` says in words why a message
    cannot be read. `authentic` says whether its ICV or HASH verified, None where it has none or
    nothing can check it. `repeats` is the frame with the same octets before; `elsewhere` if it
    is the same message on another wire, or kept back by its wire until now. `fragment` is number
    and total, `whole_in` the frame that completed the message, `frames` all that it came in.
    `proof` is what became of its AUTH, HASH or SIG, None where it has none.
    """

    header: Isakmp
    message: Message | None
    payloads: tuple[Payload, ...]
    status: Status
    detail: str = ""
    authentic: bool | None = None
    repeats: int = 0
    elsewhere: bool = False
    fragment: tuple[int, int] | None = None
    whole_in: int = 0
    frames: tuple[int, ...] = ()
    proof: Proof | None = None

    @property
    def readable(self) -> bool:
        """Whether all of it is known: in clear, or decrypted and complete."""
        return self.status in (Status.CLEAR, Status.DECRYPTED)


class Ipsec(NamedTuple):
    """An ESP (RFC 4303) or AH (RFC 4302) packet.

    `sequence` has 64 bits with ESN. `payload` and `next_header` are what it protects. `replays`
    is the frame on the same wire that had its sequence number before, `forwards` the frame in
    which it was on another wire, or before the wire kept it back. `packet` is the outer IP
    packet, reassembled.
    """

    protocol: str
    spi: int
    sequence: int
    encapsulated: bool
    status: Status
    packet: bytes
    detail: str = ""
    authentic: bool | None = None
    payload: bytes = b""
    next_header: int = NO_NEXT_HEADER
    secret: IpsecSecret | None = None
    replays: int = 0
    forwards: int = 0

    @property
    def mode(self) -> str:
        """`tunnel` or `transport`, by what is inside unless the SA says it; empty if unread."""
        if self.status is not Status.DECRYPTED:
            return ""
        if self.secret is not None and self.secret.mode:
            return self.secret.mode
        return "tunnel" if self.next_header in (NEXT_HEADER_IPV4, NEXT_HEADER_IPV6) else "transport"

    @property
    def dummy(self) -> bool:
        """Whether it only hides traffic (RFC 4303 section 2.6)."""
        return self.status is Status.DECRYPTED and self.next_header == NO_NEXT_HEADER

    @property
    def inner_octets(self) -> bytes:
        """The IP packet that it protects, empty where that cannot be read.

        In transport mode that is the outer IP header with the payload right behind it.
        """
        if self.status is not Status.DECRYPTED or self.dummy:
            return b""
        try:
            if self.mode == "tunnel":
                return inner_packet(self.payload, self.next_header)
            return join_transport(split_transport(self.packet), self.payload, self.next_header)
        except MalformedPacket:
            return b""

    @property
    def inner(self) -> ScapyPacket | None:
        """The IP packet that it protects as scapy has it, or None; scapy is loaded only now."""
        octets = self.inner_octets
        return scapy_packet(octets) if octets else None


class Keepalive(NamedTuple):
    """A NAT-keepalive (RFC 3948 section 2.3)."""


class IpFragment(NamedTuple):
    """A piece of an IP packet; `whole_in` is the frame that completed it, 0 if none did."""

    identification: int
    offset: int
    whole_in: int = 0


class Unrelated(NamedTuple):
    """A frame that is neither IKE nor IPsec; `detail` says so where it looked like one."""

    detail: str = ""


Content = Ike | Ipsec | Keepalive | IpFragment | Unrelated


class Entry(NamedTuple):
    """A frame of the capture, its headers (after IP reassembly), and what it carries."""

    frame: CapturedFrame
    headers: Headers
    content: Content

    @property
    def number(self) -> int:
        """The frame's number in the capture, from 1."""
        return self.frame.number

    @property
    def sender(self) -> str:
        """The node that sent it, or where the capture names none its address."""
        return self.frame.sender or self.headers.source

    @property
    def receiver(self) -> str:
        """The node that it went to, or where the capture names none its address."""
        return self.frame.receiver or self.headers.destination


def scapy_packet(octets: bytes) -> ScapyPacket:
    """An IPv4 or IPv6 packet as scapy has it."""
    if octets[0] >> 4 == 6:
        from scapy.layers.inet6 import IPv6

        return IPv6(octets)
    from scapy.layers.inet import IP

    return IP(octets)
