# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAPT router: the kernel's own address and port translation, set up with nftables.

Its mapping and filtering are those of a port-restricted router (RFC 4787 sections 4 and 5): only
the remote address and port that a mapping was made for can answer through it.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.network.errors import NetworkError
from harness.network.node import Node

# Outside ports of new mappings; not IKE's, so that a translation shows.
PORTS = (30000, 30999)

NFNL_SUBSYS_CTNETLINK = 1
IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 1, 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY = 1, 2
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST = 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

_RULES = """
table ip napt
delete table ip napt
table ip napt {{
  chain forward {{
    type nat hook prerouting priority dstnat; policy accept;
    {forwards}
  }}
  chain translate {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{outside}" ip protocol {{ tcp, udp }} masquerade to :{first}-{last}
    oifname "{outside}" masquerade
  }}
  chain restrict {{
    type filter hook forward priority filter; policy accept;
    ct status dnat accept
    iifname "{outside}" ct state {{ new, invalid }} drop
  }}
}}
"""


@dataclass(frozen=True)
class Mapping:
    """A mapping of the router: who is behind it, as whom it is seen, by which remote end."""

    protocol: int
    inside: tuple[str, int]
    outside: tuple[str, int]
    remote: tuple[str, int]


class Napt:
    """The translation in a router node; `outside` is the interface towards the world.

    Every method raises NetworkError.
    """

    def __init__(self, node: Node, outside: str) -> None:
        self._node = node
        self._outside = outside
        self._ports = PORTS
        self._forwards: dict[int, str] = {}

    async def translate(self, ports: tuple[int, int] = PORTS) -> None:
        """Translate from now on what is sent outside; new mappings get one of `ports`."""
        self._ports = ports
        first, last = ports
        forwards = "; ".join(
            f'iifname "{self._outside}" udp dport {port} dnat to {inside}'
            for port, inside in self._forwards.items()
        )
        rules = _RULES.format(outside=self._outside, first=first, last=last, forwards=forwards)
        await self._node.run(["nft", "-f", "-"], stdin=rules.encode())

    async def forward(self, inside: str, *ports: int) -> None:
        """Let what comes to UDP ports of the outside through to an address inside from now on."""
        self._forwards.update(dict.fromkeys(ports, inside))
        await self.translate(self._ports)

    async def remap(self, ports: tuple[int, int]) -> None:
        """Forget every mapping and give `ports` to the next ones, as a restarted router does."""
        await self.translate(ports)
        await self.expire()

    async def expire(self) -> None:
        """Forget every mapping, as when they have been idle for too long."""
        await self._request(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST | NLM_F_ACK)

    def timeouts(self, unreplied: int, stream: int) -> None:
        """Set after how many idle seconds a UDP mapping is forgotten, before and after a reply."""
        self._node.sysctl("net/netfilter/nf_conntrack_udp_timeout", unreplied)
        self._node.sysctl("net/netfilter/nf_conntrack_udp_timeout_stream", stream)

    async def mappings(self) -> list[Mapping]:
        """Return the mappings of TCP and UDP that there are now."""
        messages = await self._request(IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP)
        found = (_mapping(message) for message in messages)
        return sorted(
            (mapping for mapping in found if mapping is not None),
            key=lambda mapping: (mapping.protocol, mapping.inside, mapping.remote),
        )

    async def _request(self, kind: int, flags: int) -> list[bytes]:
        """Send a request about all connections; return the bodies of the answers."""
        loop = asyncio.get_running_loop()
        body = struct.pack("=BBH", socket.AF_INET, 0, 0)
        header = struct.pack("=IHHII", 20, NFNL_SUBSYS_CTNETLINK << 8 | kind, flags, 1, 0)
        answers: list[bytes] = []
        netfilter = 12
        with self._node.socket(socket.AF_NETLINK, socket.SOCK_RAW, netfilter) as sock:
            sock.send(header + body)
            while True:
                data = await loop.sock_recv(sock, 1 << 17)
                for its_kind, payload in _messages(data):
                    if its_kind == NLMSG_DONE:
                        return answers
                    if its_kind == NLMSG_ERROR:
                        (code,) = struct.unpack_from("=i", payload)
                        if code:
                            raise NetworkError(
                                f"the mappings of node {self._node.name!r} cannot be used: "
                                f"{os.strerror(-code)}"
                            )
                        return answers
                    answers.append(payload)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, offset)
        if size < 16:
            return
        yield kind, data[offset + 16 : offset + size]
        offset += size + (-size % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, offset)
        if size < 4:
            break
        # Without the bits for nested attributes and for network byte order.
        found[kind & 0x3FFF] = data[offset + 4 : offset + size]
        offset += size + (-size % 4)
    return found


def _mapping(message: bytes) -> Mapping | None:
    attributes = _attributes(message[4:])
    original = _tuple(attributes[CTA_TUPLE_ORIG])
    reply = _tuple(attributes[CTA_TUPLE_REPLY])
    if original is None or reply is None:
        return None
    protocol, inside, remote = original
    return Mapping(protocol, inside, reply[2], remote)


def _tuple(data: bytes) -> tuple[int, tuple[str, int], tuple[str, int]] | None:
    """Return protocol, source and destination, or None without ports."""
    attributes = _attributes(data)
    addresses = _attributes(attributes[CTA_TUPLE_IP])
    protocol = _attributes(attributes[CTA_TUPLE_PROTO])
    if CTA_PROTO_SRC_PORT not in protocol or CTA_IP_V4_SRC not in addresses:
        return None
    return (
        protocol[CTA_PROTO_NUM][0],
        (
            socket.inet_ntoa(addresses[CTA_IP_V4_SRC]),
            int.from_bytes(protocol[CTA_PROTO_SRC_PORT], "big"),
        ),
        (
            socket.inet_ntoa(addresses[CTA_IP_V4_DST]),
            int.from_bytes(protocol[CTA_PROTO_DST_PORT], "big"),
        ),
    )
