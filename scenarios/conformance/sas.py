# SPDX-License-Identifier: GPL-2.0-or-later
"""The one IKE SA (or ISAKMP SA) that a gateway is to have."""

from __future__ import annotations

from harness.lab.gateway import Gateway
from harness.peers.contract import IkeSa


def only_ike(gateway: Gateway) -> IkeSa:
    """A gateway's only IKE SA; raises AssertionError where there is none, or another beside it."""
    found = gateway.sas()
    assert len(found) == 1, f"{gateway.name} has {len(found)} IKE SAs, not one"
    return found[0]


def kept(gateway: Gateway, ike: IkeSa, children: int) -> None:
    """Check that a gateway has this IKE SA and no other, with so many CHILD_SAs."""
    theirs = only_ike(gateway)
    spis = (theirs.initiator_spi, theirs.responder_spi)
    assert spis == (ike.initiator_spi, ike.responder_spi), f"{gateway.name} has another IKE SA"
    there = len(theirs.children)
    assert there == children, f"{gateway.name} has {there} CHILD_SAs, not {children}"
