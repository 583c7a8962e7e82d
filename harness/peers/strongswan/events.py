# SPDX-License-Identifier: GPL-2.0-or-later
"""charon's VICI messages as the values of the peer contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

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
from harness.peers.strongswan.sections import Section

EVENTS = ("ike-updown", "ike-rekey", "child-updown", "child-rekey")


def read_event(name: str, message: Section) -> Iterator[PeerEvent]:
    """What a VICI event says, as one value for each IKE SA or CHILD_SA that it is about."""
    up = message.get("up") == "yes"
    for ike_name, ike in _sections(message):
        match name:
            case "ike-updown":
                sa = read_ike(ike_name, ike)
                yield IkeUp(sa) if up else IkeDown(sa)
            case "ike-rekey":
                yield IkeRekeyed(read_ike(ike_name, ike["old"]), read_ike(ike_name, ike["new"]))
            case "child-updown":
                for _, child in _sections(ike.get("child-sas", {})):
                    yield (
                        ChildUp(read_child(child, ike)) if up else ChildDown(read_child(child, ike))
                    )
            case "child-rekey":
                for _, child in _sections(ike.get("child-sas", {})):
                    yield ChildRekeyed(read_child(child["old"], ike), read_child(child["new"], ike))


def brought_up(sas: Iterable[IkeSa]) -> Iterator[IkeUp | ChildUp]:
    """What charon would have told of the SAs that it lists, had anybody listened."""
    for ike in sas:
        if ike.state == "ESTABLISHED":
            yield IkeUp(replace(ike, children=()))
        for child in ike.children:
            if child.state == "INSTALLED":
                yield ChildUp(child)


def read_ike(name: str, ike: Mapping[str, Any]) -> IkeSa:
    """An IKE SA from a section of ``list-sas`` or of an event."""
    children = (read_child(child, ike) for _, child in _sections(ike.get("child-sas", {})))
    return IkeSa(
        name=name,
        version=int(ike.get("version", 0)),
        initiator_spi=int(ike["initiator-spi"], 16),
        responder_spi=int(ike["responder-spi"], 16),
        unique=int(ike["uniqueid"]),
        state=str(ike.get("state", "")),
        children=tuple(child for child in children if child.inbound),
    )


def read_child(child: Mapping[str, Any], ike: Mapping[str, Any]) -> ChildSa:
    """A CHILD_SA from a section; a half that does not exist (yet, or any more) has SPI 0."""
    return ChildSa(
        name=str(child["name"]),
        inbound=int(child.get("spi-in", "0"), 16),
        outbound=int(child.get("spi-out", "0"), 16),
        reqid=int(child.get("reqid", 0)),
        ike=int(ike.get("uniqueid", 0)),
        state=str(child.get("state", "")),
    )


def _sections(message: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, value) for name, value in message.items() if isinstance(value, Mapping))
