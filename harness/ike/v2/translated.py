# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors of transport mode behind a NAT, where the two ends know different addresses.

Each end writes an address as it sees it, and reads the other's as what it is to itself (RFC 7296
section 2.23.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.ike.address import Address
from harness.ike.traffic_selectors import RawSelector, TrafficSelector

Received = Sequence[TrafficSelector | RawSelector]


def seen_as(selectors: Received, address: Address) -> Received:
    """Selectors of one address, with the address that this is here; others as they came.

    More than one address in them is nothing that anybody may ask for in transport mode through a
    NAT: a translation has no answer to which of them it is about.
    """
    ranges = {(one.start, one.end) for one in selectors if isinstance(one, TrafficSelector)}
    here = address.packed
    if len(ranges) != 1 or {len(end) for one in ranges for end in one} != {len(here)}:
        return selectors
    ((start, end),) = ranges
    if start != end:
        return selectors
    return tuple(
        replace(one, start=here, end=here) if isinstance(one, TrafficSelector) else one
        for one in selectors
    )
