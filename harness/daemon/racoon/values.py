# SPDX-License-Identifier: GPL-2.0-or-later
"""The values in a racoon.conf, read from the arguments of a statement.

What is no such value is `Misplaced`, with the token and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Literal, TypeVar

from harness.daemon.racoon.lexer import Misplaced, Token
from harness.daemon.racoon.syntax import Arguments
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    KEY_EXCHANGES,
    PRFS,
    Encryption,
    Integrity,
    KeyExchange,
    Prf,
)
from harness.ike.v1.configuration import Lifetime, LifetimeCheck, Phase1Mode

T = TypeVar("T")
Algorithm = TypeVar("Algorithm", Integrity, Prf, KeyExchange)

LONGEST = 0xFFFFFFFF
_SECONDS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("hour", "hours"), 3600),
}
_KILOBYTES = {"KB": 1, "MB": 1024, "GB": 1024 * 1024}
_DEFAULT_BITS = 128


def _named(records: Iterable[Algorithm]) -> dict[str, Algorithm]:
    return {one.names.racoon: one for one in records if one.names.racoon is not None}


_PRFS = _named(PRFS)
_INTEGRITIES = {name: one for name, one in _named(INTEGRITIES).items() if one.auth_id is not None}
_GROUPS = {
    **_named(KEY_EXCHANGES),
    **{str(one.id): one for one in KEY_EXCHANGES if one.names.racoon is not None},
}
_CIPHERS = [one for one in ENCRYPTIONS if one.names.racoon is not None]


def one_of(table: Mapping[str, T], what: str) -> Callable[[Arguments], T]:
    """A reader of one of these words."""

    def read(arguments: Arguments) -> T:
        token = arguments.take(what)
        if token.text not in table:
            raise Misplaced(token, f"{what} is one of {', '.join(table)}")
        return table[token.text]

    return read


SWITCH = one_of({"on": True, "off": False}, "on or off")
NAT = one_of({name: name for name in ("on", "off", "force")}, "a use of NAT traversal")
CHECK = one_of({check.value: check for check in LifetimeCheck}, "a level")
METHOD = one_of({name: name for name in ("pre_shared_key", "rsasig")}, "a method")
HASH = one_of(_PRFS, "a hash")
GROUP = one_of(_GROUPS, "a group")
AUTHENTICATION = one_of(_INTEGRITIES, "an authentication algorithm")


def text(arguments: Arguments) -> str:
    """A word or a string."""
    return arguments.take("a name").text


def number(least: int, most: int) -> Callable[[Arguments], int]:
    """A reader of whole numbers in a range."""

    def read(arguments: Arguments) -> int:
        token = arguments.take("a number")
        if not re.fullmatch(r"[0-9]{1,10}", token.text) or not least <= int(token.text) <= most:
            raise Misplaced(token, f"a number from {least} to {most} is expected here")
        return int(token.text)

    return read


def fixed(*words: str) -> Callable[[Arguments], None]:
    """A reader of the only values that ikelabd has for a statement."""

    def read(arguments: Arguments) -> None:
        token = arguments.take(words[0])
        if token.text not in words:
            raise Misplaced(token, f"ikelabd has only {' or '.join(words)} here")

    return read


def several(read: Callable[[Arguments], T]) -> Callable[[Arguments], tuple[T, ...]]:
    """A reader of values with commas between them."""

    def read_all(arguments: Arguments) -> tuple[T, ...]:
        found = [read(arguments)]
        while arguments.skip(","):
            found.append(read(arguments))
        return tuple(found)

    return read_all


def mode(arguments: Arguments) -> Phase1Mode:
    """A mode of phase 1."""
    token = arguments.take("a mode")
    if token.text == "base":
        raise Misplaced(token, "ikelabd has no Base Mode; use main or aggressive")
    if token.text not in list(Phase1Mode):
        raise Misplaced(token, "a mode is one of main, aggressive")
    return Phase1Mode(token.text)


def seconds(arguments: Arguments) -> int:
    """A time with its unit: ``3 min``."""
    amount = number(1, LONGEST)(arguments)
    token = arguments.take("a unit of time")
    if token.text not in _SECONDS:
        raise Misplaced(token, "a unit of time is one of sec, min, hour")
    if amount * _SECONDS[token.text] > LONGEST:
        raise Misplaced(token, f"the time is longer than {LONGEST} seconds")
    return amount * _SECONDS[token.text]


def lifetime(arguments: Arguments) -> Lifetime:
    """``time 3 min`` or ``byte 10 MB``."""
    token = arguments.take("time or byte")
    if token.text == "time":
        return Lifetime(seconds(arguments))
    if token.text != "byte":
        raise Misplaced(token, "a lifetime is in time or in byte")
    amount = number(1, LONGEST)(arguments)
    unit = arguments.take("a unit of size")
    if unit.text not in _KILOBYTES:
        raise Misplaced(unit, "a unit of size is one of KB, MB, GB")
    if amount * _KILOBYTES[unit.text] > LONGEST:
        raise Misplaced(unit, f"the amount is more than {LONGEST} KB")
    return Lifetime(kilobytes=amount * _KILOBYTES[unit.text])


def _cipher(phase: Literal[1, 2]) -> Callable[[Arguments], Encryption]:
    ciphers = [one for one in _CIPHERS if phase == 2 or one.phase1_id is not None]
    known = tuple(dict.fromkeys(str(one.names.racoon) for one in ciphers))

    def read(arguments: Arguments) -> Encryption:
        token = arguments.take("an encryption algorithm")
        name = "aes" if token.text == "rijndael" else token.text
        named = [one for one in ciphers if one.names.racoon == name]
        if not named:
            raise Misplaced(token, f"an encryption algorithm is one of {', '.join(known)}")
        size = arguments.here
        if size.quoted or not size.text.isdigit():
            return next((one for one in named if one.key_bits == _DEFAULT_BITS), named[0])
        arguments.take("a key length")
        for one in named:
            if str(one.key_bits) == size.text:
                return one
        bits = [one.key_bits for one in named]
        shown = f"from {bits[0]} to {bits[-1]}" if len(bits) > 4 else "/".join(map(str, bits))
        raise Misplaced(size, f"{token} has keys of {shown} bits")

    return read


PHASE1_CIPHER = _cipher(1)
PHASE2_CIPHER = _cipher(2)


def address(token: Token) -> str:
    """An IPv4 or IPv6 address."""
    try:
        return str(ip_address(token.text))
    except ValueError:
        raise Misplaced(token, "an address is expected here, such as 10.0.0.1") from None


def port(arguments: Arguments) -> int | None:
    """A port in brackets, None without one."""
    if not arguments.skip("["):
        return None
    token = arguments.take("a port")
    if token.text != "any" and not re.fullmatch(r"[0-9]{1,5}", token.text):
        raise Misplaced(token, "a port is a number or any")
    if not arguments.skip("]"):
        raise Misplaced(arguments.here, "a ] is missing before this")
    return 0 if token.text == "any" else int(token.text)


def selector(arguments: Arguments) -> str:
    """``address ADDRESS[/LENGTH] [[PORT]] PROTOCOL`` with any port and protocol, as a network."""
    kind = arguments.take("address or subnet")
    if kind.text not in ("address", "subnet"):
        raise Misplaced(kind, "ikelabd finds a sainfo by address only; write anonymous or address")
    token = arguments.take("an address")
    try:
        found = str(ip_network(token.text))
    except ValueError:
        raise Misplaced(token, "an address or network is expected here, such as 10.1.0.0/16")\
            from None  # fmt: skip
    at = arguments.here
    if port(arguments) not in (None, 0):
        raise Misplaced(at, "ikelabd protects all ports for racoon; write [any] or nothing")
    protocol = arguments.take("a protocol")
    if protocol.text not in ("any", "0"):
        raise Misplaced(protocol, "ikelabd protects all protocols for racoon; write any")
    return found
