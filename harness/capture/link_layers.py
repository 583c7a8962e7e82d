# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the IP packet is in a frame, for each link type that tcpdump writes.

Numbers are those of the LINKTYPE registry. Nothing here raises, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.capture.frames import ETHERTYPES_VLAN, Headers, dissect, dissect_ip

ETHERNET = 1
NOT_IP = -1
"""The offset for a frame that carries no IP packet."""

_IPV4, _IPV6, _PPPOE = 0x0800, 0x86DD, 0x8864
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_SNAP = b"\xaa\xaa\x03\0\0\0"


def _word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1] if at + 2 <= len(data) else 0


def _by_ethertype(data: bytes, at: int) -> int:
    """The offset behind the EtherType at `at`, through VLAN tags and PPPoE."""
    kind = _word(data, at)
    while kind in ETHERTYPES_VLAN:
        at += 4
        kind = _word(data, at)
    if kind == _PPPOE:
        return _by_ppp(data, at + 8)
    return at + 2 if kind in (_IPV4, _IPV6) else NOT_IP


def _by_ppp(data: bytes, at: int) -> int:
    # A protocol number may be one octet when it is odd (RFC 1661 section 6.5).
    if at < len(data) and data[at] & 1:
        return at + 1 if data[at] in (_PPP_IPV4, _PPP_IPV6) else NOT_IP
    return at + 2 if _word(data, at) in (_PPP_IPV4, _PPP_IPV6) else NOT_IP


def _ethernet(data: bytes) -> int:
    return _by_ethertype(data, 12)


def _raw(data: bytes) -> int:
    return 0 if data and data[0] >> 4 in (4, 6) else NOT_IP


def _loopback(data: bytes) -> int:
    """BSD loopback: four octets of address family, of which each system has its own."""
    return 4 if len(data) > 4 and data[4] >> 4 in (4, 6) else NOT_IP


def _linux_sll(data: bytes) -> int:
    return _by_ethertype(data, 14)


def _linux_sll2(data: bytes) -> int:
    return 20 if _word(data, 0) in (_IPV4, _IPV6) else NOT_IP


def _ppp(data: bytes) -> int:
    return _by_ppp(data, 2 if data[:2] == b"\xff\x03" else 0)


def _pppoe(data: bytes) -> int:
    return _by_ppp(data, 6)


def _cisco_hdlc(data: bytes) -> int:
    return _ppp(data) if data[:2] == b"\xff\x03" else _by_ethertype(data, 2)


def _openbsd_enc(data: bytes) -> int:
    return 12 if len(data) > 12 and data[12] >> 4 in (4, 6) else NOT_IP


def _snap(data: bytes, at: int) -> int:
    return _by_ethertype(data, at + 6) if data[at : at + 6] == _SNAP else NOT_IP


def _ieee_802_11(data: bytes, at: int = 0) -> int:
    if at + 24 > len(data) or data[at] & 0x0C != 0x08 or data[at] & 0x40 or data[at + 1] & 0x40:
        return NOT_IP  # not a data frame, or none with data, or encrypted
    size = 24 + (6 if data[at + 1] & 3 == 3 else 0) + (2 if data[at] & 0x80 else 0)
    return _snap(data, at + size)


def _radiotap(data: bytes) -> int:
    return _ieee_802_11(data, int.from_bytes(data[2:4], "little"))


def _token_ring_or_fddi(data: bytes) -> int:
    return max(_snap(data, 13), _snap(data, 14))


def _nflog(data: bytes) -> int:
    """Netfilter's log: records of length and type, in the order of the host, so little-endian."""
    at = 4
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        if int.from_bytes(data[at + 2 : at + 4], "little") == 9:
            return at + 4
        if size < 4:
            break
        at += size + -size % 4
    return NOT_IP


_OFFSETS: Mapping[int, Callable[[bytes], int]] = MappingProxyType(
    {
        0: _loopback,
        ETHERNET: _ethernet,
        6: _token_ring_or_fddi,
        9: _ppp,
        10: _token_ring_or_fddi,
        12: _raw,
        14: _raw,
        50: _ppp,
        51: _pppoe,
        100: lambda data: _snap(data, 0),
        101: _raw,
        104: _cisco_hdlc,
        105: _ieee_802_11,
        108: _loopback,
        109: _openbsd_enc,
        113: _linux_sll,
        127: _radiotap,
        228: _raw,
        229: _raw,
        239: _nflog,
        276: _linux_sll2,
    }
)


def is_known(link_type: int) -> bool:
    """Whether frames of this link type can be read at all."""
    return link_type in _OFFSETS


def ip_offset(link_type: int, data: bytes) -> int:
    """Where the IP packet starts in a frame, or NOT_IP."""
    find = _OFFSETS.get(link_type)
    offset = NOT_IP if find is None else find(data)
    return offset if offset < len(data) else NOT_IP


def headers_of(link_type: int, data: bytes) -> Headers:
    """The headers of a frame of any link type; those of an unknown one are empty."""
    if link_type == ETHERNET:
        headers = dissect(data)
        if headers.ethertype != _PPPOE:
            return headers
    offset = ip_offset(link_type, data)
    if offset == NOT_IP:
        return Headers(-1, None, "", "", -1, None, None, data, None)
    return dissect_ip(data[offset:])
