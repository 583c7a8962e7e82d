# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that does wrong or rare things on purpose, a few lines each.

A script is given to an endpoint as its seam. It has rules; each says which messages it is for and
what becomes of them, and is used up after `times` messages. With IKEv2:

    script = Script()
    endpoint = Endpoint(local, connections, draw, seam=script)
    held = script.sent(exchange=CREATE_CHILD_SA, response=True).hold()
    script.received(exchange=INFORMATIONAL).drop()
    script.sent(exchange=IKE_AUTH).replace(with_payloads(Notify(61_234)))
    script.received(exchange=CREATE_CHILD_SA, response=False).answer(Notify(TEMPORARY_FAILURE))
    ...
    held.release(endpoint, now)

and with IKEv1:

    script.received(exchange=INFORMATIONAL, times=ALWAYS).drop()
    script.sent(exchange=IDENTITY_PROTECTION).replace(with_header(version=0x11, flags=0xFF))
    script.sent(notify=NO_PROPOSAL_CHOSEN).replace(in_clear)

Nonces, cookies, SPIs and secrets are chosen with `chance.choosing`, any exchange is begun at any
time with `Commands.exchange` (IKEv1: `Endpoint.send`), any datagram is sent with
`Endpoint.inject`. A rule looks at messages in clear: after opening, before sealing. What it
replaces is sealed as it stands, with every header field; `Forged` and `RawPayload` of the codec
break what a message cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from harness.ike.address import Address, Datagram
from harness.ike.constants_v2 import Flag
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import Notification
from harness.ike.payloads_v2 import Notify
from harness.ike.wire import Message

ALWAYS = 1 << 62
"""For rules that are never used up."""


