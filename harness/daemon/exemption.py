# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets of IKE and ESP, whose packets no SA is looked up for (RFC 4301 section 4.4.1)."""

from __future__ import annotations

import socket
from ipaddress import ip_network

from harness.kernel.policy import Policy
from harness.kernel.policy_codec import write_policy
from harness.kernel.selector import Selector
from harness.kernel.structures import POLICY_INFO

MARK = 0x1CE00000
"""The firewall mark of an exempt socket's packets: routes into a TUN device let them pass."""

# IP_XFRM_POLICY and IPV6_XFRM_POLICY, which Python has no names for.
_OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, 17, ip_network("0.0.0.0/0")),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 35, ip_network("::/0")),
}


def exempt(sock: socket.socket) -> None:
    """Let a socket send and receive in clear, whatever is to be protected.

    Its packets get MARK, and it a policy of its own, which goes before those of the SPD. One of
    IPv6 must be for IPv6 only. Raises `OSError` for who does not administer the network.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    level, option, anything = _OPTIONS[socket.AddressFamily(sock.family)]
    for direction in ("in", "out"):
        body, _ = write_policy(Policy(Selector(anything, anything), direction))
        sock.setsockopt(level, option, POLICY_INFO.pack(**body))
