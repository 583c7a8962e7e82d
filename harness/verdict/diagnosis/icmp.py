# SPDX-License-Identifier: GPL-2.0-or-later
"""What ICMP said of datagrams on IKE's ports: unreachable ports and hosts (RFC 792, RFC 4443)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.capture.entries import Entry, Unrelated
from harness.capture.frames import ICMP, ICMPV6, PORT_IKE, PORT_NAT_T, dissect_ip
from harness.capture.link_layers import ip_offset

_UNREACHABLE = {ICMP: 3, ICMPV6: 1}
_CODES = {
    (ICMP, 0): "the network is unreachable",
    (ICMP, 1): "the host is unreachable",
    (ICMP, 3): "the port is unreachable",
    (ICMP, 4): "the packet is too big and may not be fragmented",
    (ICMP, 9): "the network is administratively prohibited",
    (ICMP, 10): "the host is administratively prohibited",
    (ICMP, 13): "communication is administratively prohibited",
    (ICMPV6, 0): "there is no route",
    (ICMPV6, 1): "communication is administratively prohibited",
    (ICMPV6, 3): "the address is unreachable",
    (ICMPV6, 4): "the port is unreachable",
}
_HEADER = 8


class Unreachable(NamedTuple):
    """A message that a datagram did not arrive: who says so, and of which destination and port."""

    number: int
    sender: str
    what: str
    destination: str
    port: int | None


def unreachables(entries: Iterable[Entry]) -> list[Unreachable]:
    """Every such message of a capture about IKE's ports, in order."""
    found = []
    for entry in entries:
        protocol = entry.headers.protocol
        if protocol not in _UNREACHABLE or not isinstance(entry.content, Unrelated):
            continue
        frame = entry.frame
        data = dissect_ip(frame.data[max(ip_offset(frame.link_type, frame.data), 0) :]).payload
        if len(data) <= _HEADER or data[0] != _UNREACHABLE[protocol]:
            continue
        quoted = dissect_ip(data[_HEADER:])
        if quoted.ports is not None and not {PORT_IKE, PORT_NAT_T} & set(quoted.ports):
            continue
        what = _CODES.get((protocol, data[1]), f"it is unreachable (code {data[1]})")
        port = quoted.ports[1] if quoted.ports else None
        found.append(Unreachable(entry.number, entry.sender, what, quoted.destination, port))
    return found