class Clear(Protocol):
    """A message whose payloads are in clear, of either version."""

    @property
    def message(self) -> Message:
        """Its header and payloads."""
        ...

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The payloads in clear."""
        ...

    def forged(self, **changes: Any) -> Self:
        """The same message with other header fields or payloads, by their names in `Message`."""
        ...


P = TypeVar("P", bound=Clear)

Change = Callable[[P], P | None]
"""Another message in the place of one, or None for none: it is sealed and can be repeated."""


class Receiver(Protocol):
    """The part of an endpoint that released messages go to."""

    def receive(
        self, octets: bytes, source: Address, now: float, destination: Address | None = None, /
    ) -> None:
        """Take a UDP payload."""
        ...

    def inject(self, datagram: Datagram) -> None:
        """Send a datagram."""
        ...


class Held(Generic[P]):
    """Messages that a rule holds back, in the order in which they came; whole, not in fragments."""

    def __init__(self, *, sent: bool) -> None:
        self._sent = sent
        self.messages: list[tuple[P, tuple[Datagram, ...]]] = []

    def release(self, endpoint: Receiver, now: float, which: int = 0) -> P:
        """Let one go on its way, the first unless told otherwise; raises `LookupError`.

        A message that was received passes the remaining rules again.
        """
        if not self.messages:
            raise LookupError("nothing is held; wait until the rule has met a message")
        plain, datagrams = self.messages.pop(which)
        for datagram in datagrams:
            if self._sent:
                endpoint.inject(datagram)
            else:
                endpoint.receive(datagram.data, datagram.source, now, datagram.destination)
        return plain


@dataclass(slots=True)
class Rule(Generic[P]):
    """Which messages, and what becomes of them; without a verb it only counts them in `met`.

    `skip` messages that match pass first, then `times` are treated. None matches anything.
    """

    sent: bool
    exchange: int | None = None
    response: bool | None = None
    message_id: int | None = None
    notify: int | None = None
    skip: int = 0
    times: int = 1
    met: int = 0
    change: Change[P] | None = None
    held: Held[P] | None = None
    answers: tuple[Payload, ...] | None = None
    copies: int | None = None

    def drop(self) -> Rule[P]:
        """Lose them; each repetition counts as a message of its own."""
        self.copies = 0
        return self

    def repeat(self, copies: int = 2) -> Rule[P]:
        """Send them that many times."""
        self.copies = copies
        return self

    def hold(self) -> Held[P]:
        """Keep them back until they are released."""
        self.held = Held(sent=self.sent)
        return self.held

    def replace(self, change: Change[P]) -> Rule[P]:
        """Put what `change` makes of them in their place."""
        self.change = change
        return self

    def answer(self, *payloads: Payload) -> Rule[P]:
        """Answer such requests with these payloads, without the engine ever seeing them.

        That is for IKEv2: IKEv1 has neither requests nor responses.
        """
        self.answers = payloads
        return self

    def takes(self, plain: P) -> bool:
        """Whether it is for this message; counts it."""
        message = plain.message
        wanted = (
            self.exchange in (None, message.exchange)
            and self.response in (None, bool(message.flags & Flag.RESPONSE))
            and self.message_id in (None, message.message_id)
            and (self.notify is None or self.notify in _notifies(plain))
        )
        if not wanted:
            return False
        self.met += 1
        return self.skip < self.met <= self.skip + self.times


@dataclass(eq=False, slots=True)
class Script(Generic[P]):
    """Rules for the messages of one endpoint, asked in the order in which they were made."""

    rules: list[Rule[P]] = field(default_factory=list)

    def sent(
        self,
        *,
        exchange: int | None = None,
        response: bool | None = None,
        message_id: int | None = None,
        notify: int | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> Rule[P]:
        """A rule for messages that this endpoint sends."""
        return self._add(Rule(True, exchange, response, message_id, notify, skip, times))

    def received(
        self,
        *,
        exchange: int | None = None,
        response: bool | None = None,
        message_id: int | None = None,
        notify: int | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> Rule[P]:
        """A rule for messages that this endpoint receives and could open."""
        return self._add(Rule(False, exchange, response, message_id, notify, skip, times))

    def sending(self, plain: P) -> P | None:
        """See Seam."""
        for rule in self.rules:
            if rule.sent and rule.change is not None and rule.takes(plain):
                changed = rule.change(plain)
                if changed is None:
                    return None
                plain = changed
        return plain

    def transmitting(self, plain: P, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """See Seam."""
        for rule in self.rules:
            if rule.sent and rule.change is None and rule.takes(plain):
                if rule.held is not None:
                    rule.held.messages.append((plain, datagrams))
                    return ()
                if rule.copies is not None:
                    return datagrams * rule.copies
        return datagrams

    def receiving(self, plain: P, arrived: Datagram) -> P | None:
        """See Seam."""
        for rule in self.rules:
            if rule.sent or rule.answers is not None or not rule.takes(plain):
                continue
            if rule.held is not None:
                rule.held.messages.append((plain, (arrived,)))
                return None
            if rule.copies == 0:
                return None
            if rule.change is not None:
                changed = rule.change(plain)
                if changed is None:
                    return None
                plain = changed
        return plain

    def answering(self, request: P) -> Sequence[Payload] | None:
        """See the Seam of IKEv2."""
        for rule in self.rules:
            if not rule.sent and rule.answers is not None and rule.takes(request):
                return rule.answers
        return None

    def _add(self, rule: Rule[P]) -> Rule[P]:
        self.rules.append(rule)
        return rule


def with_payloads(*payloads: Payload) -> Callable[[P], P]:
    """A change that puts payloads behind those of a message."""
    return lambda plain: plain.forged(payloads=(*plain.payloads, *payloads))


def with_header(**fields: int | bytes) -> Callable[[P], P]:
    """A change of header fields: version, flags, message_id, length, next_payload, the SPIs."""
    return lambda plain: plain.forged(**fields)


def without(payload_type: int) -> Callable[[P], P]:
    """A change that leaves out every payload of a type."""
    return lambda plain: plain.forged(
        payloads=tuple(one for one in plain.payloads if one.payload_type != payload_type)
    )


def _notifies(plain: Clear) -> set[int]:
    return {one.notify_type for one in plain.payloads if isinstance(one, Notification | Notify)}
