# SPDX-License-Identifier: GPL-2.0-or-later
import random
import struct

import pytest

from harness.capture.entries import IpFragment, Ipsec
from tests.capture.opened import ipsec_of, opened
from tests.capture.packets import (
    GCM,
    MOON,
    MOON6,
    SUN,
    SUN6,
    esp_secret,
    ip,
    sealer,
    udp,
)


def cut(packet: bytes, size: int) -> list[bytes]:
    """The packet in IPv4 or IPv6 fragments of that many octets."""
    out = []
    if packet[0] >> 4 == 4:
        body = packet[20:]
        for at in range(0, len(body), size):
            piece, more = body[at : at + size], at + size < len(body)
            length = struct.pack(">H", 20 + len(piece))
            word = struct.pack(">H", (0x2000 if more else 0) | at // 8)
            out.append(packet[:2] + length + packet[4:6] + word + packet[8:20] + piece)
        return out
    body = packet[40:]
    for at in range(0, len(body), size):
        piece, more = body[at : at + size], at + size < len(body)
        fragment = struct.pack(">BBHI", packet[6], 0, at | more, 77)
        length = struct.pack(">H", 8 + len(piece))
        out.append(packet[:4] + length + b"\x2c" + packet[7:40] + fragment + piece)
    return out


@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
def test_ip_fragments_are_put_together_in_any_order(ends: tuple[str, str]) -> None:
    secret = esp_secret(GCM)
    large = ip(udp(bytes(3000), 7, 9), 17, "10.1.0.10", "10.2.0.10")
    pieces = cut(ip(sealer(secret).seal(large, 4), 50, *ends), 1000)
    assert len(pieces) == 4
    for seed in range(6):
        order = random.Random(seed).sample(pieces, len(pieces))
        found = opened(order, secret)
        assert [type(one.content) for one in found] == [IpFragment] * 3 + [Ipsec]
        assert [one.content.whole_in for one in found[:3]] == [4, 4, 4]  # type: ignore[union-attr]
        assert ipsec_of(found[3]).inner_octets == large


def test_fragments_that_overlap_or_never_end_are_listed_as_they_are() -> None:
    one, two, three, _ = cut(ip(bytes(4000), 50), 1000)
    overlapping = two[:6] + struct.pack(">H", 0x2000 | 900 // 8) + two[8:]
    found = opened([one, overlapping, three])
    assert [type(each.content) for each in found] == [IpFragment] * 3
