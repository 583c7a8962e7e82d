# SPDX-License-Identifier: GPL-2.0-or-later
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.pcapng import (
    BYTE_ORDER_MAGIC,
    Direction,
    Packet,
    enhanced_packet,
    interface_description,
    packet_options,
    parse,
    read,
    section_header,
)

ARP = bytes.fromhex(
    "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002"
)
TIME = 1_767_225_600_123_456_789


def capture(*packets: bytes) -> bytes:
    head = section_header() + interface_description("wan", "moon and sun")
    return head + b"".join(packets)


def packet(data: bytes = ARP, time_ns: int = TIME, comment: str = "") -> bytes:
    return enhanced_packet(0, time_ns, data, packet_options(Direction.OUTBOUND, comment))


packets = st.lists(
    st.builds(
        Packet,
        st.integers(0, 2),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=200),
        st.sampled_from(Direction),
        st.text(max_size=40),
        st.just(0),
    )
)


@given(packets)
def test_what_is_written_is_read_again(written: list[Packet]) -> None:
    data = section_header()
    for name in ("wan", "lan", "länge"):
        data += interface_description(name, f"about {name}")
    for one in written:
        options = packet_options(one.direction, one.comment)
        data += enhanced_packet(one.interface, one.time_ns, one.data, options)
    got = parse(data)
    assert got.problem is None
    assert list(got.packets) == written
    assert [interface.name for interface in got.interfaces] == ["wan", "lan", "länge"]
    assert got.interfaces[1].description == "about lan"


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert parse(data).packets == ()


@given(st.data())
def test_a_flipped_byte_costs_at_most_what_follows_it(data: st.DataObject) -> None:
    whole = capture(*(packet(comment=str(number)) for number in range(5)))
    place = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255))
    got = parse(whole[:place] + bytes([value]) + whole[place + 1 :])
    untouched = max(0, (place - len(capture())) // len(packet(comment="0")))
    assert got.packets[:untouched] == parse(whole).packets[:untouched]


@given(st.integers(0, len(capture(packet(), packet())) - 1))
def test_a_truncated_file_yields_its_whole_packets_and_one_sentence(size: int) -> None:
    whole = capture(packet(), packet())
    got = parse(whole[:size])
    complete = max(0, (size - len(capture())) // len(packet()))
    assert len(got.packets) == complete
    boundaries = {len(section_header()), len(capture()), len(capture(packet()))}
    assert (got.problem is None) == (size in boundaries)
    if got.problem is not None:
        assert got.problem.startswith(f"the capture is damaged after packet {complete} (byte ")
        assert "\n" not in got.problem


DAMAGE = {
    "the file is empty": (b"", "it is empty"),
    "another format": (b"\xd4\xc3\xb2\xa1" + bytes(20), "does not begin with a section header"),
    "a block of no length": (
        capture() + struct.pack("<III", 6, 0, 0),
        "a block claims 0 bytes",
    ),
    "a block of gigabytes": (
        capture() + struct.pack("<III", 6, 1 << 31, 0),
        "a block claims 2147483648 bytes",
    ),
    "two lengths": (
        capture() + struct.pack("<IIII", 9, 16, 0, 20),
        "a block's two lengths differ",
    ),
    "no such interface": (
        capture() + enhanced_packet(7, TIME, ARP, b""),
        "a packet is of interface 7, which is not described",
    ),
    "a packet larger than its block": (
        capture() + struct.pack("<8I", 6, 32, 0, 0, 0, 100, 100, 32),
        "a packet claims 100 bytes, more than its block",
    ),
    "an option larger than its block": (
        capture() + struct.pack("<7IHHI", 6, 36, 0, 0, 0, 0, 0, 1, 99, 36),
        "an option reaches past its block",
    ),
    "no byte order": (section_header()[:8] + bytes(20), "a section header has no byte order"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(case: str) -> None:
    data, sentence = DAMAGE[case]
    assert sentence in (parse(data).problem or "")


def test_a_packet_block_of_old_programs_is_read() -> None:
    body = struct.pack("<HHIIII", 0, 9, TIME >> 32, TIME & 0xFFFFFFFF, 4, 4) + b"data"
    old = struct.pack("<II", 2, 36) + body + struct.pack("<I", 36)
    got = parse(capture(old))
    assert got.packets == (Packet(0, TIME, b"data", Direction.UNKNOWN, ""),)


def test_files_of_others_are_read_too() -> None:
    """Big endian, microseconds, unknown blocks and a simple packet."""
    section = struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, BYTE_ORDER_MAGIC, 1, 0, -1, 28)
    interface = struct.pack(">IIHHII", 1, 20, 1, 0, 0, 20)
    unknown = struct.pack(">IIII", 0xBAD, 16, 1, 16)
    body = struct.pack(">IIIII", 0, TIME // 1000 >> 32, TIME // 1000 & 0xFFFFFFFF, 4, 4) + b"data"
    enhanced = struct.pack(">II", 6, 36) + body + struct.pack(">I", 36)
    simple = struct.pack(">IIIII", 3, 20, 4, 0x64617461, 20)
    got = parse(section + interface + unknown + enhanced + simple + capture(packet()))
    assert got.problem is None
    assert [one.data for one in got.packets] == [b"data", b"data", ARP]
    assert [one.time_ns for one in got.packets] == [TIME // 1000 * 1000, 0, TIME]
    assert [one.interface for one in got.packets] == [0, 0, 1]


def test_the_same_packets_give_the_same_bytes_and_nothing_of_the_machine() -> None:
    assert capture(packet()) == capture(packet())
    assert capture(packet()).hex() == (
        "0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000"
        "01000000380000000100000000000000"
        "0200030077616e0003000c006d6f6f6e20616e642073756e090001000900000000000000"
        "38000000"
        "060000005800000000000000"
        + struct.pack("<IIII", TIME >> 32, TIME & 0xFFFFFFFF, 42, 42).hex()
        + ARP.hex()
        + "0000020004000200000000000000"
        + "58000000"
    )


def test_tshark_reads_time_interface_direction_and_comment(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    path.write_bytes(capture(packet(comment="dropped")))
    fields = ("frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction")
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields"]
    for field in (*fields, "frame.comment", "arp.src.proto_ipv4"):
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    stamp, name, direction, comment, address = done.stdout.rstrip("\n").split("\t")
    assert stamp == "1767225600.123456789"
    assert (name, comment, address) == ("wan", "dropped", "10.0.0.1")
    assert int(direction, 0) == Direction.OUTBOUND
    assert read(path).packets[0].comment == "dropped"
