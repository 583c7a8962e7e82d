# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that does wrong or rare things on purpose, a few lines each.

A script is given to an endpoint as its seam. It has rules; each says which messages it is for and
what becomes of them, and is used up after `times` messages:

    script = Script()
    endpoint = Endpoint(connections, draw, seam=script)
    held = script.sent(exchange=QUICK_MODE).hold()
    script.received(exchange=INFORMATIONAL, times=ALWAYS).drop()
    script.sent(exchange=IDENTITY_PROTECTION).replace(with_header(version=0x11, flags=0xFF))
    script.sent(notify=NO_PROPOSAL_CHOSEN).replace(in_clear)
    ...
    held.release(endpoint, now)

Nonces, cookies and SPIs are chosen with `chance.choosing`, any exchange is begun at any time with
`Endpoint.send`, any datagram is sent with `Endpoint.inject`. A rule looks at messages in clear:
after opening, before sealing. What it replaces is sealed as it stands, with every header field;
`Forged` and `RawPayload` of the codec break what a message cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.ike.address import Address, Datagram
from harness.ike.constants_v1 import Flag
from harness.ike.payload import Payload, every
from harness.ike.payloads_v1 import Notification
from harness.ike.v1.seam import Plain

Change = Callable[[Plain], Plain | None]
"""Another message in the place of one, or None for none: it is sealed and can be repeated."""

ALWAYS = 1 << 62
"""For rules that are never used up."""


class Receiver(Protocol):
    """The part of an endpoint that released messages go to."""

    def receive(
        self, datagram: bytes, source: Address, now: float, destination: Address | None = None
    ) -> None:
        """Take a UDP payload."""
        ...

    def inject(self, datagram: Datagram) -> None:
        """Send a datagram."""
        ...


class Held:
    """Messages that a rule holds back, in the order in which they came."""

    def __init__(self, *, sent: bool) -> None:
        self._sent = sent
        self.messages: list[tuple[Plain, tuple[Datagram, ...]]] = []

    def release(self, endpoint: Receiver, now: float, which: int = 0) -> Plain:
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
class Rule:
    """Which messages, and what becomes of them; without a verb it only counts them in `met`.

    `skip` messages that match pass first, then `times` are treated. None matches anything.
    """

    sent: bool
    exchange: int | None = None
    message_id: int | None = None
    notify: int | None = None
    skip: int = 0
    times: int = 1
    met: int = 0
    change: Change | None = None
    held: Held | None = None
    copies: int | None = None

    def drop(self) -> Rule:
        """Lose them; each repetition counts as a message of its own."""
        self.copies = 0
        return self

    def repeat(self, copies: int = 2) -> Rule:
        """Send them that many times."""
        self.copies = copies
        return self

    def hold(self) -> Held:
        """Keep them back until they are released."""
        self.held = Held(sent=self.sent)
        return self.held

    def replace(self, change: Change) -> Rule:
        """Put what `change` makes of them in their place."""
        self.change = change
        return self

    def takes(self, plain: Plain) -> bool:
        """Whether it is for this message; counts it."""
        message = plain.message
        wanted = (
            self.exchange in (None, message.exchange)
            and self.message_id in (None, message.message_id)
            and (
                self.notify is None
                or any(
                    one.notify_type == self.notify for one in every(plain.payloads, Notification)
                )
            )
        )
        if not wanted:
            return False
        self.met += 1
        return self.skip < self.met <= self.skip + self.times


@dataclass(eq=False, slots=True)
class Script:
    """Rules for the messages of one endpoint, asked in the order in which they were made."""

    rules: list[Rule] = field(default_factory=list)

    def sent(
        self,
        *,
        exchange: int | None = None,
        message_id: int | None = None,
        notify: int | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> Rule:
        """A rule for messages that this endpoint sends."""
        return self._add(Rule(True, exchange, message_id, notify, skip, times))

    def received(
        self,
        *,
        exchange: int | None = None,
        message_id: int | None = None,
        notify: int | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> Rule:
        """A rule for messages that this endpoint receives and could open."""
        return self._add(Rule(False, exchange, message_id, notify, skip, times))

    def sending(self, plain: Plain) -> Plain | None:
        """See Seam."""
        return self._changed(plain, sent=True)

    def transmitting(self, plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """See Seam."""
        for rule in self.rules:
            if rule.sent and rule.change is None and rule.takes(plain):
                if rule.held is not None:
                    rule.held.messages.append((plain, datagrams))
                    return ()
                if rule.copies is not None:
                    return datagrams * rule.copies
        return datagrams

    def receiving(self, plain: Plain, arrived: Datagram) -> Plain | None:
        """See Seam."""
        for rule in self.rules:
            if not rule.sent and rule.change is None and rule.takes(plain):
                if rule.held is not None:
                    rule.held.messages.append((plain, (arrived,)))
                    return None
                if rule.copies == 0:
                    return None
        return self._changed(plain, sent=False)

    def _changed(self, plain: Plain, *, sent: bool) -> Plain | None:
        for rule in self.rules:
            if rule.sent is sent and rule.change is not None and rule.takes(plain):
                changed = rule.change(plain)
                if changed is None:
                    return None
                plain = changed
        return plain

    def _add(self, rule: Rule) -> Rule:
        self.rules.append(rule)
        return rule


def with_payloads(*payloads: Payload) -> Change:
    """A change that puts payloads behind those of a message."""
    return lambda plain: plain.forged(payloads=(*plain.payloads, *payloads))


def with_header(**fields: Any) -> Change:
    """A change of header fields: version, flags, message_id, length, next_payload, the SPIs."""
    return lambda plain: plain.forged(**fields)


def with_padding(padding: bytes) -> Change:
    """A change of what stands behind the payloads before they are encrypted."""
    return lambda plain: replace(plain, padding=padding)


def in_clear(plain: Plain) -> Plain:
    """A change that leaves a message unencrypted and without a HASH."""
    return plain.forged(flags=plain.message.flags & ~Flag.ENCRYPTION)


def without(payload_type: int) -> Change:
    """A change that leaves out every payload of a type."""
    return lambda plain: plain.forged(
        payloads=tuple(one for one in plain.payloads if one.payload_type != payload_type)
    )
