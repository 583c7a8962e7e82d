# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture decrypted: one typed entry for every frame, in order, none left out.

    captured = captured.load(path)
    decryption = decrypt(captured.frames, secrets)
    for entry in decryption.entries: ...

Nothing here raises on any octets that were captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.capture.ah_packets import AhOpener
from harness.capture.captured import CapturedFrame
from harness.capture.collecting import no_garbage
from harness.capture.entries import (
    Content,
    Entry,
    Ike,
    IpFragment,
    Ipsec,
    Keepalive,
    Status,
    Unrelated,
)
from harness.capture.esp_packets import EspOpener
from harness.capture.frames import Ah, Esp, Headers, Isakmp, NatKeepalive, dissect_ip
from harness.capture.ike_v1 import IkeV1Opener
from harness.capture.ike_v2 import IkeV2Opener, Opened
from harness.capture.ip_fragments import Reassembler
from harness.capture.link_layers import headers_of, ip_offset
from harness.capture.secrets import NO_SECRETS, Secrets
from harness.ike import payloads_v1, payloads_v2
from harness.ike.constants_v2 import ProtocolId
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload
from harness.ike.wire import decode

UNRELATED = Unrelated()
KEEPALIVE = Keepalive()
_WRONG_IF_CUT = (Status.MALFORMED, Status.BAD_ICV)


@dataclass(frozen=True)
class Decryption:
    """All frames as entries, and the secrets with what the capture proved about candidates."""

    entries: tuple[Entry, ...]
    secrets: Secrets

    @property
    def ike(self) -> tuple[Entry, ...]:
        """The entries that are IKE messages."""
        return tuple(one for one in self.entries if isinstance(one.content, Ike))

    @property
    def ipsec(self) -> tuple[Entry, ...]:
        """The entries that are ESP or AH packets."""
        return tuple(one for one in self.entries if isinstance(one.content, Ipsec))


def decrypt(frames: Iterable[CapturedFrame], secrets: Secrets = NO_SECRETS) -> Decryption:
    """The frames decrypted with these secrets."""
    decryptor = Decryptor(secrets)
    with no_garbage():
        for frame in frames:
            decryptor.take(frame)
    return decryptor.decryption()


