# SPDX-License-Identifier: GPL-2.0-or-later
"""Randomness as a parameter that says what it is for, so that a test can choose any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from harness.ike.key_exchange import Randomness


class Purpose(StrEnum):
    """What random octets are wanted for, in either version or in one of them."""

    IKE_SPI = "ike-spi"
    CHILD_SPI = "child-spi"
    NONCE = "nonce"
    SECRET = "secret"
    COOKIE = "cookie"
    IV = "iv"
    SIGNATURE = "signature"
    LINK = "link"
    JITTER = "jitter"
    MESSAGE_ID = "message-id"
    PADDING = "padding"
    DPD_SEQUENCE = "dpd-sequence"
    NAT_DISGUISE = "nat-disguise"


Draw = Callable[[Purpose, int], bytes]
"""Gives that many octets for that purpose."""


def from_randomness(randomness: Randomness) -> Draw:
    """A draw that takes everything from one source, such as `os.urandom`."""
    return lambda purpose, size: randomness(size)


def choosing(draw: Draw, purpose: Purpose, values: Iterable[bytes]) -> Draw:
    """A draw that first gives these values for one purpose, in order and whatever their size."""
    remaining = iter(tuple(values))

    def chosen(wanted: Purpose, size: int) -> bytes:
        if wanted is purpose:
            for value in remaining:
                return value
        return draw(wanted, size)

    return chosen


def earlier(draw: Draw, seconds: float, jitter: float) -> float:
    """A time up to `jitter` seconds before `seconds`, every one as likely as any other."""
    if not jitter:
        return seconds
    part = int.from_bytes(draw(Purpose.JITTER, 4), "big") / 2**32
    return max(0.0, seconds - jitter * part)


def drawing(draw: Draw, purpose: Purpose) -> Randomness:
    """The randomness for one purpose, as algorithms take it."""
    return lambda size: draw(purpose, size)
