# SPDX-License-Identifier: GPL-2.0-or-later
import json
import random
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from harness.kernel.algorithms import Algorithm
from harness.kernel.lifetimes import Lifetimes, Usage
from harness.kernel.numbers import SaFlag
from harness.kernel.replay import Replay
from harness.kernel.sa import Encapsulation, SaId, SecurityAssociation
from harness.kernel.sad import Sad

MOON, SUN = ip_address("192.0.2.1"), ip_address("192.0.2.2")
GCM = Algorithm("rfc4106(gcm(aes))", bytes(20), 128)
OUT = SecurityAssociation(0xC0000001, MOON, SUN, reqid=1, aead=GCM)
BACK = SecurityAssociation(0xC0000002, SUN, MOON, reqid=1, aead=GCM)
CBC = replace(
    OUT,
    spi=3,
    aead=None,
    encryption=Algorithm("cbc(aes)", bytes(16)),
    integrity=Algorithm("hmac(sha256)", bytes(32), 128),
)
LARVAL = SecurityAssociation(0xC0000009, SUN, MOON)


def test_two_gateways_with_the_same_sas_mirror_each_other() -> None:
    assert Sad([OUT, BACK, CBC]).mirrors(Sad([CBC, BACK, OUT])) == []


def test_what_each_end_counts_and_chooses_for_itself_does_not_matter_to_the_mirror() -> None:
    other = replace(
        OUT,
        reqid=77,
        lifetimes=Lifetimes(hard_seconds=9),
        current=Usage(100, 1, 5, 6),
        replay=Replay(window=64, seq=7),
        flags=SaFlag.AF_UNSPEC,
    )
    assert Sad([OUT]).mirrors(Sad([other])) == []


def test_reservations_without_a_key_are_left_out_of_the_mirror() -> None:
    assert Sad([OUT, LARVAL]).mirrors(Sad([OUT])) == []
    assert Sad([OUT]).mirrors(Sad([OUT, LARVAL])) == []


def test_an_sa_that_only_one_gateway_has_is_named_with_the_gateway() -> None:
    assert Sad([OUT, BACK]).mirrors(Sad([OUT])) == [
        "only the first has esp SA 0xc0000002 from 192.0.2.2 to 192.0.2.1"
    ]
    assert Sad([OUT]).mirrors(Sad([OUT, BACK])) == [
        "only the second has esp SA 0xc0000002 from 192.0.2.2 to 192.0.2.1"
    ]


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"source": ip_address("192.0.2.9")}, "source 192.0.2.1 in the first and 192.0.2.9 in"),
        ({"destination": ip_address("192.0.2.9")}, "destination 192.0.2.2 in the first and"),
        ({"mode": "transport"}, "mode tunnel in the first and transport in the second"),
        ({"esn": True}, "esn False in the first and True in the second"),
        (
            {"encryption": Algorithm("cbc(aes)", bytes(32))},
            "encryption cbc(aes) with a key of 128 bits in the first"
            " and cbc(aes) with a key of 256 bits in the second",
        ),
        ({"encryption": Algorithm("cbc(aes)", b"\1" * 16)}, "another encryption key in the second"),
        (
            {"integrity": Algorithm("hmac(sha256)", bytes(32), 96)},
            "ICV 128 bits in the first and hmac(sha256) with a key of 256 bits, ICV 96 bits in",
        ),
        ({"integrity": Algorithm("hmac(sha256)", b"\1" * 32, 128)}, "another integrity key in the"),
        ({"integrity": None}, "and None in the second"),
        (
            {"encapsulation": Encapsulation("espinudp", 4500, 4500)},
            "encapsulation None in the first and espinudp from port 4500 to port 4500 in the",
        ),
    ],
)
def test_each_part_that_differs_is_a_sentence(changes: dict[str, Any], difference: str) -> None:
    (sentence,) = Sad([CBC]).mirrors(Sad([replace(CBC, **changes)]))
    assert sentence.startswith("esp SA 0x00000003 from 192.0.2.1 to 192.0.2.2 has ")
    assert difference in sentence


