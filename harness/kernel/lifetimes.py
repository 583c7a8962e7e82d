# SPDX-License-Identifier: GPL-2.0-or-later
"""How long an SA or a policy lives, and how much of that is used up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from harness.kernel.numbers import UNLIMITED
from harness.kernel.plain import fields_of
from harness.kernel.structures import LIFETIME_CONFIGURATION, LIFETIME_CURRENT


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Limits: at a soft one the kernel tells of it, at a hard one it removes the SA or policy.

    Seconds count from the installation, `use` seconds from the first use; 0 is no limit, as it is
    in the kernel. Bytes and packets are None where there is no limit (XFRM_INF).
    """

    soft_seconds: int = 0
    hard_seconds: int = 0
    soft_use_seconds: int = 0
    hard_use_seconds: int = 0
    soft_bytes: int | None = None
    hard_bytes: int | None = None
    soft_packets: int | None = None
    hard_packets: int | None = None

    def as_json(self) -> dict[str, int | None]:
        """The limits as plain values."""
        return fields_of(self)


@dataclass(frozen=True, slots=True)
class Usage:
    """What went through so far; `added` and first `used` are seconds of the epoch, 0 is never."""

    bytes: int = 0
    packets: int = 0
    added: int = 0
    used: int = 0

    def as_json(self) -> dict[str, int]:
        """The counters as plain values."""
        return fields_of(self)


NO_LIFETIMES = Lifetimes()
UNUSED = Usage()


@lru_cache(maxsize=256)
def read_lifetimes(data: bytes) -> Lifetimes:
    """The limits in an xfrm_lifetime_cfg; raises MalformedMessage."""
    record = LIFETIME_CONFIGURATION.unpack(data)
    return Lifetimes(
        soft_seconds=record.soft_add_expires_seconds,
        hard_seconds=record.hard_add_expires_seconds,
        soft_use_seconds=record.soft_use_expires_seconds,
        hard_use_seconds=record.hard_use_expires_seconds,
        soft_bytes=_limit(record.soft_byte_limit),
        hard_bytes=_limit(record.hard_byte_limit),
        soft_packets=_limit(record.soft_packet_limit),
        hard_packets=_limit(record.hard_packet_limit),
    )


def write_lifetimes(lifetimes: Lifetimes) -> bytes:
    """The limits as an xfrm_lifetime_cfg."""
    return LIFETIME_CONFIGURATION.pack(
        soft_byte_limit=_counter(lifetimes.soft_bytes),
        hard_byte_limit=_counter(lifetimes.hard_bytes),
        soft_packet_limit=_counter(lifetimes.soft_packets),
        hard_packet_limit=_counter(lifetimes.hard_packets),
        soft_add_expires_seconds=lifetimes.soft_seconds,
        hard_add_expires_seconds=lifetimes.hard_seconds,
        soft_use_expires_seconds=lifetimes.soft_use_seconds,
        hard_use_expires_seconds=lifetimes.hard_use_seconds,
    )


def read_usage(data: bytes) -> Usage:
    """The counters in an xfrm_lifetime_cur; raises MalformedMessage."""
    return Usage(*LIFETIME_CURRENT.unpack(data))


def write_usage(usage: Usage) -> bytes:
    """The counters as an xfrm_lifetime_cur; what the kernel sends, never what it takes."""
    return LIFETIME_CURRENT.pack(
        bytes=usage.bytes, packets=usage.packets, add_time=usage.added, use_time=usage.used
    )


def _limit(value: int) -> int | None:
    return None if value == UNLIMITED else value


def _counter(value: int | None) -> int:
    return UNLIMITED if value is None else value
