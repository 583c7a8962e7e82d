# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.secrets import IkeV1Secret, IkeV2Secret, IpsecSecret
from harness.capture.wireshark_tables import (
    ESP_TABLE,
    IKEV1_TABLE,
    IKEV2_TABLE,
    TABLES,
    esp_rows,
    ikev1_rows,
    ikev2_rows,
    parse_table,
    read_tables,
)
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, encryption, integrity

SPI_I, SPI_R = bytes(range(8)), bytes(range(8, 16))

# Rows as people publish them with their captures.
COOKIE_AND_KA = "80f5f36ce1766d90,4fab73ae45d51536fc833c695acb8ea75a7e59af2cc5b49eaeb7b83ccb1f4953"
ESP_ROW = (
    '"IPv4","10.0.0.1","10.0.0.2","0xced62df9","AES-CBC [RFC3602]",'
    '"0x1bc9cc7a1ffc85bb3825e4d0c17d5980a6ff776a8849d9090f1cfa2db9dbb51a",'
    '"HMAC-SHA-256-128 [RFC4868]",'
    '"0x539b9eab02eac2dda3f41bb0da3778d9963129b916eee10ef4ca5b3db3fe7e2c"'
)


def test_published_rows_load() -> None:
    (v1,) = parse_table(IKEV1_TABLE, COOKIE_AND_KA + "\n", "").secrets.ike_v1
    assert v1.cookie == bytes.fromhex("80f5f36ce1766d90")
    assert len(v1.key) == 32
    (esp,) = parse_table(ESP_TABLE, "# a comment\n\n" + ESP_ROW, "").secrets.ipsec
    assert (esp.spi, esp.source, esp.destination) == (0xCED62DF9, "10.0.0.1", "10.0.0.2")
    assert esp.encryption is encryption("AES_CBC_256")
    assert esp.integrity is integrity("HMAC_SHA2_256_128")
    assert esp.esn is None


def test_what_is_written_is_read_again_for_every_algorithm() -> None:
    for cipher in ENCRYPTIONS:
        macs = [None] if cipher.combined else [one for one in INTEGRITIES if one.icv_size]
        for mac in macs:
            size = mac.key_size if mac else 0
            key, mac_key = bytes(range(cipher.keymat_size)), b"m" * size
            esp = IpsecSecret(
                7, "10.0.0.2", "*", "esp", cipher, key, mac, mac_key, esn=True, high=3
            )
            if mac is None or mac.name != "HMAC_SHA2_256_96":
                assert parse_table(ESP_TABLE, "\n".join(esp_rows([esp])), "").secrets.ipsec == (
                    esp,
                )
            if cipher.id is not None:
                ike = IkeV2Secret(SPI_I, SPI_R, key, key, mac_key, mac_key, cipher, mac)
                rows = "\n".join(ikev2_rows([ike]))
                assert parse_table(IKEV2_TABLE, rows, "").secrets.ike_v2 == (ike,), rows
    v1 = IkeV1Secret(SPI_I, b"k" * 24)
    assert parse_table(IKEV1_TABLE, "\n".join(ikev1_rows([v1])), "").secrets.ike_v1 == (v1,)


def test_what_proves_the_peers_is_a_comment_to_wireshark_and_read_again() -> None:
    v1 = IkeV1Secret(SPI_I, b"k" * 24, skeyid=b"s" * 20, skeyid_a=b"a" * 20)
    rows = list(ikev1_rows([v1]))
    assert [row.startswith("#") for row in rows] == [False, True]
    assert parse_table(IKEV1_TABLE, "\n".join(rows), "").secrets.ike_v1 == (v1,)
    v2 = IkeV2Secret(
        SPI_I, SPI_I, b"e" * 16, b"r" * 16, b"a" * 32, b"b" * 32,
        encryption("AES_CBC_128"), integrity("HMAC_SHA2_256_128"), pi=b"p" * 32, pr=b"q" * 32,
    )  # fmt: skip
    rows = list(ikev2_rows([v2]))
    assert [row.startswith("#") for row in rows] == [False, True]
    (read,) = parse_table(IKEV2_TABLE, "\n".join(rows), "").secrets.ike_v2
    assert (read, read.pi, read.pr) == (v2, v2.pi, v2.pr)


