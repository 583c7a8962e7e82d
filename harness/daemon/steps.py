# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engine wants done, in its order and in the words of both IKE versions.

An engine speaks in events of its own version; ikelabd does these steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.daemon.reports import Child, Report
from harness.daemon.sa_pair import SaPair
from harness.ike.address import Path
from harness.ike.keys import IkeKeys
from harness.ike.v2.suites import Suite


@dataclass(frozen=True, slots=True)
class LogIsakmpKey:
    """Write down Ka of an ISAKMP SA before it seals anything, and what its hashes are made with."""

    cookie_i: bytes
    key: bytes
    skeyid: bytes
    skeyid_a: bytes


@dataclass(frozen=True, slots=True)
class LogIkeKeys:
    """Write down the keys of an IKE SA before anything is sealed with them."""

    spi_i: bytes
    spi_r: bytes
    suite: Suite
    keys: IkeKeys


@dataclass(frozen=True, slots=True)
class Install:
    """Install a pair, and use its outbound half unless `hold`."""

    pair: SaPair
    hold: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """Use the outbound half that was held back."""

    spi: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Uninstall a pair; one that was `replaced` may still receive for a while."""

    child: Child
    replaced: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Use another path for a pair."""

    spi: int
    path: Path
    encapsulated: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever listens."""

    report: Report


Step = LogIsakmpKey | LogIkeKeys | Install | Switch | Remove | Move | Tell
