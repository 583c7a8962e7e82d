# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's reports as the values of the peer contract, from its control socket or directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.daemon import reports
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


def event_of(report: reports.Report) -> PeerEvent | None:
    """The event that a report is, None for what no other daemon tells."""
    match report:
        case reports.IkeUp(ike):
            return IkeUp(ike_of(ike))
        case reports.IkeDown(ike):
            return IkeDown(ike_of(ike))
        case reports.IkeRekeyed(old, new):
            return IkeRekeyed(ike_of(old), ike_of(new))
        case reports.ChildUp(child):
            return ChildUp(child_of(child))
        case reports.ChildDown(child):
            return ChildDown(child_of(child))
        case reports.ChildRekeyed(old_child, new_child):
            return ChildRekeyed(child_of(old_child), child_of(new_child))
    return None


def ike_of(ike: reports.Ike) -> IkeSa:
    """An IKE SA with its children."""
    return IkeSa(
        ike.name,
        ike.version,
        ike.initiator_spi,
        ike.responder_spi,
        ike.unique,
        ike.state,
        tuple(child_of(child) for child in ike.children),
    )


def child_of(child: reports.Child) -> ChildSa:
    """A CHILD_SA."""
    return ChildSa(child.name, child.inbound, child.outbound, child.reqid, child.ike, child.state)


def read_event(line: Mapping[str, Any]) -> PeerEvent | None:
    """The event in a line of the control socket, None for what no other daemon tells."""
    match line:
        case {"event": "ike-up", "ike": ike}:
            return IkeUp(read_ike(ike))
        case {"event": "ike-down", "ike": ike}:
            return IkeDown(read_ike(ike))
        case {"event": "ike-rekeyed", "old": old, "new": new}:
            return IkeRekeyed(read_ike(old), read_ike(new))
        case {"event": "child-up", "child": child}:
            return ChildUp(read_child(child))
        case {"event": "child-down", "child": child}:
            return ChildDown(read_child(child))
        case {"event": "child-rekeyed", "old": old, "new": new}:
            return ChildRekeyed(read_child(old), read_child(new))
    return None


def read_ike(values: Mapping[str, Any]) -> IkeSa:
    """An IKE SA from the plain values of the control socket."""
    children = tuple(read_child(child) for child in values["children"])
    plain = {key: value for key, value in values.items() if key != "children"}
    return IkeSa(**plain, children=children)


def read_child(values: Mapping[str, Any]) -> ChildSa:
    """A CHILD_SA from the plain values of the control socket."""
    return child_of(reports.Child(**values))
