# SPDX-License-Identifier: GPL-2.0-or-later
"""A CHILD_SA of IKEv2 as a data plane installs it."""

from __future__ import annotations

from harness.daemon.sa_pair import SaPair
from harness.ike.address import Path
from harness.ike.esp import EspSa
from harness.ike.keys import DirectionKeys
from harness.ike.v2.child_sa import ChildSa
from harness.ike.v2.events import ChildSaInstalled
from harness.ike.v2.suites import Suite


def pair_of(event: ChildSaInstalled, path: Path, reqid: int) -> SaPair:
    """The pair that the event is about, between the ends of `path`."""
    child = event.child
    return SaPair(
        name=child.name,
        inbound=_half(child.inbound_spi, child.suite, child.inbound),
        outbound=_half(child.outbound_spi, child.suite, child.outbound),
        path=path,
        local=child.local,
        remote=child.remote,
        reqid=reqid,
        transport=child.transport,
        encapsulated=child.encapsulated,
        rekey_after=int(event.rekey_after or 0),
        life=int(event.lifetime or 0),
    )


def inbound_spi(child: ChildSa) -> int:
    """The SPI that this end receives on, as a number."""
    return int.from_bytes(child.inbound_spi, "big")


def _half(spi: bytes, suite: Suite, keys: DirectionKeys) -> EspSa:
    return EspSa(
        int.from_bytes(spi, "big"),
        suite.encryption,
        keys.encryption,
        suite.integrity,
        keys.integrity,
        suite.esn,
    )
