# SPDX-License-Identifier: GPL-2.0-or-later
"""The SPD entries of a daemon, each held up by all the pairs and routes that want it.

The kernel takes one policy for a selector and a direction. What wants it is a claim with a rank:
the highest rank counts, and of one rank the newest.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from harness.kernel.errors import XfrmError
from harness.kernel.policy import Policy, Template
from harness.kernel.selector import Selector
from harness.kernel.socket import XfrmSocket

DIRECTIONS = ("in", "fwd", "out")
_LOWEST = 2000


class Rank(IntEnum):
    """How much a claim counts: traffic that waits for an SA gives way to an SA that sends."""

    WAITING = 0
    CARRYING = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody wants done with the traffic of a selector."""

    owner: str
    rank: Rank
    template: Template


Entry = tuple[Selector, str]


class Policies:
    """The policies that this daemon has put into the kernel, and who wants them."""

    def __init__(self, xfrm: XfrmSocket) -> None:
        self._xfrm = xfrm
        self._claims: dict[Entry, list[Claim]] = {}

    async def claim(self, selectors: Iterable[Selector], direction: str, claim: Claim) -> None:
        """Want this, in place of what the same owner wanted before; raises XfrmError."""
        for selector in selectors:
            entry = (selector, direction)
            before = self._claims.get(entry, [])
            kept = [one for one in before if one.owner != claim.owner]
            await self._put(entry, [*kept, claim])

    async def release(self, owner: str) -> None:
        """Forget everything that an owner wanted; raises XfrmError."""
        for entry, claims in tuple(self._claims.items()):
            kept = [one for one in claims if one.owner != owner]
            if len(kept) < len(claims):
                await self._put(entry, kept)

    async def close(self) -> None:
        """Take every policy out of the kernel."""
        for entry in tuple(self._claims):
            await self._put(entry, [])

    async def _put(self, entry: Entry, claims: list[Claim]) -> None:
        before = _top(self._claims.get(entry, []))
        after = _top(claims)
        if claims:
            self._claims[entry] = claims
        else:
            self._claims.pop(entry, None)
        selector, direction = entry
        if after is None:
            await self._delete(selector, direction)
        elif before is None or before.template != after.template:
            await self._xfrm.update_policy(
                Policy(selector, direction, priority_of(selector), templates=(after.template,))
            )

    async def _delete(self, selector: Selector, direction: str) -> None:
        try:
            await self._xfrm.delete_policy(selector, direction)
        except XfrmError as error:
            # Somebody flushed the SPD: what was to go is gone.
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise


def priority_of(selector: Selector) -> int:
    """A number that is the lower, and so counts the more, the narrower the selector is."""
    bits = selector.source.prefixlen + selector.destination.prefixlen
    ports = bool(selector.source_port_mask) + bool(selector.destination_port_mask)
    return _LOWEST - 4 * bits - 2 * bool(selector.protocol) - ports


def _top(claims: list[Claim]) -> Claim | None:
    newest_first = reversed(claims)
    return max(newest_first, key=lambda claim: claim.rank, default=None)
