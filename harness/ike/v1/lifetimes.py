# SPDX-License-Identifier: GPL-2.0-or-later
"""Lifetimes in proposals, and what a responder does with those that it is offered.

RFC 2409 appendix A and RFC 2407 4.5 write them alike under other attribute numbers: a life type,
then the duration of that type; a duration that fits in 16 bits is a basic attribute, a longer one
four octets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import LifeType
from harness.ike.v1.configuration import Lifetime, LifetimeCheck
from harness.ike.v1.refusal import Unacceptable

_LONGEST = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class AgreedLifetime:
    """What a responder goes by, and whether the initiator must be told (RFC 2407 4.6.3.1)."""

    lifetime: Lifetime
    announce: bool = False


def lifetime_attributes(lifetime: Lifetime, life_type: int, duration: int) -> list[Attribute]:
    """The attributes of a lifetime, with the phase's numbers for life type and duration."""
    found = []
    for kind, amount in (
        (LifeType.SECONDS, lifetime.seconds),
        (LifeType.KILOBYTES, lifetime.kilobytes),
    ):
        if amount:
            found += [Attribute(life_type, int(kind)), Attribute.shortest(duration, amount)]
    return found


def read_lifetime(attributes: Iterable[Attribute], life_type: int, duration: int) -> Lifetime:
    """The lifetime in a transform or RESPONDER-LIFETIME; 0 where nothing is said.

    Raises `Unacceptable` for a duration without a known type before it.
    """
    amounts = {LifeType.SECONDS: 0, LifeType.KILOBYTES: 0}
    kind = None
    for attribute in attributes:
        if attribute.type == life_type:
            kind = attribute.number
        elif attribute.type == duration:
            if kind not in (LifeType.SECONDS, LifeType.KILOBYTES):
                raise Unacceptable(f"a life duration without a known life type ({kind})")
            amounts[LifeType(kind)] = min(attribute.number, _LONGEST)
            kind = None
    return Lifetime(amounts[LifeType.SECONDS], amounts[LifeType.KILOBYTES])


def agreed_lifetime(check: LifetimeCheck, own: Lifetime, offered: Lifetime) -> AgreedLifetime:
    """What a responder makes of an offered lifetime; raises `Unacceptable`.

    An offer of nothing in phase 2 stands for 28,800 seconds (RFC 2407 4.5).
    """
    if check is LifetimeCheck.OBEY or own == offered:
        return AgreedLifetime(offered)
    if check is LifetimeCheck.EXACT:
        raise Unacceptable(f"lifetime {offered}, and only {own} is acceptable")
    shorter = Lifetime(
        _shorter(own.seconds, offered.seconds), _shorter(own.kilobytes, offered.kilobytes)
    )
    if shorter == offered:
        return AgreedLifetime(offered)
    if check is LifetimeCheck.STRICT:
        raise Unacceptable(f"lifetime {offered}, which is longer than the own {own}")
    return AgreedLifetime(shorter, announce=True)


def shorter_lifetime(one: Lifetime, other: Lifetime) -> Lifetime:
    """What ends first, in seconds and in kilobytes."""
    return Lifetime(_shorter(one.seconds, other.seconds), _shorter(one.kilobytes, other.kilobytes))


def _shorter(one: int, other: int) -> int:
    """The smaller one, where 0 is without limit."""
    return min(one or _LONGEST + 1, other or _LONGEST + 1) % (_LONGEST + 1)
