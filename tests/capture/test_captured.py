# SPDX-License-Identifier: GPL-2.0-or-later
import gzip
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.capture.captured import Captured, load, parse
from harness.capture.decryption import decrypt
from harness.capture.entries import Ike, Ipsec, Status
from harness.capture.secrets import Secrets
from harness.ike.transforms import encryption
from tests.capture.packets import (
    MOON6,
    SUN6,
    esp_secret,
    ethernet,
    frames,
    header,
    ike,
    ike_secret,
    ip,
    pcapng_of,
    sealed,
    sealer,
    udp,
)
from tests.capture.runs import RUNS, Runs

PACKET = ip(udp(b"hello", 7, 9), 17)


def pcap(data: list[bytes], link: int = 1, magic: int = 0xA1B2C3D4, order: str = "<") -> bytes:
    """A classic capture of frames at second 7, fraction 5."""
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    extra = bytes(8) if magic == 0xA1B2CD34 else b""
    for one in data:
        out += struct.pack(order + "IIII", 7, 5, len(one), len(one)) + extra + one
    return out


def cut(packet: bytes, size: int, kind: str) -> bytes:
    """A capture of one packet of which that many octets were recorded."""
    kept, whole = packet[:size], len(packet)
    if kind == "pcap":
        return pcap([]) + struct.pack("<IIII", 7, 5, size, whole) + kept
    head = pcapng_of([])
    padded = kept + bytes(-size % 4)
    if kind == "simple":
        total = 16 + len(padded)
        return head + struct.pack("<III", 3, total, whole) + padded + struct.pack("<I", total)
    total = 32 + len(padded)
    fixed = struct.pack("<7I", 6, total, 0, 0, 7, size, whole)
    return head + fixed + padded + struct.pack("<I", total)


@pytest.mark.parametrize("kind", ["pcap", "enhanced", "simple"])
def test_a_packet_of_which_the_end_was_not_recorded_is_listed_and_says_so(kind: str) -> None:
    esp = esp_secret(encryption("AES_GCM_16_128"))
    store = Secrets(ipsec=(esp,), ike_v2=(ike_secret(),))
    message = ethernet(ike(sealed(ike_secret(), header(37, 4), [])[0]))
    packet = ethernet(ip(sealer(esp).seal(PACKET, 4), 50))
    for one in (message, packet):
        found = parse(cut(one, 80, kind))
        assert found.problems == (
            f"of 1 packets only the first octets were recorded, 80 of the {len(one)} of packet 1: "
            "record with tcpdump -s 0",
        )
        content = decrypt(found.frames, store).entries[0].content
        assert isinstance(content, Ike | Ipsec)
        assert (content.status, content.authentic) == (Status.CUT, None)
        assert content.detail == f"the capture has only 80 of its {len(one)} octets"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "time_ns"),
    [(0xA1B2C3D4, 7 * 10**9 + 5000), (0xA1B23C4D, 7 * 10**9 + 5), (0xA1B2CD34, 7 * 10**9 + 5000)],
)
def test_every_classic_capture_is_read(magic: int, time_ns: int, order: str) -> None:
    found = parse(pcap([b"a" * 20, b"b" * 21], magic=magic, order=order))
    assert found.problems == ()
    assert [(one.number, one.time_ns, one.data) for one in found.frames] == [
        (1, time_ns, b"a" * 20),
        (2, time_ns, b"b" * 21),
    ]


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "modpcap", "pcapng"])
@pytest.mark.parametrize("run", RUNS)
def test_what_tshark_makes_of_a_run_is_decrypted_the_same(
    runs: Runs, run: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "copy"
    source = runs.folder(run) / "capture.pcapng"
    # Classic captures have one wire: only the outer one is copied.
    subprocess.run(
        ["tshark", "-n", "-r", source, "-Y", "isakmp or esp", "-F", kind, "-w", path],
        check=True, capture_output=True,
    )  # fmt: skip
    found = load(path)
    assert found.problems == ()
    again = decrypt(found.frames, runs.keys(run, "moon").secrets)
    ours = runs.decrypted(run)
    assert [e.content.payloads for e in again.ike] == [e.content.payloads for e in ours.ike]  # type: ignore[union-attr]
    assert [e.content.inner_octets for e in again.ipsec] == [  # type: ignore[union-attr]
        e.content.inner_octets  # type: ignore[union-attr]
        for e in ours.ipsec
    ]


def test_a_run_s_nodes_are_known_from_its_capture(runs: Runs) -> None:
    first = runs.captured("ikev2-psk").frames[2]
    assert (first.wire, first.sender, first.receiver) == ("wan", "moon", "sun")


SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
LINKS = {
    0: b"\x02\0\0\0",
    1: bytes(12) + b"\x08\0",
    6: bytes(14) + SNAP,
    9: b"\xff\x03\0\x21",
    10: bytes(13) + SNAP,
    12: b"",
    14: b"",
    50: b"\xff\x03\0\x21",
    51: b"\x11\0\0\1\0\x40\0\x21",
    100: SNAP,
    101: b"",
    104: b"\x0f\0\x08\0",
    105: b"\x08\x01" + bytes(22) + SNAP,
    108: b"\0\0\0\x02",
    109: bytes(12),
    113: bytes(14) + b"\x08\0",
    127: b"\0\0\x08\0\0\0\0\0" + b"\x88\x02" + bytes(24) + SNAP,
    228: b"",
    239: b"\x02\0\0\0" + b"\x05\0\x0a\0x\0\0\0" + struct.pack("<HH", 4 + len(PACKET), 9),
    276: b"\x08\0" + bytes(18),
}


@pytest.mark.parametrize("link", LINKS)
def test_an_ip_packet_is_found_behind_every_link_layer(link: int) -> None:
    secret = esp_secret(encryption("AES_GCM_16_128"))
    sealed = ip(sealer(secret).seal(PACKET, 4), 50)
    head = LINKS[link]
    if link == 239:
        head = head[:-4] + struct.pack("<HH", 4 + len(sealed), 9)
    (entry,) = decrypt(parse(pcap([head + sealed], link)).frames, Secrets(ipsec=(secret,))).entries
    assert isinstance(entry.content, Ipsec)
    assert entry.content.inner_octets == PACKET


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (229, b""),
        (101, b""),
        (1, bytes(12) + b"\x81\0\0\7\x86\xdd"),
        (1, bytes(12) + b"\x88\x64\x11\0\0\1\0\x40\0\x57"),
        (1, bytes(12) + b"\x88\xa8\0\1\x81\0\0\7\x86\xdd"),
        (113, bytes(14) + b"\x81\0\0\7\x86\xdd"),
        (9, b"\x57"),
        (276, b"\x86\xdd" + bytes(18)),
    ],
)
def test_ipv6_and_tags_are_found_too(link: int, head: bytes) -> None:
    secret = esp_secret(encryption("AES_GCM_16_128"))
    sealed = ip(sealer(secret).seal(PACKET, 4), 50, MOON6, SUN6)
    (entry,) = decrypt(parse(pcap([head + sealed], link)).frames, Secrets(ipsec=(secret,))).entries
    assert isinstance(entry.content, Ipsec)
    assert entry.content.status is Status.DECRYPTED


