# SPDX-License-Identifier: GPL-2.0-or-later
"""IP packets in tunnel and transport mode, against packets that scapy builds."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.packet import Raw

from harness.ike.ip_modes import (
    MalformedPacket,
    inner_packet,
    internet_checksum,
    join_transport,
    outer_packet,
    packet_length,
    split_transport,
    tunnel_next_header,
)

V4 = IP(src="192.0.2.1", dst="192.0.2.2", id=7)
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
UPPER = UDP(sport=7, dport=9) / Raw(b"data")
ADDRESSES = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


@pytest.mark.parametrize(
    ("packet", "before", "protocol"),
    [
        (V4 / UPPER, 20, 17),
        (IP(src="192.0.2.1", dst="192.0.2.2", options=[IPOption_Router_Alert()]) / ICMP(), 24, 1),
        (V6 / UPPER, 40, 17),
        (V6 / IPv6ExtHdrHopByHop(options=[PadN()]) / UPPER, 48, 17),
        (V6 / IPv6ExtHdrDestOpt(options=[PadN()]) / UPPER, 40, 60),
        (
            V6 / IPv6ExtHdrDestOpt(options=[PadN()])
            / IPv6ExtHdrRouting(addresses=["2001:db8::3"])
            / IPv6ExtHdrDestOpt(options=[PadN()]) / UPPER,
            72, 60,
        ),
        (V6 / IPv6ExtHdrFragment(m=1) / UPPER, 48, 17),
    ],
    ids=["v4", "v4 options", "v6", "hop-by-hop", "destination", "routing", "fragment"],
)  # fmt: skip
def test_transport_mode_keeps_the_headers_that_the_network_reads(packet, before, protocol):
    raw = bytes(packet)
    split = split_transport(raw + b"link padding")
    assert (len(split.headers), split.protocol) == (before, protocol)
    assert split.headers + split.payload == raw
    assert join_transport(split, split.payload, split.protocol) == raw
    esp = join_transport(split, b"e" * 60, 50)
    parsed = packet.__class__(esp)
    rebuilt = parsed.copy()
    for field in ("chksum", "len", "plen"):
        if field in rebuilt.fields:
            delattr(rebuilt, field)
    assert bytes(rebuilt) == esp
    again = split_transport(esp)
    assert (again.protocol, again.payload) == (50, b"e" * 60)


def test_outer_packets_are_what_scapy_builds():
    ours = outer_packet(*ADDRESSES, b"esp", traffic_class=3, hop_limit=9, identification=7)
    theirs = IP(src="192.0.2.1", dst="192.0.2.2", tos=3, ttl=9, id=7, flags="DF", proto=50)
    assert ours == bytes(theirs / Raw(b"esp"))
    ours = outer_packet(V6_BYTES[0], V6_BYTES[1], b"esp", traffic_class=3, hop_limit=9)
    six = IPv6(src="2001:db8::1", dst="2001:db8::2", tc=3, hlim=9, nh=50)
    assert ours == bytes(six / Raw(b"esp"))
    assert outer_packet(*ADDRESSES, b"", may_fragment=True)[6] == 0
    with pytest.raises(ValueError, match="not of one family"):
        outer_packet(ADDRESSES[0], V6_BYTES[0], b"")


V6_BYTES = (
    bytes.fromhex("20010db8000000000000000000000001"),
    bytes.fromhex("20010db8000000000000000000000002"),
)


def test_the_checksum_is_that_of_a_published_header():
    # RFC 3602 case 5: the header of its packet, whose checksum is 0xf9a5.
    header = bytes.fromhex("4500007c08f2000040320000c0a87b03c0a87b64")
    assert internet_checksum(header) == 0xF9A5
    assert internet_checksum(b"\x01") == internet_checksum(b"\x01\x00")


def test_tunnel_mode_names_the_version_and_cuts_tfc_padding():
    four, six = bytes(V4 / UPPER), bytes(V6 / UPPER)
    assert (tunnel_next_header(four), tunnel_next_header(six)) == (4, 41)
    assert inner_packet(four + b"tfc", 4) == four
    assert inner_packet(six + b"tfc", 41) == six
    for payload, next_header in ((four, 41), (six, 4), (four, 17), (b"", 4)):
        with pytest.raises(MalformedPacket):
            inner_packet(payload, next_header)


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (b"", "empty"),
        (b"\x45" + bytes(10), "no whole IP header"),
        (b"\x75" + bytes(60), "no whole IP header"),
        (b"\x45\0\0\x40" + bytes(30), "claims 64 bytes and has 34"),
        (b"\x44\0\0\x14" + bytes(16), "too short"),
        (b"\x4f\0\0\x14" + bytes(16), "longer than the packet"),
    ],
)
def test_what_is_no_whole_packet_is_refused_in_words(packet, words):
    with pytest.raises(MalformedPacket, match=words):
        packet_length(packet)


def test_packets_longer_than_ip_can_say_are_refused():
    split = split_transport(bytes(V4 / UPPER))
    with pytest.raises(MalformedPacket, match="longer than IP can say"):
        join_transport(split, bytes(65530), 50)
    with pytest.raises(MalformedPacket, match="too long"):
        outer_packet(*ADDRESSES, bytes(65530))


@given(
    data=st.one_of(
        st.binary(max_size=120),
        st.binary(max_size=120).map(lambda b: b"\x45\0\0" + bytes([len(b) + 4]) + b),
        st.binary(min_size=34, max_size=120).map(
            lambda b: b"\x60\0\0\0\0" + bytes([len(b) + 6 - 40]) + b
        ),
    ),
    next_header=st.integers(0, 255),
)
def test_any_bytes_are_split_or_refused_as_malformed(data, next_header):
    with contextlib.suppress(MalformedPacket):
        split = split_transport(data)
        assert data.startswith(split.headers + split.payload)
    with contextlib.suppress(MalformedPacket):
        assert data.startswith(inner_packet(data, next_header))
