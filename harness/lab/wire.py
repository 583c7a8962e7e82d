# SPDX-License-Identifier: GPL-2.0-or-later
"""A wire as a scenario sees it: what passed over it, and how to disturb it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.capture.captured import of_recording
from harness.capture.decryption import Decryption, decrypt
from harness.capture.entries import Ipsec
from harness.capture.exchanges import REPLACED, Exchange, exchanges
from harness.capture.frames import ICMP, ICMPV6, Esp, Isakmp, dissect
from harness.capture.gathering import secrets_in
from harness.capture.recording import Frame
from harness.ike import constants_v1, constants_v2
from harness.ike.names import name_of
from harness.lab.background import Background
from harness.lab.held import Held
from harness.network.faults import FaultRule, Matches
from harness.network.wires import CarriedWire

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

RESPONSE = 0x20
"""The R flag of an IKEv2 header (RFC 7296 3.1)."""


EXCHANGES: Mapping[int, type[IntEnum]] = {
    1: constants_v1.ExchangeType,
    2: constants_v2.ExchangeType,
}
UNKNOWN = constants_v2.ExchangeType


@dataclass(frozen=True)
class IkeMessage:
    """An IKE message on the wire, as far as its header tells (RFC 7296 3.1).

    `number` is the frame's number in the capture, `time_ns` the lab's clock.
    """

    sender: str
    exchange: str
    response: bool
    message_id: int
    initiator_spi: bytes
    responder_spi: bytes
    data: bytes
    number: int
    time_ns: int

    def __str__(self) -> str:
        kind = "response" if self.response else "request"
        return f"{self.sender}: {self.exchange} {kind} {self.message_id}"


@dataclass(frozen=True)
class EspPacket:
    """An ESP packet on the wire (RFC 4303 2); SPI and sequence number in host order."""

    sender: str
    spi: int
    sequence: int
    number: int
    time_ns: int


class WireView:
    """A wire of a running network, for the scenario's thread."""

    def __init__(self, wire: CarriedWire, background: Background, folder: Path) -> None:
        self._wire = wire
        self._background = background
        self._folder = folder

    @property
    def name(self) -> str:
        """The wire's name."""
        return self._wire.name

    @property
    def frames(self) -> Sequence[Frame]:
        """Every frame so far, in order."""
        return self._wire.frames[:]

    @property
    def ike(self) -> list[IkeMessage]:
        """Every IKE message so far, in order; retransmissions too.

        Of a message that the wire changed it is the one that arrived.
        """
        sent = (frame for frame in self.frames if frame.fault != REPLACED)
        return [message for frame in sent if (message := _ike(frame)) is not None]

    def await_ike(
        self,
        exchange: str,
        *,
        sender: str,
        message_id: int | None = None,
        initiator_spi: int | None = None,
        since: int = 0,
        within: float = 10.0,
    ) -> IkeMessage:
        """The first IKE message of an exchange from a node, as soon as there is one.

        `initiator_spi` is that of its IKE SA, in host order, `since` a number of frames to pass
        over, `within` in seconds of lab time. Raises FrameNotSeen.
        """

        def matches(frame: Frame) -> bool:
            message = _ike(frame)
            return (
                message is not None
                and (message.exchange, message.sender) == (exchange, sender)
                and message_id in (None, message.message_id)
                and initiator_spi in (None, int.from_bytes(message.initiator_spi, "big"))
            )

        expected = f"{exchange} from {sender}"
        frame = self._background.run(
            self._wire.frames.first(matches, expected, since=since, deadline=within)
        )
        message = _ike(frame)
        assert message is not None, "the frame matched because it holds one"
        return message

    def await_frame(
        self, matches: Matches, expected: str, *, since: int = 0, within: float = 10.0
    ) -> Frame:
        """The first frame that matches, as soon as there is one; `expected` names it in a failure.

        `since` and `within` as in `await_ike`. Raises FrameNotSeen.
        """
        return self._background.run(
            self._wire.frames.first(matches, expected, since=since, deadline=within)
        )

    @property
    def esp(self) -> list[EspPacket]:
        """Every ESP packet so far, in order."""
        return [packet for frame in self.frames if (packet := _esp(frame)) is not None]

    def await_esp(self, *, sender: str, spi: int, count: int = 1, within: float = 10.0) -> None:
        """Return when so many more ESP packets with an SPI came from a node.

        Raises FrameNotSeen.
        """
        seen = 0

        def matches(frame: Frame) -> bool:
            nonlocal seen
            packet = _esp(frame)
            seen += packet is not None and (packet.sender, packet.spi) == (sender, spi)
            return seen == count

        self._background.run(
            self._wire.frames.first(
                matches,
                f"ESP 0x{spi:08x} from {sender}, {count} times",
                since=len(self._wire.frames),
                deadline=within,
            )
        )

    @property
    def exchanges(self) -> list[Exchange]:
        """The IKE exchanges so far, decrypted, in the order in which they began.

        They are compared by what they say: ``[Rekey(old.inbound), Delete(old.inbound)]``.
        """
        frames = [frame for frame in self.frames if _may_be_ike(frame)]
        return exchanges(decrypt(of_recording(frames), secrets_in(self._folder).secrets).entries)

    @property
    def decryption(self) -> Decryption:
        """Every frame so far, with the secrets that the run has by now: an entry for each."""
        return decrypt(of_recording(self.frames), secrets_in(self._folder).secrets)

    @property
    def inner(self) -> list[ScapyPacket]:
        """The packets inside ESP and AH so far, as scapy has them: ``packet[ICMP]``."""
        contents = (entry.content for entry in self.decryption.ipsec)
        inner = (one.inner for one in contents if isinstance(one, Ipsec))
        return [packet for packet in inner if packet is not None]

    def cut(self) -> None:
        """Let nothing through from now on; it is still recorded."""
        self._background.run(self._wire.cut())

    def restore(self) -> None:
        """Undo `cut`."""
        self._background.run(self._wire.restore())

    def drop(
        self,
        matches: Matches,
        *,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
    ) -> FaultRule:
        """Drop frames that match; a rule that no frame meets fails the run."""
        return self._background.call(
            lambda: self._wire.on(matches, sender=sender, nth=nth, times=times).drop()
        )

    def hold(
        self,
        matches: Matches,
        *,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
    ) -> Held:
        """Keep frames that match until they are released: so messages cross, or are late.

        Where only the first is meant, say so: it may be sent again meanwhile.
        """
        return Held(
            self._background.call(
                lambda: self._wire.on(matches, sender=sender, nth=nth, times=times).hold()
            ),
            self._background,
        )

    def delay(
        self,
        matches: Matches,
        seconds: float,
        *,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
    ) -> FaultRule:
        """Deliver frames that match so many seconds of lab time later."""
        return self._background.call(
            lambda: self._wire.on(matches, sender=sender, nth=nth, times=times).delay(seconds)
        )

    def duplicate(
        self,
        matches: Matches,
        copies: int = 1,
        *,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
    ) -> FaultRule:
        """Deliver frames that match, and at once so many more of each."""
        return self._background.call(
            lambda: self._wire.on(matches, sender=sender, nth=nth, times=times).duplicate(copies)
        )

    def replace(
        self,
        matches: Matches,
        change: Callable[[bytes], bytes],
        *,
        sender: str | None = None,
        nth: int | None = None,
    ) -> FaultRule:
        """Deliver what `change` makes of frames that match; a rule without a frame fails."""
        return self._background.call(
            lambda: self._wire.on(matches, sender=sender, nth=nth).replace(change)
        )

    def inject(self, sender: str, data: bytes) -> Frame:
        """Put a frame onto the wire as if a node had sent it."""
        return self._background.call(self._wire.inject, sender, data)


