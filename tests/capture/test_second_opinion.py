# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison with tshark finds what differs, and says where there is nothing to compare."""

from dataclasses import replace
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from harness.capture.decryption import Decryption, decrypt
from harness.capture.entries import Entry, Ike, Ipsec, Unrelated
from harness.capture.secrets import Secrets
from harness.capture.wireshark import write_profile
from harness.ike import payloads_v2 as v2
from harness.ike.transforms import encryption, integrity
from tests.capture.packets import (
    GCM,
    INNER,
    MOON,
    SUN,
    esp_secret,
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
from tests.capture.runs import Runs
from tests.capture.second_opinion import Comparison, NoOracle, compare
from tests.capture.test_ah_packets import secret, sent

MESSAGE, PACKET = 0, 1


@pytest.fixture
def decryption() -> Decryption:
    """A message with a notify, and a packet of ESP."""
    secret, esp = ike_secret(), esp_secret(GCM)
    (message,) = sealed(secret, header(37, 4), [v2.Notify(16384)])
    taken = frames([ike(message), ip(sealer(esp).seal(INNER, 4), 50)])
    return decrypt(taken, Secrets(ike_v2=(secret,), ipsec=(esp,)))


def compared(decryption: Decryption, folder: Path) -> Comparison:
    capture = folder / "capture.pcapng"
    capture.write_bytes(pcapng_of(entry.frame for entry in decryption.entries))
    write_profile(folder / "wireshark", decryption.secrets)
    return compare(decryption, capture, folder / "wireshark")


def saying(decryption: Decryption, place: int, content: Ike | Ipsec | Unrelated) -> Decryption:
    """The same with something else about one frame."""
    entries = list(decryption.entries)
    entries[place] = Entry(entries[place].frame, entries[place].headers, content)
    return replace(decryption, entries=tuple(entries))


def test_what_is_told_alike_does_not_differ(decryption: Decryption, tmp_path: Path) -> None:
    assert compared(decryption, tmp_path) == Comparison(2)


def test_another_notify_is_told_with_frame_and_both_values(
    decryption: Decryption, tmp_path: Path
) -> None:
    content = decryption.entries[MESSAGE].content
    assert isinstance(content, Ike)
    wrong = saying(decryption, MESSAGE, content._replace(payloads=(v2.Notify(16385),)))
    assert compared(wrong, tmp_path).differing == [
        "frame 1, notify types: tshark has ['16384'], we have ['16385']"
    ]


def test_another_packet_inside_esp_is_told(decryption: Decryption, tmp_path: Path) -> None:
    content = decryption.entries[PACKET].content
    assert isinstance(content, Ipsec)
    other = ip(udp(b"hello", 7, 8), 17, "10.1.0.10", "10.2.0.11")
    found = compared(saying(decryption, PACKET, content._replace(payload=other)), tmp_path)
    assert [one.partition(":")[0] for one in found.differing] == [
        "frame 2, addresses",
        "frame 2, UDP ports",
    ]


@pytest.mark.parametrize("place", [MESSAGE, PACKET])
def test_a_frame_that_we_do_not_list_as_what_it_is_is_told(
    decryption: Decryption, place: int, tmp_path: Path
) -> None:
    found = compared(saying(decryption, place, Unrelated()), tmp_path)
    assert found.differing == [f"frame {place + 1}: tshark has IKE or IPsec, and we none"]


def test_the_header_of_ah_is_compared(tmp_path: Path) -> None:
    mac = integrity("HMAC_SHA2_256_128")
    packets = [sent(mac, IP(src=MOON, dst=SUN) / UDP(sport=7, dport=9) / Raw(b"hello"))]
    decryption = decrypt(frames(packets), Secrets(ipsec=(secret(mac),)))
    assert compared(decryption, tmp_path) == Comparison(1)
    content = decryption.entries[0].content
    assert isinstance(content, Ipsec)
    found = compared(saying(decryption, 0, content._replace(sequence=2)), tmp_path)
    assert found.differing == ["frame 1, AH sequence: tshark has ['1'], we have ['2']"]


def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path) -> None:
    foreign = esp_secret(encryption("CHACHA20_POLY1305"))
    taken = frames([ip(sealer(foreign).seal(INNER, 4), 50)])
    found = compared(decrypt(taken, Secrets(ipsec=(foreign,))), tmp_path)
    assert (found.compared, found.differing) == (1, [])
    assert found.left_out == {NoOracle.ALGORITHM: 1}


def test_behind_a_message_of_phase_1_that_came_again_after_its_answer_tshark_has_no_say(
    runs: Runs, tmp_path: Path
) -> None:
    before = runs.decrypted("ikev1-psk")
    question, answer = (
        entry.number
        for entry in before.ike
        if isinstance(entry.content, Ike)
        and entry.content.message is not None
        and entry.content.message.encrypted
        and not entry.content.header.message_id
    )
    taken = list(runs.captured("ikev1-psk").frames)
    taken.insert(answer, taken[question - 1])
    again = [frame._replace(number=number) for number, frame in enumerate(taken, 1)]
    found = compared(decrypt(again, before.secrets), tmp_path)
    assert found.differing == []
    behind = [entry for entry in before.ike if entry.number > answer]
    assert found.left_out == {NoOracle.REPEATED: 1 + len(behind)}
