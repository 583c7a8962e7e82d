# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKE messages of a capture by the IKE SA that they belong to, repetitions folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from harness.capture.entries import Entry, Ike, Status
from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike.payload import Payload, every, first

P = TypeVar("P")

V1_NAMES = {
    n1.ExchangeType.IDENTITY_PROTECTION: "Main Mode",
    n1.ExchangeType.AGGRESSIVE: "Aggressive Mode",
    n1.ExchangeType.QUICK_MODE: "Quick Mode",
    n1.ExchangeType.INFORMATIONAL: "Informational",
}


LOST = ("dropped", "the wire is cut")
"""What a lab's wire notes of a frame that it did not carry."""


@dataclass(slots=True)
class Message:
    """An IKE message, whole: `again` are its repetitions on the same wire.

    `onward` is where it was on the wires behind that one, between a router and its receiver.
    """

    entry: Entry
    ike: Ike
    again: list[Entry] = field(default_factory=list)
    onward: list[Entry] = field(default_factory=list)

    @property
    def number(self) -> int:
        """The frame that it was first in, or that completed it."""
        return self.entry.number

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frames that it was in, each time."""
        return (self.entry.number, *(one.number for one in self.again))

    @property
    def lost(self) -> bool:
        """Whether the wire let it through at no time, as those of a lab note."""
        return all(one.frame.comment in LOST for one in (self.entry, *self.again))

    def repeated_after(self, other: Message) -> int:
        """How often it was repeated after another one came for the last time."""
        return sum(1 for number in self.numbers if number > other.numbers[-1])

    @property
    def sender(self) -> str:
        """The node that sent it, or its address."""
        return self.entry.sender

    @property
    def receiver(self) -> str:
        """The node that it went to, or its address."""
        return (self.onward or [self.entry])[-1].receiver

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """All that can be read of it."""
        return self.ike.payloads

    @property
    def exchange(self) -> int:
        """The exchange type of its header."""
        return self.ike.header.exchange_type

    @property
    def message_id(self) -> int:
        """The message id of its header."""
        return self.ike.header.message_id

    @property
    def response(self) -> bool:
        """Whether it is a response of IKEv2."""
        return bool(self.ike.header.flags & n2.Flag.RESPONSE)

    @property
    def readable(self) -> bool:
        """Whether its content is known."""
        return self.ike.readable

    def one(self, kind: type[P], payload_type: int | None = None) -> P | None:
        """Its first payload of a class (and type)."""
        return first(self.payloads, kind, payload_type)

    def all(self, kind: type[P], payload_type: int | None = None) -> tuple[P, ...]:
        """All its payloads of a class (and type)."""
        return every(self.payloads, kind, payload_type)


@dataclass(slots=True)
class Negotiation:
    """The messages under one initiator's SPI or cookie, in their order.

    `pieces` are fragments of messages that never came together.
    """

    version: int
    spi: bytes
    messages: list[Message] = field(default_factory=list)
    pieces: list[Message] = field(default_factory=list)

    @property
    def initiator(self) -> str:
        """Who sent the first message that was seen."""
        return (self.messages or self.pieces)[0].sender

    @property
    def responder(self) -> str:
        """To whom."""
        return (self.messages or self.pieces)[0].receiver

    @property
    def start(self) -> int:
        """The frame of the first message."""
        return (self.messages or self.pieces)[0].number

    def after(self, message: Message) -> Iterator[Message]:
        """The messages behind one."""
        return (one for one in self.messages if one.number > message.number)


def negotiations(entries: Iterable[Entry]) -> list[Negotiation]:
    """The negotiations of a capture, in the order of their first messages."""
    found: dict[tuple[int, bytes], Negotiation] = {}
    placed: dict[int, Message] = {}
    for entry in entries:
        ike = entry.content
        if not isinstance(ike, Ike):
            continue
        if ike.repeats:
            if ike.repeats in placed:
                before = placed[ike.repeats]
                (before.onward if ike.elsewhere else before.again).append(entry)
            continue
        header = ike.header
        key = (header.major_version, header.initiator_spi)
        negotiation = found.setdefault(key, Negotiation(*key))
        message = placed[entry.number] = Message(entry, ike)
        if ike.status is not Status.FRAGMENT:
            negotiation.messages.append(message)
        elif not ike.whole_in:
            negotiation.pieces.append(message)
    return [one for one in found.values() if one.messages or one.pieces]