class Decryptor:
    """Takes frame after frame, as they come; `entries` has one for each."""

    def __init__(self, secrets: Secrets = NO_SECRETS) -> None:
        self.entries: list[Entry] = []
        self._given = secrets
        self._v1 = IkeV1Opener(secrets)
        self._v2 = IkeV2Opener(secrets)
        self._esp = EspOpener(secrets)
        self._ah = AhOpener(secrets)
        self._ip = Reassembler()
        # Each datagram with the wire and the place of its first coming, and each fragment's place.
        self._datagrams: dict[bytes, tuple[str, int]] = {}
        self._places: dict[int, int] = {}

    def decryption(self) -> Decryption:
        """Everything so far."""
        return Decryption(tuple(self.entries), self.secrets)

    @property
    def secrets(self) -> Secrets:
        """The secrets of which the SA is known, those of candidates that a packet proved too."""
        ipsec = (*self._esp.proved, *self._ah.proved)
        return Secrets(self._v1.proved, self._v2.proved, ipsec, self._given.shared)

    def take(self, frame: CapturedFrame) -> Entry:
        """The entry for a frame; that of an earlier fragment may still learn where it ended."""
        headers = headers_of(frame.link_type, frame.data)
        if headers.carried is None and headers.fragment is None:
            # Most of a capture from elsewhere is not ours: it is not to be kept twice.
            entry = Entry(frame, headers._replace(payload=b""), UNRELATED)
            self.entries.append(entry)
            return entry
        headers, content = self._read(frame, headers)
        if frame.missing:
            content = _cut(content, frame)
        entry = Entry(frame, headers, content)
        if isinstance(content, IpFragment) or (
            isinstance(content, Ike) and content.status is Status.FRAGMENT
        ):
            self._places[frame.number] = len(self.entries)
        self.entries.append(entry)
        return entry

    def _read(self, frame: CapturedFrame, headers: Headers) -> tuple[Headers, Content]:
        packet = frame.data[max(ip_offset(frame.link_type, frame.data), 0) :]
        if headers.fragment is not None:
            whole = self._ip.take(frame.wire, frame.number, packet)
            if whole is None:
                fragment = headers.fragment
                return headers, IpFragment(fragment.identification, fragment.offset)
            packet, headers = whole.packet, dissect_ip(whole.packet)
            self._tell(whole.frames, frame.number)
        match headers.carried:
            case Esp() as esp:
                opened = self._esp.open(esp, headers, packet, frame.wire, frame.number)
                return headers, _unless_late(opened, frame)
            case Isakmp() as header:
                return headers, self._read_ike(header, frame)
            case Ah() as ah:
                opened = self._ah.open(ah, headers, packet, frame.wire, frame.number)
                return headers, _unless_late(opened, frame)
            case NatKeepalive():
                return headers, KEEPALIVE
        return headers, UNRELATED

    def _read_ike(self, header: Isakmp, frame: CapturedFrame) -> Ike:
        known = self._datagrams.get(header.data)
        if known is not None:
            wire, place = known
            before = self.entries[place]
            if isinstance(before.content, Ike):
                return before.content._replace(
                    repeats=before.number, elsewhere=wire != frame.wire or bool(frame.late_of)
                )
        self._datagrams[header.data] = (frame.wire, len(self.entries))
        try:
            message = decode(header.data)
        except Malformed as malformed:
            return Ike(header, None, (), Status.MALFORMED, str(malformed))
        if message.major_version == 1:
            opened = self._v1.open(message, frame.number)
        elif message.major_version == 2:
            opened = self._v2.open(message, header.data, frame.number)
        else:
            detail = f"IKE has no major version {message.major_version}"
            opened = Opened(message.payloads, Status.MALFORMED, detail)
        self._tell(opened.frames, frame.number)
        self._esp.negotiated.update(_child_spis(opened.payloads))
        return Ike(
            header,
            message,
            opened.payloads,
            opened.status,
            opened.detail,
            opened.authentic,
            fragment=opened.fragment,
            whole_in=frame.number if opened.frames else 0,
            frames=opened.frames or (frame.number,),
            proof=opened.proof,
        )

    def _tell(self, frames: tuple[int, ...], whole_in: int) -> None:
        """Say in the entries of fragments which frame made them whole."""
        for number in frames:
            place = self._places.get(number)
            if place is None:
                continue
            entry = self.entries[place]
            match entry.content:
                case Ike(status=Status.FRAGMENT) | IpFragment():
                    content = entry.content._replace(whole_in=whole_in)
                    self.entries[place] = entry._replace(content=content)


def _cut(content: Content, frame: CapturedFrame) -> Content:
    """Why a packet could not be read of which the capture lacks the end."""
    if not isinstance(content, Ike | Ipsec) or content.status not in _WRONG_IF_CUT:
        return content
    size = len(frame.data)
    detail = f"the capture has only {size} of its {size + frame.missing} octets"
    return content._replace(status=Status.CUT, detail=detail, authentic=None)


def _unless_late(content: Ipsec, frame: CapturedFrame) -> Ipsec:
    """The packet as no replay where the wire kept it back and the receiver gets it only now."""
    if frame.late_of and content.replays == frame.late_of:
        return content._replace(replays=0, forwards=frame.late_of)
    return content


def _child_spis(payloads: Iterable[Payload]) -> Iterator[int]:
    """The SPIs of ESP in the proposals of either version, which number it alike."""
    for payload in payloads:
        if isinstance(payload, payloads_v1.SecurityAssociation | payloads_v2.SecurityAssociation):
            for proposal in payload.proposals:
                if proposal.protocol == ProtocolId.ESP and len(proposal.spi) == 4:
                    yield int.from_bytes(proposal.spi, "big")
