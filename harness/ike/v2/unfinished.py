# SPDX-License-Identifier: GPL-2.0-or-later
"""A CREATE_CHILD_SA whose further key exchanges are still to come (RFC 9370 section 2.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.ike.transforms import KeyExchange as Method

Secrets = tuple[bytes, ...]
"""Shared secrets, in the order of their key exchanges."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A CREATE_CHILD_SA that this end answered and that waits for further key exchanges.

    `wanted` says whether it may still be finished, `complete` finishes it.
    """

    methods: tuple[Method, ...]
    shared: Secrets = field(repr=False)
    wanted: Callable[[], bool]
    complete: Callable[[Secrets], None]