def test_a_sentence_about_keys_shows_no_key() -> None:
    key = bytes(range(16))
    other = replace(CBC, encryption=Algorithm("cbc(aes)", key))
    for text in (*Sad([CBC]).mirrors(Sad([other])), repr(other), str(other), repr(Sad([other]))):
        assert key.hex() not in text
        assert repr(key) not in text


def test_another_protocol_with_the_same_spi_is_another_sa() -> None:
    ah = replace(CBC, protocol="ah", encryption=None)
    assert Sad([CBC]).mirrors(Sad([ah])) == [
        "only the first has esp SA 0x00000003 from 192.0.2.1 to 192.0.2.2",
        "only the second has ah SA 0x00000003 from 192.0.2.1 to 192.0.2.2",
    ]


def test_one_spi_in_both_directions_is_told_apart_by_destination() -> None:
    back = replace(CBC, source=SUN, destination=MOON, mode="transport")
    assert Sad([CBC, back]).mirrors(Sad([back, CBC])) == []


def test_behind_a_nat_addresses_and_ports_do_not_matter() -> None:
    inside = replace(OUT, encapsulation=Encapsulation("espinudp", 4500, 4500))
    outside = replace(
        OUT,
        source=ip_address("203.0.113.1"),
        encapsulation=Encapsulation("espinudp", 30001, 4500),
    )
    assert len(Sad([inside]).mirrors(Sad([outside]))) == 2
    assert Sad([inside]).mirrors(Sad([outside]), translated=True) == []
    assert Sad([inside]).mirrors(Sad([OUT]), translated=True) == [
        "esp SA 0xc0000001 from 192.0.2.1 to 192.0.2.2 has encapsulation"
        " espinudp from port 4500 to port 4500 in the first and None in the second"
    ]


def test_an_sa_is_found_by_what_is_given_of_it() -> None:
    sad = Sad([OUT, BACK, CBC])
    assert sad.find(spi=0xC0000002) == BACK
    assert sad.find(destination=SUN, spi=3) == CBC
    assert sad.find(destination="192.0.2.1") == BACK
    assert sad.find(spi=3, destination=MOON) is None
    assert sad.find(spi=3, protocol="ah") is None
    assert sad.find(spi=4) is None


def test_a_snapshot_is_a_collection_of_its_sas() -> None:
    sad = Sad([BACK, OUT])
    assert len(sad) == 2
    assert set(sad) == {OUT, BACK}
    assert OUT in sad
    assert CBC not in sad
    assert sad == Sad([OUT, BACK])
    assert sad != Sad([OUT])
    assert Sad([OUT, LARVAL]).established == Sad([OUT])


def test_the_json_is_the_same_whatever_the_order_of_the_kernel() -> None:
    sas = [replace(OUT, spi=spi, destination=end) for spi in range(9) for end in (SUN, MOON)]
    expected = json.dumps(Sad(sas).as_json())
    for seed in range(5):
        random.Random(seed).shuffle(sas)
        assert json.dumps(Sad(sas).as_json()) == expected


def test_the_json_has_addresses_as_text_and_keys_in_hexadecimal() -> None:
    (written,) = Sad([CBC]).as_json()
    assert written["source"] == "192.0.2.1"
    assert written["encryption"] == {"name": "cbc(aes)", "key": "00" * 16, "icv_bits": 0}
    assert written["integrity"]["icv_bits"] == 128
    assert written["larval"] is False


def test_both_ip_versions_have_a_place_in_the_order() -> None:
    six = SecurityAssociation(1, ip_address("2001:db8::1"), ip_address("2001:db8::2"), aead=GCM)
    assert [sa.family for sa in Sad([six, OUT])] == [OUT.family, six.family]


def test_an_sa_says_what_identifies_it() -> None:
    assert OUT.id == SaId(0xC0000001, SUN, "esp")
    assert str(OUT.id) == "esp SA 0xc0000001 to 192.0.2.2"


def test_an_sa_between_two_ip_versions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"from 192.0.2.1 to 2001:db8::2 mixes IPv4 and IPv6"):
        SecurityAssociation(1, MOON, ip_address("2001:db8::2"))
