# SPDX-License-Identifier: GPL-2.0-or-later
"""Single values of ikelabd's TOML: addresses and the traffic of a child."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from harness.daemon.native.table import Unusable
from harness.ike.traffic_selectors import TrafficSelector

_TRAFFIC = re.compile(r"^(?P<network>[^\[\]]+)(?:\[(?P<protocol>\w+)(?:/(?P<port>\d+))?\])?$")
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "sctp": 132}


def address(text: str) -> str:
    """An IP address in its usual spelling; raises `Unusable`."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise Unusable(f"{text!r} is no IP address; write one such as 192.0.2.1") from None


def traffic(text: str) -> TrafficSelector:
    """Traffic of a network: ``10.1.0.0/16``, ``10.1.0.0/16[udp]``, ``10.1.0.1[tcp/80]``.

    Raises `Unusable`.
    """
    found = _TRAFFIC.match(text)
    try:
        if found is None:
            raise ValueError
        network = ip_network(found["network"])
        word = found["protocol"] or "0"
        protocol = _PROTOCOLS[word] if word in _PROTOCOLS else int(word)
        ports = (int(found["port"]),) * 2 if found["port"] else (0, 65535)
        if protocol > 255 or ports[1] > 65535:
            raise ValueError
    except ValueError:
        raise Unusable(
            f"{text!r} is no traffic; write a network such as 10.1.0.0/16, or 10.1.0.1/32[tcp/80]"
        ) from None
    return TrafficSelector.of(network, protocol, *ports)
