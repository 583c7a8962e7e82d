# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace

import pytest

from harness.capture.decryption import decrypt
from harness.capture.entries import Status
from harness.capture.secrets import Secrets
from harness.ike.ip_modes import split_transport
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    encryption,
    integrity,
)
from tests.capture.opened import ipsec_of, opened
from tests.capture.packets import (
    GCM,
    INNER,
    MOON,
    MOON6,
    SUN,
    SUN6,
    esp_secret,
    frame,
    ip,
    sealer,
    udp,
)


def test_esp_is_opened_with_every_algorithm_with_and_without_esn() -> None:
    for cipher in ENCRYPTIONS:
        for mac in [None] if cipher.combined else [one for one in INTEGRITIES if one.icv_size]:
            for esn in (False, True):
                secret = esp_secret(cipher, mac, esn=esn)
                packet = ip(sealer(secret).seal(INNER, 4), 50)
                for known in (secret, replace(secret, esn=None)):
                    (entry,) = opened([packet], known)
                    assert ipsec_of(entry).inner_octets == INNER, (cipher.name, mac, esn)
                    assert ipsec_of(entry).authentic


@pytest.mark.parametrize("encapsulated", [False, True], ids=["in IP", "in UDP"])
@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("inner", [INNER, ip(udp(b"six", 7, 9), 17, "fd01::1", "fd02::1")])
def test_tunnel_mode_gives_the_inner_packet(
    ends: tuple[str, str], encapsulated: bool, inner: bytes
) -> None:
    secret = esp_secret(GCM)
    number = 41 if inner[0] >> 4 == 6 else 4
    sealed_ = sealer(secret).seal(inner + bytes(9), number)  # with TFC padding behind it
    packet = ip(udp(sealed_, 4500, 4500), 17, *ends) if encapsulated else ip(sealed_, 50, *ends)
    (entry,) = opened([packet], secret)
    found = ipsec_of(entry)
    assert (found.mode, found.encapsulated) == ("tunnel", encapsulated)
    assert found.inner_octets == inner
    assert found.inner is not None
    assert (found.inner.sport, found.inner.dport) == (7, 9)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["in IP", "in UDP"])
@pytest.mark.parametrize("ends", [(MOON, SUN), (MOON6, SUN6)], ids=["IPv4", "IPv6"])
def test_transport_mode_gives_the_packet_as_it_was(
    ends: tuple[str, str], encapsulated: bool
) -> None:
    secret = esp_secret(GCM)
    plain = ip(udp(b"hello", 7, 9), 17, *ends)
    split = split_transport(plain)
    sealed_ = sealer(secret).seal(split.payload, 17)
    packet = ip(udp(sealed_, 4500, 4500), 17, *ends) if encapsulated else ip(sealed_, 50, *ends)
    (entry,) = opened([packet], secret)
    assert ipsec_of(entry).mode == "transport"
    assert ipsec_of(entry).inner_octets == plain


def test_sequence_numbers_beyond_32_bits_are_followed() -> None:
    secret = replace(esp_secret(GCM, esn=True), high=1)
    start = (2 << 32) - 3
    source = sealer(secret, start)
    packets = [ip(source.seal(INNER, 4), 50) for _ in range(5)]
    found = opened(packets, secret)
    assert [ipsec_of(one).sequence for one in found] == [start + n for n in range(1, 6)]


def test_a_replay_names_the_frame_that_it_repeats_on_its_own_wire_only() -> None:
    secret = esp_secret(GCM)
    source = sealer(secret)
    one, two = (ip(source.seal(INNER, 4), 50) for _ in range(2))
    taken = [frame(one, 1), frame(one, 2, "lan"), frame(two, 3), frame(one, 4)]
    found = decrypt(taken, Secrets(ipsec=(secret,))).entries
    assert [ipsec_of(each).replays for each in found] == [0, 0, 0, 1]
    assert [ipsec_of(each).forwards for each in found] == [0, 1, 0, 0]


def test_an_spi_that_serves_two_directions_is_two_sas() -> None:
    """As with manual keys, where people like SPI 1 for both."""
    there = replace(esp_secret(GCM), destination=SUN)
    back = replace(there, destination=MOON, encryption_key=bytes(20))
    packets = [
        ip(sealer(there).seal(INNER, 4), 50, MOON, SUN),
        ip(sealer(back).seal(INNER, 4), 50, SUN, MOON),
    ]
    assert {ipsec_of(one).status for one in opened(packets, there, back)} == {Status.DECRYPTED}


def test_an_sa_is_found_behind_a_translation() -> None:
    secret = replace(esp_secret(GCM), destination="10.9.9.9", source="*")
    (entry,) = opened([ip(sealer(secret).seal(INNER, 4), 50)], secret)
    assert ipsec_of(entry).status is Status.DECRYPTED


def test_a_dummy_packet_has_nothing_inside() -> None:
    secret = esp_secret(GCM)
    (entry,) = opened([ip(sealer(secret).seal(bytes(64), 59), 50)], secret)
    assert ipsec_of(entry).dummy
    assert ipsec_of(entry).inner is None


def test_an_unchecked_icv_is_passed_over_and_proves_nothing() -> None:
    real = esp_secret(encryption("AES_CBC_128"), integrity("HMAC_SHA1_96"))
    known = replace(real, integrity=None, integrity_key=b"", unchecked_icv=12)
    (entry,) = opened([ip(sealer(real).seal(INNER, 4), 50)], known)
    assert ipsec_of(entry).inner_octets == INNER
    assert ipsec_of(entry).authentic is None


def test_a_key_of_the_wrong_length_is_told_with_the_packet() -> None:
    secret = replace(esp_secret(GCM), encryption_key=bytes(7))
    (entry,) = opened([ip(sealer(esp_secret(GCM)).seal(INNER, 4), 50)], secret)
    assert ipsec_of(entry).status is Status.NO_KEY
    assert "takes 20 bytes of key and salt, not 7" in ipsec_of(entry).detail
