# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of an IP header that ESP's two ends copy, keep or mend."""

from __future__ import annotations

from harness.daemon.userspace.flow import TCP, UDP
from harness.ike.ip_modes import IPV4, internet_checksum

ECN = 0x03
NOT_ECT, ECT_1, ECT_0, CE = range(4)
_CHECKSUM_AT = {TCP: 16, UDP: 6}


class CongestionLost(Exception):
    """Congestion was marked on the way, and the inner packet cannot carry the mark."""


def traffic_class(packet: bytes) -> int:
    """DSCP and ECN of an IP packet."""
    if packet[0] >> 4 == IPV4:
        return packet[1]
    return (packet[0] & 15) << 4 | packet[1] >> 4


def hop_limit(packet: bytes) -> int:
    """The TTL or hop limit of an IP packet."""
    return packet[8] if packet[0] >> 4 == IPV4 else packet[7]


def may_be_fragmented(packet: bytes) -> bool:
    """Whether routers may cut an IP packet: IPv4 without DF."""
    return packet[0] >> 4 == IPV4 and not packet[6] & 0x40


def with_congestion(inner: bytes, outer: int) -> bytes:
    """The inner packet as it leaves a tunnel whose outer traffic class came as `outer`.

    Raises CongestionLost where RFC 6040 section 4.2 says to drop it.
    """
    arrived = outer & ECN
    mine = traffic_class(inner) & ECN
    if arrived == CE and mine == NOT_ECT:
        raise CongestionLost
    if (arrived == CE and mine != CE) or (arrived == ECT_1 and mine == ECT_0):
        return _with_ecn(inner, arrived)
    return inner


def with_checksum(payload: bytes, protocol: int, source: bytes, destination: bytes) -> bytes:
    """TCP or UDP with the checksum of these addresses, which a NAT has put in place of others.

    The ICV has vouched for what it covers (RFC 3948 section 3.1.2). Others pass as they are.
    """
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(payload) < at + 2:
        return payload
    if protocol == UDP and payload[at : at + 2] == b"\0\0":
        return payload
    bare = payload[:at] + b"\0\0" + payload[at + 2 :]
    pseudo = source + destination + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    checksum = internet_checksum(pseudo + bare)
    if protocol == UDP and not checksum:
        checksum = 0xFFFF
    return payload[:at] + checksum.to_bytes(2, "big") + payload[at + 2 :]


def _with_ecn(packet: bytes, ecn: int) -> bytes:
    if packet[0] >> 4 != IPV4:
        return packet[:1] + bytes([packet[1] & ~(ECN << 4) | ecn << 4]) + packet[2:]
    size = (packet[0] & 15) * 4
    header = bytearray(packet[:size])
    header[1] = header[1] & ~ECN | ecn
    header[10:12] = b"\0\0"
    header[10:12] = internet_checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header) + packet[size:]