def test_an_icv_that_is_not_to_be_checked_is_passed_over() -> None:
    row = f'"IPv4","*","*","0x7","AES-CBC [RFC3602]","{bytes(16).hex()}"'
    row += ',"ANY 96 bit authentication [no checking]",""'
    (read,) = parse_table(ESP_TABLE, row, "").secrets.ipsec
    assert (read.integrity, read.unchecked_icv) == (None, 12)
    assert list(esp_rows([read])) == [
        f'"IPv4","*","*","0x00000007","AES-CBC [RFC3602]","0x{bytes(16).hex()}"'
        ',"ANY 96 bit authentication [no checking]",""'
    ]


def test_the_columns_of_extended_sequence_numbers_are_there_for_those_only() -> None:
    esp = IpsecSecret(7, encryption=encryption("NULL"), esn=False)
    (plain,) = esp_rows([esp])
    (extended,) = esp_rows([replace(esp, esn=True, high=2)])
    assert extended == plain + ',"64-bit","00000002"'


def test_candidates_and_ah_are_not_written() -> None:
    assert list(ikev1_rows([IkeV1Secret(None, bytes(16))])) == []
    assert list(ikev2_rows([IkeV2Secret(None, None, bytes(16), bytes(16))])) == []
    assert list(esp_rows([IpsecSecret(1, protocol="ah", integrity=INTEGRITIES[0])])) == []


def test_an_algorithm_that_wireshark_lacks_is_a_comment_to_it() -> None:
    chacha = encryption("CHACHA20_POLY1305")
    (row,) = esp_rows([IpsecSecret(1, encryption=chacha, encryption_key=bytes(36))])
    assert row.startswith("#")


IKEV2_ROW = f'{SPI_I.hex()},{SPI_R.hex()},{"00" * 16},{"00" * 16},"AES-CBC-128 [RFC3602]"'
KEY, MAC = "0x" + "00" * 16, "0x" + "00" * 20


