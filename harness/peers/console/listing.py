# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs as a console lists them, as the values of the peer contract; what changed between two lists.

A console lists each direction by itself and names no tunnel: addresses tell to which an SA belongs,
and the order of their making which two are a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from harness.daemon.status import Ipsec, Isakmp
from harness.peers.contract import (
    ChildDown,
    ChildRekeyed,
    ChildSa,
    ChildUp,
    IkeDown,
    IkeRekeyed,
    IkeSa,
    IkeUp,
    PeerEvent,
)

N = TypeVar("N", IkeSa, ChildSa)


@dataclass(frozen=True)
class Ends:
    """Between which addresses a tunnel is, the router's own first."""

    local: str
    remote: str


def ike_sas(
    isakmp: Sequence[Isakmp], ipsec: Sequence[Ipsec], tunnels: Mapping[str, Ends]
) -> tuple[IkeSa, ...]:
    """The ISAKMP SAs of each tunnel; the newest of a tunnel has its IPsec SAs.

    IPsec SAs without an ISAKMP SA are under one that is ``gone``, as nothing else names them.
    """
    found: list[IkeSa] = []
    for name, ends in tunnels.items():
        children = tuple(_children(name, ends, ipsec))
        own = [one for one in isakmp if one.established and one.remote == ends.remote]
        found += (_ike(name, one, ()) for one in own[:-1])
        if own:
            found.append(_ike(name, own[-1], children))
        elif children:
            found.append(IkeSa(name, 1, 0, 0, 0, "gone", children))
    return tuple(found)


def changes(before: Sequence[IkeSa], after: Sequence[IkeSa]) -> Iterator[PeerEvent]:
    """What happened between two lists: first what came up, then what is gone."""
    there = {_cookies(ike): ike for ike in before if ike.initiator_spi}
    here = {_cookies(ike): ike for ike in after if ike.initiator_spi}
    replaced: set[object] = set()
    for cookies, ike in here.items():
        if cookies not in there:
            old = _named(ike.name, [one for key, one in there.items() if key not in replaced])
            if old is None:
                yield IkeUp(ike)
            else:
                replaced.add(_cookies(old))
                yield IkeRekeyed(old, ike)
    yield from _child_changes(_all_children(before), _all_children(after))
    for cookies, ike in there.items():
        if cookies not in here and cookies not in replaced and _named(ike.name, after) is None:
            yield IkeDown(ike)


def _child_changes(
    there: Mapping[int, ChildSa], here: Mapping[int, ChildSa]
) -> Iterator[PeerEvent]:
    for spi, child in here.items():
        if spi not in there:
            old = _named(child.name, list(there.values()))
            yield ChildUp(child) if old is None else ChildRekeyed(old, child)
    for spi, child in there.items():
        if spi not in here and _named(child.name, list(here.values())) is None:
            yield ChildDown(child)


def _children(name: str, ends: Ends, ipsec: Sequence[Ipsec]) -> Iterator[ChildSa]:
    inbound = _between(ends.remote, ends.local, ipsec)
    outbound = _between(ends.local, ends.remote, ipsec)
    for one, other in zip_longest(inbound, outbound):
        known = one or other
        yield ChildSa(
            name,
            one.spi if one else 0,
            other.spi if other else 0,
            known.reqid,
            state=known.state,
        )


def _between(source: str, destination: str, ipsec: Sequence[Ipsec]) -> list[Ipsec]:
    found = [
        one
        for one in ipsec
        if (one.source, one.destination) == (source, destination) and one.state != "larval"
    ]
    return sorted(found, key=lambda one: one.created)


def _ike(name: str, sa: Isakmp, children: tuple[ChildSa, ...]) -> IkeSa:
    # A console has no number for an ISAKMP SA; its own end's cookie is one.
    unique = sa.cookie_i if sa.initiator else sa.cookie_r
    return IkeSa(name, 1, sa.cookie_i, sa.cookie_r, unique, "ESTABLISHED", children)


def _cookies(ike: IkeSa) -> tuple[int, int]:
    return ike.initiator_spi, ike.responder_spi


def _all_children(ikes: Sequence[IkeSa]) -> dict[int, ChildSa]:
    return {child.inbound or child.outbound: child for ike in ikes for child in ike.children}


def _named(name: str, ones: Sequence[N]) -> N | None:
    """The last of that name."""
    return next((one for one in reversed(ones) if one.name == name), None)
