# SPDX-License-Identifier: GPL-2.0-or-later
"""How a test makes an endpoint do anything at all with the messages that it sends and receives.

    script = Script()
    endpoint = Endpoint(connections, draw, seam=script)
    script.on_send(lambda plain: plain.forged(flags=0xFF, version=0x11))
    script.on_send(once(lambda plain: plain.is_exchange(QUICK_MODE), lambda plain: None))
    held = script.hold(lambda plain: plain.is_exchange(INFORMATIONAL))

`Forged` and `RawPayload` of the codec break what a `Message` cannot, `chance.choosing` chooses
nonces and SPIs, and `Endpoint.send` starts any exchange at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.ike.v1.seam import Plain
from harness.ike.v2.address import Datagram

Condition = Callable[[Plain], bool]
Rule = Callable[[Plain], Plain | None]
Transmission = Callable[[Plain, tuple[Datagram, ...]], Sequence[Datagram]]


class Held:
    """The datagrams that a rule keeps back, in order; the test sends them, or does not."""

    def __init__(self) -> None:
        self.datagrams: list[Datagram] = []
        self.holding = True

    def release(self) -> tuple[Datagram, ...]:
        """What was held, to be delivered in any order; nothing more is held."""
        self.holding = False
        found = tuple(self.datagrams)
        self.datagrams.clear()
        return found


class Script:
    """The rules of one endpoint; each is given what the rules before it let through."""

    def __init__(self) -> None:
        self._sending: list[Rule] = []
        self._transmitting: list[Transmission] = []
        self._receiving: list[Rule] = []

    def on_send(self, rule: Rule) -> None:
        """Change or drop messages before they are sealed."""
        self._sending.append(rule)

    def on_receive(self, rule: Rule) -> None:
        """Change or drop messages after they were opened and found authentic."""
        self._receiving.append(rule)

    def on_transmit(self, rule: Transmission) -> None:
        """Change, drop, repeat or reorder what goes out, repetitions as well."""
        self._transmitting.append(rule)

    def hold(self, when: Condition) -> Held:
        """Keep back what goes out while it meets the condition, until it is released."""
        held = Held()

        def keep(plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
            if not held.holding or not when(plain):
                return datagrams
            held.datagrams += datagrams
            return ()

        self.on_transmit(keep)
        return held

    def clear(self) -> None:
        """Forget all rules."""
        for rules in (self._sending, self._transmitting, self._receiving):
            rules.clear()

    def sending(self, plain: Plain) -> Plain | None:
        """See Seam."""
        return _passed(self._sending, plain)

    def transmitting(self, plain: Plain, datagrams: tuple[Datagram, ...]) -> Sequence[Datagram]:
        """See Seam."""
        for rule in tuple(self._transmitting):
            datagrams = tuple(rule(plain, datagrams))
        return datagrams

    def receiving(self, plain: Plain, arrived: Datagram) -> Plain | None:
        """See Seam."""
        return _passed(self._receiving, plain)


def _passed(rules: Sequence[Rule], plain: Plain) -> Plain | None:
    for rule in tuple(rules):
        changed = rule(plain)
        if changed is None:
            return None
        plain = changed
    return plain


def once(when: Condition, then: Rule) -> Rule:
    """A rule that acts on the first message that meets a condition, and lets all others pass."""
    waiting = [then]

    def rule(plain: Plain) -> Plain | None:
        return waiting.pop()(plain) if waiting and when(plain) else plain

    return rule
