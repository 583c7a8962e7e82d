# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark, with the profile that we write, sees in every packet what we see."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.capture.captured import CapturedFrame
from harness.capture.decryption import decrypt
from harness.capture.entries import Ike, Status
from harness.capture.secrets import Secrets
from harness.capture.wireshark import write_profile
from harness.capture.wireshark_tables import read_tables
from harness.ike import payloads_v2 as v2
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, Encryption, Integrity, encryption
from tests.capture.packets import (
    MOON,
    MOON6,
    SUN,
    SUN6,
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
from tests.capture.runs import RUNS, Runs
from tests.capture.second_opinion import NoOracle, assert_agreed
from tests.capture.tshark import checked_in_esp, tshark


@pytest.mark.parametrize("node", ["moon", "sun"])
@pytest.mark.parametrize("run", RUNS)
def test_tshark_agrees_with_every_field_of_a_run(
    runs: Runs, run: str, node: str, tmp_path: Path
) -> None:
    decryption = runs.decrypted(run, node)
    assert all(entry.content.status is Status.DECRYPTED for entry in decryption.ipsec)  # type: ignore[union-attr]
    assert assert_agreed(decryption, runs.folder(run) / "capture.pcapng", tmp_path / "wireshark")


def written(path: Path, captured: Sequence[CapturedFrame]) -> Path:
    path.write_bytes(pcapng_of(captured))
    return path


ESP_CIPHERS = [one for one in ENCRYPTIONS if one.names.wireshark_esp]
ESP_MACS = [one for one in INTEGRITIES if one.icv_size and checked_in_esp(one)]
IKE_CIPHERS = [one for one in ENCRYPTIONS if one.names.wireshark_ike and one.name != "NULL"]
IKE_MACS = [one for one in INTEGRITIES if one.icv_size and one.names.wireshark_ike]


def test_tshark_agrees_about_every_algorithm_of_esp_that_it_knows(tmp_path: Path) -> None:
    """All combinations in one capture; ESP ChaCha20, AES-CCM, GMAC and Camellia have no oracle."""
    assert len(ESP_CIPHERS) * len(ESP_MACS) > 80
    packets, secrets = [], []
    for cipher in ESP_CIPHERS:
        for mac in [None] if cipher.combined else ESP_MACS:
            secret = esp_secret(cipher, mac, spi=0x1000 + len(secrets))
            secrets.append(secret)
            inner = ip(udp(b"payload " * 5, 7, 9), 17, "10.1.0.10", "10.2.0.10")
            packets.append(ip(sealer(secret).seal(inner, 4), 50))
    captured = frames(packets)
    decryption = decrypt(captured, Secrets(ipsec=tuple(secrets)))
    capture = written(tmp_path / "c.pcapng", captured)
    assert assert_agreed(decryption, capture, tmp_path / "wireshark")


@pytest.mark.parametrize("combined", [True, False], ids=["combined", "separate"])
def test_tshark_agrees_about_every_algorithm_of_ikev2_that_it_knows(
    combined: bool, tmp_path: Path
) -> None:
    """Each pair with SPIs of its own; ChaCha20, Camellia, XCBC and CMAC have no oracle."""
    packets: list[bytes] = []
    secrets = []
    for cipher, mac in ike_pairs(combined):
        secret = ike_secret(cipher, mac)
        spi = len(secrets).to_bytes(8, "big")
        secret = type(secret)(spi, spi, *(getattr(secret, one) for one in ("ei", "er", "ai", "ar")),
                              cipher, mac)  # fmt: skip
        secrets.append(secret)
        payloads = [v2.Notify(16393, protocol=3, spi=b"\1\2\3\4"), v2.Nonce(b"n" * 32)]
        for initiator in (True, False):
            head = header(36, 9, initiator=initiator, response=not initiator)
            message = type(head)(head.version, 36, spi, spi, 9, head.flags)
            packets += [ike(one, not initiator, 4500) for one in sealed(secret, message, payloads)]
    captured = frames(packets)
    decryption = decrypt(captured, Secrets(ike_v2=tuple(secrets)))
    assert {e.content.status for e in decryption.ike} == {Status.DECRYPTED}  # type: ignore[union-attr]
    capture = written(tmp_path / "c.pcapng", captured)
    assert assert_agreed(decryption, capture, tmp_path / "wireshark")


def ike_pairs(combined: bool) -> Iterator[tuple[Encryption, Integrity | None]]:
    for cipher in IKE_CIPHERS:
        if cipher.combined == combined:
            for mac in [None] if combined else IKE_MACS:
                yield cipher, mac


def test_tshark_agrees_about_fragments(tmp_path: Path) -> None:
    secret = ike_secret()
    payloads = [v2.Notify(16393, protocol=3, spi=b"\1\2\3\4"), v2.Nonce(b"n" * 32)]
    packets = [ike(one, port=4500) for one in sealed(secret, header(35, 1), payloads, fragments=3)]
    captured = frames(packets)
    decryption = decrypt(captured, Secrets(ike_v2=(secret,)))
    assert isinstance(decryption.ike[2].content, Ike)
    assert decryption.ike[2].content.payloads == tuple(payloads)
    assert assert_agreed(
        decryption, written(tmp_path / "c.pcapng", captured), tmp_path / "wireshark"
    )


def test_tshark_agrees_about_tunnel_and_transport_in_both_versions_of_ip(tmp_path: Path) -> None:
    secret = esp_secret(encryption("AES_GCM_16_128"))
    source = sealer(secret)
    inners = [ip(udp(b"4", 7, 9), 17, "10.1.0.1", "10.2.0.1"), ip(udp(b"6", 7, 9), 17, MOON6, SUN6)]
    packets = []
    for ends in ((MOON, SUN), (MOON6, SUN6)):
        numbers = zip((4, 41), inners, strict=True)
        packets += [ip(source.seal(inner, number), 50, *ends) for number, inner in numbers]
        packets.append(ip(source.seal(udp(b"transport", 7, 9), 17), 50, *ends))
        packets.append(ip(udp(source.seal(inners[0], 4), 1025, 4500), 17, *ends))
    captured = frames(packets)
    # Wireshark has one table for each version of IP.
    both = [
        replace(secret, destination=one, source=two) for one, two in ((SUN, MOON), (SUN6, MOON6))
    ]
    decryption = decrypt(captured, Secrets(ipsec=tuple(both)))
    assert len(decryption.ipsec) == 8
    assert {e.content.status for e in decryption.ipsec} == {Status.DECRYPTED}  # type: ignore[union-attr]
    assert assert_agreed(
        decryption, written(tmp_path / "c.pcapng", captured), tmp_path / "wireshark"
    )


def test_tshark_too_reads_an_sa_on_both_sides_of_a_translation(tmp_path: Path) -> None:
    """The kernel behind the NAT knows another destination than the wire before it shows."""
    secret = replace(esp_secret(encryption("AES_GCM_16_128")), destination="10.9.9.9")
    source = sealer(secret)
    inner = ip(udp(b"4", 7, 9), 17, "10.1.0.1", "10.2.0.1")
    packets = [
        ip(udp(source.seal(inner, 4), 4500, 4500), 17, MOON, destination)
        for destination in (SUN, "10.9.9.9")
    ]
    captured = frames(packets)
    decryption = decrypt(captured, Secrets(ipsec=(secret,)))
    assert assert_agreed(
        decryption, written(tmp_path / "c.pcapng", captured), tmp_path / "wireshark"
    )


def test_a_profile_is_for_its_owner_alone_and_loads_again(runs: Runs, tmp_path: Path) -> None:
    profile = tmp_path / "run" / "wireshark"
    secrets = runs.decrypted("ikev2-psk").secrets
    for _ in range(2):
        write_profile(profile, secrets)
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in profile.iterdir()} == {0o600}
    read = read_tables(profile)
    assert read.problems == ()
    again = decrypt([entry.frame for entry in runs.decrypted("ikev2-psk").entries], read.secrets)
    # Wireshark's tables have no SK_p: AUTH alone cannot be checked with them.
    assert [e.content._replace(proof=None) for e in again.ike] == [  # type: ignore[union-attr]
        e.content._replace(proof=None)  # type: ignore[union-attr]
        for e in runs.decrypted("ikev2-psk").ike
    ]
    opened = [(e.content.status, e.content.payload) for e in again.ipsec]  # type: ignore[union-attr]
    assert opened == [
        (e.content.status, e.content.payload)  # type: ignore[union-attr]
        for e in runs.decrypted("ikev2-psk").ipsec
    ]


