# SPDX-License-Identifier: GPL-2.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.ipsec import AH, ESP
from scapy.layers.isakmp import ISAKMP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from harness.capture.frames import (
    Ah,
    Esp,
    Fragment,
    Headers,
    Isakmp,
    NatKeepalive,
    dissect,
    dissect_ip,
)

# With both addresses, because scapy would ask the real network for them.
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IP(src="192.168.0.1", dst="192.168.0.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
IKE = ISAKMP(
    init_cookie=b"initiatr", resp_cookie=b"respondr", version=0x20, exch_type=36, flags=0x20, id=7
)


def seen(packet: Packet) -> Headers:
    return dissect(bytes(packet))


@pytest.mark.parametrize("ip", [V4, V6], ids=["ipv4", "ipv6"])
def test_esp_and_ah_are_found(ip: Packet) -> None:
    esp = seen(ETHER / ip / ESP(spi=0xC0FFEE, seq=9, data=b"x" * 40)).carried
    assert esp == Esp(0xC0FFEE, 9, bytes.fromhex("00c0ffee00000009") + b"x" * 40, False)
    ah = seen(ETHER / ip / AH(spi=5, seq=6, nh=17, icv=b"i" * 12) / UDP() / b"inner").carried
    assert isinstance(ah, Ah)
    assert (ah.spi, ah.sequence, ah.next_header) == (5, 6, 17)
    assert ah.payload.endswith(b"inner")


@pytest.mark.parametrize("ip", [V4, V6], ids=["ipv4", "ipv6"])
def test_an_ike_header_is_found_on_its_port_and_behind_the_marker(ip: Packet) -> None:
    plain = seen(ETHER / ip / UDP(sport=500, dport=500) / IKE / Raw(b"body"))
    assert isinstance(plain.carried, Isakmp)
    assert plain.carried[:9] == (b"initiatr", b"respondr", 0, 2, 0, 36, 0x20, 7, 32)
    assert plain.carried.data == bytes(IKE / Raw(b"body"))
    assert not plain.carried.marked
    assert plain.ports == (500, 500)
    marked = seen(ETHER / ip / UDP(sport=30001, dport=4500) / Raw(b"\0\0\0\0" + bytes(IKE)))
    assert isinstance(marked.carried, Isakmp)
    assert marked.carried.marked
    assert marked.carried.data == bytes(IKE)


def test_what_else_is_on_port_4500_is_told_apart() -> None:
    udp = ETHER / V4 / UDP(sport=4500, dport=30001)
    assert seen(udp / Raw(b"\xff")).carried == NatKeepalive(b"\xff")
    esp = seen(udp / Raw(bytes.fromhex("1234567800000001") + b"data")).carried
    assert esp == Esp(0x12345678, 1, bytes.fromhex("1234567800000001") + b"data", True)
    assert seen(udp / Raw(b"short")).carried is None
    assert seen(udp / Raw(b"\0\0\0\0short")).carried is None


def test_ethernet_padding_is_not_payload() -> None:
    frame = bytes(ETHER / V4 / UDP(sport=1, dport=2) / Raw(b"ab")) + bytes(16)
    assert dissect(frame).payload == b"ab"


def test_vlan_tags_are_passed() -> None:
    tagged = seen(ETHER / Dot1Q(vlan=7) / Dot1Q(vlan=9) / V4 / UDP(sport=1, dport=2))
    assert (tagged.vlan, tagged.ports, tagged.source) == (7, (1, 2), "192.168.0.1")


def test_fragments_are_told_and_later_ones_have_no_ports() -> None:
    whole = UDP(sport=500, dport=500) / IKE
    frame = ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=77, flags="MF", proto=17) / bytes(whole)
    first = seen(frame)
    assert first.fragment == Fragment(77, 0, True)
    assert isinstance(first.carried, Isakmp)
    later = seen(
        ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=77, frag=4, proto=17) / Raw(bytes(IKE))
    )
    assert later.fragment == Fragment(77, 32, False)
    assert (later.ports, later.carried) == (None, None)
    sixth = seen(ETHER / V6 / IPv6ExtHdrFragment(id=5, offset=2, m=1, nh=17) / Raw(bytes(40)))
    assert sixth.fragment == Fragment(5, 16, True)
    assert (sixth.protocol, sixth.carried) == (17, None)


def test_extension_headers_are_passed() -> None:
    extended = V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ESP(spi=3, seq=4, data=b"")
    carried = seen(ETHER / extended).carried
    assert isinstance(carried, Esp)
    assert (carried.spi, carried.sequence) == (3, 4)


def test_other_protocols_are_named_and_nothing_more() -> None:
    assert seen(ETHER / ARP(hwsrc="02:00:00:00:00:01", psrc="10.0.0.1")).ethertype == 0x0806
    assert seen(ETHER / V4 / ICMP()).protocol == 1
    tcp = seen(ETHER / V4 / TCP(sport=5, dport=6, options=[("MSS", 1460)]) / Raw(b"data"))
    assert (tcp.ports, tcp.payload) == ((5, 6), b"data")
    assert dissect_ip(bytes(V4 / ICMP())).source == "192.168.0.1"


FRAMES = [
    bytes(frame)
    for frame in (
        ETHER / V4 / UDP(sport=500, dport=500) / IKE,
        ETHER / V6 / UDP(sport=4500, dport=4500) / Raw(b"\0\0\0\0" + bytes(IKE)),
        ETHER / Dot1Q() / V6 / IPv6ExtHdrHopByHop() / AH(icv=b"i" * 12) / UDP(),
        ETHER / V4 / ESP(data=b"x" * 20),
        ETHER / V4 / TCP() / Raw(b"data"),
    )
]


@given(st.sampled_from(FRAMES), st.data())
def test_no_frame_breaks_the_dissection(frame: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(frame)))
    broken = bytearray(frame[:size])
    for place in data.draw(st.lists(st.integers(0, max(size - 1, 0)), max_size=4)):
        if broken:
            broken[place] = data.draw(st.integers(0, 255))
    dissect(bytes(broken))
    dissect_ip(bytes(broken[14:]))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_dissection(data: bytes) -> None:
    dissect(data)
    dissect_ip(data)
