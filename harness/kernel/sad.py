# SPDX-License-Identifier: GPL-2.0-or-later
"""The Security Association Database of one kernel at one moment (RFC 4301 section 4.4.2)."""

from __future__ import annotations

import ipaddress
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from harness.kernel.addresses import Address
from harness.kernel.sa import SecurityAssociation


class Sad:
    """A snapshot of the SAs, immutable: iterable, sized, comparable, in one stable order.

    The order is by protocol, destination, SPI and source, not the kernel's own, which depends on
    its hash tables.
    """

    __slots__ = ("_sas",)

    def __init__(self, sas: Iterable[SecurityAssociation] = ()) -> None:
        self._sas = tuple(sorted(sas, key=_order))

    def __iter__(self) -> Iterator[SecurityAssociation]:
        return iter(self._sas)

    def __len__(self) -> int:
        return len(self._sas)

    def __contains__(self, sa: object) -> bool:
        return sa in self._sas

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sad) and self._sas == other._sas

    def __hash__(self) -> int:
        return hash(self._sas)

    def __repr__(self) -> str:
        return f"Sad({', '.join(str(sa) for sa in self._sas)})"

    def find(
        self,
        *,
        spi: int | None = None,
        destination: Address | str | None = None,
        protocol: str | None = None,
    ) -> SecurityAssociation | None:
        """The first SA that matches all that is given, None when there is none."""
        wanted = None if destination is None else ipaddress.ip_address(destination)
        for sa in self._sas:
            if (
                spi in (None, sa.spi)
                and wanted in (None, sa.destination)
                and protocol in (None, sa.protocol)
            ):
                return sa
        return None

    @property
    def established(self) -> Sad:
        """Only the SAs that can protect packets, without reservations of SPIs."""
        return Sad(sa for sa in self._sas if sa.established)

    def mirrors(self, other: Sad, *, translated: bool = False) -> list[str]:
        """How the SADs of two gateways differ, a sentence each; nothing when they are the same.

        The two ends of an SA have the same SPI, source, destination, protocol, mode, algorithms,
        keys and encapsulation. Reservations without a key are left out. With `translated` addresses
        and ports are not compared: behind a NAT each end knows the other by another address.
        """
        differences: list[str] = []
        left: dict[tuple[int, str], list[SecurityAssociation]] = defaultdict(list)
        for sa in other.established:
            left[sa.spi, sa.protocol].append(sa)
        for sa in self.established:
            twins = left[sa.spi, sa.protocol]
            if not twins:
                differences.append(f"only the first has {sa}")
                continue
            # One SPI may be in use to several destinations where SPIs are chosen by hand.
            twin = next((other for other in twins if other.destination == sa.destination), twins[0])
            twins.remove(twin)
            differences += (f"{sa} {how}" for how in _differences(sa, twin, translated))
        rest = Sad(itertools.chain.from_iterable(left.values()))
        return differences + [f"only the second has {sa}" for sa in rest]

    def as_json(self) -> list[dict[str, Any]]:
        """The SAs as plain values in the stable order, keys in hexadecimal."""
        return [sa.as_json() for sa in self._sas]


def _order(sa: SecurityAssociation) -> tuple[object, ...]:
    mark = (sa.mark.value, sa.mark.mask) if sa.mark else (0, 0)
    addresses = sa.destination.version, int(sa.destination), int(sa.source)
    return sa.protocol, *addresses[:2], sa.spi, addresses[2], mark, sa.reqid


def _differences(
    one: SecurityAssociation, other: SecurityAssociation, translated: bool
) -> Iterator[str]:
    parts = ["mode", "encryption", "integrity", "aead", "compression", "esn"]
    if not translated:
        parts = ["source", "destination", *parts, "encapsulation"]
    elif (one.encapsulation is None) != (other.encapsulation is None):
        parts.append("encapsulation")
    for part in parts:
        mine, theirs = getattr(one, part), getattr(other, part)
        if mine != theirs and str(mine) == str(theirs):
            # An algorithm's text holds no key, so that no key gets into a report.
            yield f"has another {part} key in the second"
        elif mine != theirs:
            yield f"has {part} {mine} in the first and {theirs} in the second"