def test_a_link_in_the_place_of_a_table_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    profile = tmp_path / "wireshark"
    profile.mkdir()
    (profile / "esp_sa").symlink_to(victim)
    write_profile(profile, Secrets(ipsec=(esp_secret(encryption("AES_GCM_16_128")),)))
    assert victim.read_text() == "untouched"
    assert "AES-GCM" in (profile / "esp_sa").read_text()


def test_tshark_says_with_a_wrong_key_that_an_icv_is_bad_and_so_do_we(tmp_path: Path) -> None:
    secret = esp_secret(encryption("AES_CBC_128"), INTEGRITIES[0])
    packet = bytearray(ip(sealer(secret).seal(ip(b"", 59, MOON, SUN), 4), 50))
    packet[-1] ^= 1
    captured = frames([bytes(packet)])
    decryption = decrypt(captured, Secrets(ipsec=(secret,)))
    assert [e.content.status for e in decryption.ipsec] == [Status.BAD_ICV]  # type: ignore[union-attr]
    write_profile(tmp_path / "w", Secrets(ipsec=(secret,)))
    (row,) = tshark(written(tmp_path / "c.pcapng", captured), tmp_path / "w").rows
    assert row["ICV good"] == ["0"]


def test_the_document_lists_exactly_the_algorithms_that_have_no_oracle() -> None:
    text = (Path(__file__).parents[2] / "docs" / "decrypting.md").read_text()

    def listed(protocol: str) -> set[str]:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {protocol} |")]
        return set(re.findall(r"`(\w+)`", row))

    ciphers, macs = ENCRYPTIONS, [one for one in INTEGRITIES if one.icv_size]
    assert listed("ESP") == {
        *(one.rfc_name for one in ciphers if one.names.wireshark_esp is None),
        *(one.rfc_name for one in macs if not checked_in_esp(one)),
    }
    # IKE has no others than those that have a number there.
    assert listed("IKEv2") == {
        one.rfc_name
        for one in (*ciphers, *macs)
        if one.id is not None and one.names.wireshark_ike is None
    }


def test_the_document_lists_exactly_what_else_has_no_oracle() -> None:
    text = (Path(__file__).parents[2] / "docs" / "decrypting.md").read_text()
    (table,) = re.findall(r"^\| of \| tshark .*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    listed = {line.split("|")[1].strip() for line in table.splitlines()}
    assert listed == {*(set(NoOracle) - {NoOracle.ALGORITHM}), "AH", "AUTH, HASH, SIG"}