def is_esp(frame: Frame) -> bool:
    """Whether a frame holds ESP, in UDP or not."""
    return isinstance(dissect(frame.data).carried, Esp)


def is_ike(frame: Frame) -> bool:
    """Whether a frame holds an IKE message."""
    return isinstance(dissect(frame.data).carried, Isakmp)


def is_message(exchange: str, *, response: bool | None = None) -> Matches:
    """Picks the frames with an IKE message of an exchange, as in ``hold(is_message("IKE_AUTH"))``.

    Of IKEv2 only the responses, or the requests, with `response`; a fragment counts as a message.
    """

    def matches(frame: Frame) -> bool:
        message = _ike(frame)
        return (
            message is not None
            and message.exchange == exchange
            and response in (None, message.response)
        )

    return matches


def may_explain(frame: Frame) -> bool:
    """Whether a frame may tell of a negotiation: IKE, a part of a packet, or ICMP about one."""
    return _may_be_ike(frame) or dissect(frame.data).protocol in (ICMP, ICMPV6)


def _may_be_ike(frame: Frame) -> bool:
    """Whether a frame holds an IKE message, or a part of an IP packet, which may be one's."""
    headers = dissect(frame.data)
    return isinstance(headers.carried, Isakmp) or headers.fragment is not None


def _ike(frame: Frame) -> IkeMessage | None:
    header = dissect(frame.data).carried
    if not isinstance(header, Isakmp):
        return None
    return IkeMessage(
        sender=frame.sender,
        exchange=name_of(EXCHANGES.get(header.major_version, UNKNOWN), header.exchange_type),
        response=bool(header.flags & RESPONSE) if header.major_version == 2 else False,
        message_id=header.message_id,
        initiator_spi=header.initiator_spi,
        responder_spi=header.responder_spi,
        data=header.data,
        number=frame.number,
        time_ns=frame.time_ns,
    )


def _esp(frame: Frame) -> EspPacket | None:
    packet = dissect(frame.data).carried
    if not isinstance(packet, Esp):
        return None
    return EspPacket(frame.sender, packet.spi, packet.sequence, frame.number, frame.time_ns)
