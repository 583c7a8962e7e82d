# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair of ESP SAs as a data plane installs it, whichever IKE version has made it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ike.address import Path
from harness.ike.esp import EspSa
from harness.ike.traffic_selectors import TrafficSelector


@dataclass(frozen=True, slots=True)
class SaPair:
    """One CHILD_SA (IKEv2) or pair of IPsec SAs (IKEv1), seen from this end.

    `inbound` is received with, `outbound` sent with; their SPIs are in host order. Between
    `local` and `remote` traffic is protected. `encapsulated` puts ESP into UDP along `path` (RFC
    3948), whose ports count only then. `reqid` is the same for an SA and for what replaces it.
    `rekey_after` and `life` are seconds, `rekey_octets` and `octets` amounts of traffic, 0 is
    never: a plane that counts says `Expired` at the former, and forgets the pair at the latter in
    case nobody has replaced it.
    """

    name: str
    inbound: EspSa
    outbound: EspSa
    path: Path
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    reqid: int
    transport: bool = False
    encapsulated: bool = False
    replay_window: int = 64
    rekey_after: int = 0
    life: int = 0
    rekey_octets: int = 0
    octets: int = 0