def test_an_unknown_link_type_is_a_sentence_and_its_frames_are_listed() -> None:
    found = parse(pcap([PACKET], 147))
    assert found.problems == ("link type 147 is unknown: its frames are listed, but not read",)
    assert len(decrypt(found.frames).entries) == 1


DAMAGED = "the capture is damaged"
AFTER_1 = f"{DAMAGED} after packet 1 (byte 73)"


@pytest.mark.parametrize(
    ("data", "problem", "kept"),
    [
        (b"", "the capture is empty", 0),
        (b"MZ\x90\0" * 20, "the file is no capture: it begins with 4d 5a 90 00, as neither pcap nor"
         " pcapng does", 0),
        (gzip.compress(PACKET), "the capture is compressed; unpack it with gunzip first", 0),
        (pcap([])[:20], f"{DAMAGED}: it ends within its header", 0),
        (pcap([PACKET, PACKET])[:-3], f"{AFTER_1}: it ends within a packet",
         1),
        (pcap([PACKET]) + b"\0" * 9, f"{AFTER_1}: it ends within a packet's"
         " header", 1),
        (pcap([PACKET]) + b"\xff" * 16, f"{AFTER_1}: a packet claims"
         " 4294967295 bytes", 1),
    ],
)  # fmt: skip
def test_damage_is_one_sentence_and_what_is_before_it_is_read(
    data: bytes, problem: str, kept: int
) -> None:
    found = parse(data)
    assert found.problems == (problem,)
    assert len(found.frames) == kept


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([*LINKS, 229, 147]), st.booleans())
def test_no_frame_of_any_link_type_is_an_error(data: bytes, link: int, cut: bool) -> None:
    file = pcap([data, data[: len(data) // 2]], link)
    found = parse(file[:-1] if cut else file)
    assert len(decrypt(found.frames).entries) == len(found.frames)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_no_octets_of_a_file_are_an_error(data: bytes, kept: int) -> None:
    for start in (pcap([PACKET]), pcapng_of(frames([PACKET]))):
        found = parse(start[:kept] + data)
        assert isinstance(found, Captured)
        assert all("\n" not in problem for problem in found.problems)