@pytest.mark.parametrize(
    ("table", "row", "why"),
    [
        (IKEV1_TABLE, "80f5f36ce1766d90", "it has 1 fields and should have 2: initiator cookie and"
         " encryption key"),
        (IKEV1_TABLE, "80f5,00", "its cookie has 2 octets and should have 8"),
        (IKEV1_TABLE, "80f5f36ce1766d90,xy", "its encryption key is not hexadecimal"),
        (IKEV1_TABLE, "80f5f36ce1766d90,", "its encryption key is empty"),
        (IKEV1_TABLE, '80f5f36ce1766d90,"00', "its quotes do not match"),
        (IKEV2_TABLE, f'{IKEV2_ROW},00,00,"HMAC_SHA1_96 [RFC2404]"',
         "its SK_ai has 1 octets and should have 20"),
        (IKEV2_TABLE, f'{IKEV2_ROW},00,00,"ROT13"',
         "'ROT13' is no authentication that Wireshark knows"),
        (ESP_TABLE, '"IPv4","*","*"',
         "it has 3 fields and should have 8, or 10 with extended sequence numbers"),
        (ESP_TABLE, f'"IPX","*","*","0x1","AES-CBC [RFC3602]","{KEY}","NULL",""',
         "its protocol is 'IPX' and should be IPv4 or IPv6"),
        (ESP_TABLE, f'"IPv4","*","moon","0x1","AES-CBC [RFC3602]","{KEY}","NULL",""',
         "'moon' is no address"),
        (ESP_TABLE, f'"IPv4","*","*","*","AES-CBC [RFC3602]","{KEY}","NULL",""',
         "its SPI is '*' and should be 0x and hexadecimal"),
        (ESP_TABLE, f'"IPv4","*","*","0x123456789","AES-CBC [RFC3602]","{KEY}","NULL",""',
         "its SPI does not fit in 32 bits"),
        (ESP_TABLE, '"IPv4","*","*","0x1","AES-CBC [RFC3602]","0x00","NULL",""',
         "its key for AES-CBC [RFC3602] has 1 octets and should have 16 or 24 or 32"),
        (ESP_TABLE, f'"IPv4","*","*","0x1","CAESAR","{KEY}","NULL",""',
         "'CAESAR' is no encryption that Wireshark knows"),
        (ESP_TABLE, f'"IPv4","*","*","0x1","AES-CBC [RFC3602]","{KEY}","NULL","","48-bit","0"',
         "its ESN mode is '48-bit' and should be 32-bit or 64-bit"),
        (ESP_TABLE, '"IPv4","*","*","0x1","AES-GCM with 16 octet ICV [RFC4106]",'
         f'"0x{"00" * 20}","HMAC-SHA-1-96 [RFC2404]","{MAC}"',
         "AES_GCM_16_128 authenticates by itself, without HMAC-SHA-1-96 [RFC2404]"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_refused_by_file_and_line(table: str, row: str, why: str) -> None:
    reading = parse_table(table, "# a comment\n" + row + "\n", f"mine/{table}")
    assert reading.problems == (f"mine/{table} line 2 is not used: {why}",)
    assert len(reading.secrets) == 0


def test_a_malformed_row_does_not_hide_the_others() -> None:
    reading = parse_table(ESP_TABLE, f"{ESP_ROW}\nrubbish\n{ESP_ROW.replace('df9', 'dfa')}\n", "f")
    assert [one.spi for one in reading.secrets.ipsec] == [0xCED62DF9, 0xCED62DFA]
    assert len(reading.problems) == 1


def test_a_folder_without_tables_and_a_table_that_is_none_are_sentences(tmp_path: Path) -> None:
    assert read_tables(tmp_path).problems == (
        f"{tmp_path} has no table of secrets; it should have ikev1_decryption_table, "
        "ikev2_decryption_table, esp_sa",
    )
    (tmp_path / ESP_TABLE).mkdir()
    assert read_tables(tmp_path).problems == (
        f"{tmp_path / ESP_TABLE} cannot be read: Is a directory",
    )
    assert "is no table of secrets" in parse_table("preferences", "", "preferences").problems[0]


@given(st.sampled_from(TABLES), st.text())
def test_no_text_is_an_error(table: str, text: str) -> None:
    reading = parse_table(table, text, "f")
    assert all("\n" not in problem for problem in reading.problems)


@given(
    st.sampled_from(TABLES),
    st.lists(st.text(alphabet='0123456789abcdefx".,* IPv46', max_size=40), max_size=12),
)
def test_no_row_is_an_error(table: str, cells: list[str]) -> None:
    parse_table(table, ",".join(cells), "f")


def test_rows_that_somebody_wrote_by_hand_for_wireshark_are_read() -> None:
    """As in the article on SEIL's packets that the catalogue comes from."""
    v1 = (
        "80f5f36ce1766d90,4fab73ae45d51536fc833c695acb8ea75a7e59af2cc5b49eaeb7b83ccb1f4953\n"
        "e5a103a12f35e2e3,f67b84f7e2246fe6618aaea070c9c0f3827e512dfa83e9a4c9deee9e95431f5d\n"
    )
    one, _ = parse_table(IKEV1_TABLE, v1, "").secrets.ike_v1
    assert one.cookie == bytes.fromhex("80f5f36ce1766d90")
    assert len(one.key) == 32
    esp = (
        '"IPv4","10.0.0.1","10.0.0.2","0xced62df9","AES-CBC [RFC3602]",'
        '"0x1bc9cc7a1ffc85bb3825e4d0c17d5980a6ff776a8849d9090f1cfa2db9dbb51a",'
        '"HMAC-SHA-256-128 [RFC4868]",'
        '"0x539b9eab02eac2dda3f41bb0da3778d9963129b916eee10ef4ca5b3db3fe7e2c"\n'
    )
    (sa,) = parse_table(ESP_TABLE, esp, "").secrets.ipsec
    assert (sa.spi, sa.source, sa.destination) == (0xCED62DF9, "10.0.0.1", "10.0.0.2")
    assert sa.encryption == encryption("AES_CBC_256")
    assert sa.integrity == integrity("HMAC_SHA2_256_128")
