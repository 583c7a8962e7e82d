# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP packets, against RFC 3602, RFC 7634, draft-mcgrew-gcm-test, scapy and tshark."""

import contextlib
import subprocess
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import ipsec
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from harness.ike.esp import (
    EspFailure,
    EspFailureReason,
    EspSa,
    Opener,
    Sealer,
    SequenceExhausted,
)
from harness.ike.ip_modes import inner_packet, outer_packet
from harness.ike.transforms import ENCRYPTIONS, Dialect, encryption, integrity
from tests.ike.vectors import vectors

AEADS = dict(vectors("aeads"))

RFC3602 = [
    # Section 4, cases 5 to 8: key, SPI, sequence number, payload, next header, packet.
    (
        "90d382b410eeba7ad938c46cec1a82bf", 0x4321, 1, 1,
        "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "202122232425262728292a2b2c2d2e2f3031323334353637",
        "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849"
        "a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c"
        "538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
    ),
    (
        "90d382b410eeba7ad938c46cec1a82bf", 0x4321, 8, 1,
        "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
        "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109"
        "689bb379d2d750c0d915dca346a89f75",
    ),
    (
        "0123456789abcdef0123456789abcdef", 0x8765, 2, 4,
        "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b"
        "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
        "34353637",
        "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c"
        "237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b"
        "8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
    ),
    (
        "0123456789abcdef0123456789abcdef", 0x8765, 5, 4,
        "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffff"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048f"
        "e45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de"
        "435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
    ),
]  # fmt: skip

# Every encryption with one integrity algorithm, and every integrity algorithm with one cipher.
SUITES = [(e.name, None if e.combined else "HMAC_SHA2_256_128") for e in ENCRYPTIONS] + [
    ("AES_CBC_128", name)
    for name in ("HMAC_SHA2_384_192", "HMAC_SHA2_512_256", "HMAC_SHA1_96", "HMAC_MD5_96",
                 "HMAC_SHA2_256_96", "AES_XCBC_96", "AES_CMAC_96", "KEYED_MD5", "KEYED_SHA1")
]  # fmt: skip


def sa_of(cipher: str, mac: str | None, *, spi: int = 0xC0DE1234, esn: bool = False) -> EspSa:
    algorithm = encryption(cipher)
    check = integrity(mac) if mac else None
    # No repeated thirds: OpenSSL takes them for a weak 3DES key.
    key = bytes((i * 37 + 11) % 256 for i in range(algorithm.keymat_size))
    return EspSa(spi, algorithm, key, check, bytes(range(check.key_size)) if check else b"", esn)


def sealer_of(sa: EspSa, sequence: int = 0) -> Sealer:
    if sa.encryption.block_size == 1:
        return Sealer(sa, sequence=sequence)
    size = sa.encryption.iv_size
    return Sealer(sa, lambda number: number.to_bytes(size, "big"), sequence)


@pytest.mark.parametrize(("key", "spi", "sequence", "next_header", "payload", "packet"), RFC3602)
def test_packets_of_rfc_3602_are_sealed_and_opened(
    key, spi, sequence, next_header, payload, packet
):
    sa = EspSa(spi, encryption("AES_CBC_128"), bytes.fromhex(key))
    raw = bytes.fromhex(packet)
    sealer = Sealer(sa, lambda _: raw[8:24], sequence - 1)
    assert sealer.seal(bytes.fromhex(payload), next_header) == raw
    opened = Opener(sa).open(raw)
    assert opened.payload.hex() == payload
    assert (opened.next_header, opened.sequence) == (next_header, sequence)


def test_the_packet_of_rfc_7634_is_sealed_and_opened():
    # Appendix A; the plaintext of the vector ends in pad length and next header.
    v = AEADS["chacha20poly1305_3"]
    spi, sequence = v["aad"][:4], v["aad"][4:8]
    sa = EspSa(int.from_bytes(spi, "big"), encryption("CHACHA20_POLY1305"), v["key"])
    payload = v["plain"][: len(v["plain"]) - 2 - v["plain"][-2]]
    sealer = Sealer(sa, lambda _: v["iv"], int.from_bytes(sequence, "big") - 1)
    packet = sealer.seal(payload, v["plain"][-1])
    assert packet == v["aad"] + v["iv"] + v["cipher"]
    assert Opener(sa).open(packet).payload == payload


MCGREW = [
    # draft-mcgrew-gcm-test-01 section 4: key and salt, ESN, sequence number, plaintext, packet.
    (
        "4c80cdefbb5d10da906ac73c3613a6342e443b68", True, 0x8765432100000000,
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
        "00000000045f736970045f756470037369700963796265726369747902646b00"
        "0021000101020201",
        "00004321000000004956ed7e3b244cfe"
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
        "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
        "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
    ),
    (
        "3de09874b388e6491988d0c3607eae1f57690e43", True, 0x1010101010101010,
        "4500003c99c300008001cb7c40679318010101010800085c0200430061626364"
        "65666768696a6b6c6d6e6f7071727374" "75767761626364656667686901020201",
        "42f67e3f101010104e280000a2fca1a3"
        "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c357917"
        "65acbd8701ad79845bf9fe3fba487bc91755e6662b4c8d0d1f5e22739530320a"
        "e0d731cc978ecafaeae88f00e80d6e48",
    ),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe", False, 10,
        "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
        "0000a5f80000000afacedbaddecaf888"
        "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77"
        "95457b9652037f5318027b5b4cd7a636",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("key", "esn", "sequence", "plain", "packet"), MCGREW)
def test_published_gcm_packets_are_sealed_and_opened(key, esn, sequence, plain, packet):
    text, raw, material = bytes.fromhex(plain), bytes.fromhex(packet), bytes.fromhex(key)
    cipher = encryption(f"AES_GCM_16_{len(material) * 8 - 32}")
    sa = EspSa(int.from_bytes(raw[:4], "big"), cipher, material, esn=esn)
    payload = text[: len(text) - 2 - text[-2]]
    assert Sealer(sa, lambda _: raw[8:16], sequence - 1).seal(payload, text[-1]) == raw
    opened = Opener(sa, highest=sequence - 1).open(raw)
    assert (opened.payload, opened.next_header, opened.sequence) == (payload, text[-1], sequence)


SCAPY_ENCRYPTION = {
    "DES": "DES", "3DES": "3DES", "CAST_128": "CAST", "BLOWFISH_128": "Blowfish",
    "AES_CBC_256": "AES-CBC", "AES_CTR_128": "AES-CTR", "AES_GCM_16_256": "AES-GCM",
    "AES_CCM_16_128": "AES-CCM", "CHACHA20_POLY1305": "CHACHA20-POLY1305", "NULL": "NULL",
    "NULL_AUTH_AES_GMAC_128": "AES-NULL-GMAC",
}  # fmt: skip
SCAPY_INTEGRITY = {
    "HMAC_SHA1_96": "HMAC-SHA1-96", "HMAC_SHA2_256_128": "SHA2-256-128",
    "HMAC_SHA2_384_192": "SHA2-384-192", "HMAC_SHA2_512_256": "SHA2-512-256",
    "HMAC_MD5_96": "HMAC-MD5-96", "AES_CMAC_96": "AES-CMAC-96",
}  # fmt: skip


@pytest.mark.parametrize("esn", [False, True], ids=["32-bit", "64-bit"])
@pytest.mark.parametrize(
    ("cipher", "mac"),
    [(c, None if encryption(c).combined else "HMAC_SHA1_96") for c in SCAPY_ENCRYPTION]
    + [("AES_CBC_256", m) for m in SCAPY_INTEGRITY],
)
def test_scapy_opens_what_is_sealed_and_is_opened(cipher, mac, esn):
    # Oracle: scapy's own ESP, over the same cipher library but its own packet construction.
    sa = sa_of(cipher, mac, esn=esn)
    tunnel = IP(src="192.0.2.1", dst="192.0.2.2")
    other = ipsec.SecurityAssociation(
        ipsec.ESP, spi=sa.spi, crypt_algo=SCAPY_ENCRYPTION[cipher], crypt_key=sa.encryption_key,
        auth_algo=SCAPY_INTEGRITY[mac] if mac else None, auth_key=sa.integrity_key or None,
        esn_en=esn, esn=0, tunnel_header=tunnel, seq_num=1,
    )  # fmt: skip
    inner = bytes(IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=1, dport=2) / Raw(b"text" * 9))
    theirs = other.encrypt(IP(inner))
    opened = Opener(sa).open(bytes(theirs)[20:])
    # scapy encrypts a copy of the packet with its TTL lowered by one.
    assert opened.payload[20:] == inner[20:]
    assert opened.next_header == 4
    packet = sealer_of(sa).seal(inner, 4)
    whole = outer_packet(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), packet)
    found = other.decrypt(IP(whole))
    assert bytes(found)[20:] == inner[20:]
    assert (found.src, found.dst) == ("10.1.0.1", "10.2.0.1")


TSHARK_SUITES = [
    (c, m) for c, m in SUITES
    if encryption(c).names.wireshark_esp and (m is None or integrity(m).names.wireshark_esp)
    and m != "HMAC_SHA2_256_96"
]  # fmt: skip


def test_tshark_decrypts_and_authenticates_what_is_sealed(tmp_path):
    # Oracle: Wireshark's ESP dissector, for every suite that its table has.
    inner = outer_packet(b"\x0a\1\0\1", b"\x0a\2\0\1", pack("!HHHH", 7, 9, 24, 0) + b"x" * 16, 17)
    records, options = [], []
    for number, (cipher, mac) in enumerate(TSHARK_SUITES):
        sa = sa_of(cipher, mac, spi=0x1000 + number)
        packet = sealer_of(sa).seal(inner, 4)
        records.append(outer_packet(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), packet))
        auth = sa.integrity.names.of(Dialect.WIRESHARK_ESP) if sa.integrity else "NULL"
        row = ["IPv4", "*", "*", f"0x{sa.spi:08x}", sa.encryption.names.wireshark_esp,
               "0x" + sa.encryption_key.hex(), auth, "0x" + sa.integrity_key.hex()]  # fmt: skip
        if not sa.integrity:
            row[7] = ""
        row += ["32-bit", ""]
        options += ["-o", "uat:esp_sa:" + ",".join(f'"{cell}"' for cell in row)]
    capture = tmp_path / "esp.pcap"
    header = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    capture.write_bytes(header + b"".join(pack("<IIII", 0, 0, len(r), len(r)) + r for r in records))
    run = subprocess.run(
        ["tshark", "-n", "-r", str(capture), "-o", "esp.enable_encryption_decode:TRUE",
         "-o", "esp.enable_authentication_check:TRUE", *options,
         "-T", "fields", "-e", "esp.spi", "-e", "udp.srcport", "-e", "esp.icv_good"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert len(rows) == len(TSHARK_SUITES) > 20
    for (cipher, mac), (spi, port, good) in zip(TSHARK_SUITES, rows, strict=True):
        assert port == "7", f"{cipher} {mac} {spi} is not decrypted"
        if mac:
            assert good in ("1", "True"), f"{cipher} {mac} {spi} has a bad ICV"


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
@settings(max_examples=8, deadline=None)
@given(
    payload=st.binary(max_size=300),
    next_header=st.integers(0, 255),
    padding=st.integers(0, 200),
    esn=st.booleans(),
    start=st.sampled_from([0, 41, (1 << 32) - 2]),
)
def test_what_is_sealed_opens_again(cipher, mac, payload, next_header, padding, esn, start):
    if start > 1000 and not esn:
        start = 0
    sa = sa_of(cipher, mac, esn=esn)
    sealer, opener = sealer_of(sa, start), Opener(sa, highest=start)
    for number in (1, 2, 3):
        packet = sealer.seal(payload, next_header, padding)
        assert len(packet) % 4 == 0
        opened = opener.open(packet)
        assert opened.payload == payload
        assert (opened.next_header, opened.sequence) == (next_header, start + number)
        with pytest.raises(EspFailure) as failure:
            opener.open(packet)
        assert failure.value.reason is EspFailureReason.REPLAYED


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
@settings(max_examples=20, deadline=None)
@given(packet=st.binary(max_size=150), ours=st.booleans(), esn=st.booleans())
def test_foreign_bytes_raise_nothing_but_the_typed_failure(cipher, mac, packet, ours, esn):
    sa = sa_of(cipher, mac, esn=esn)
    opener = Opener(sa)
    with pytest.raises(EspFailure):
        opener.open((pack("!II", sa.spi, 1) if ours else b"") + packet)
    assert opener.window.highest == 0


@pytest.mark.parametrize(("cipher", "mac"), [("NULL", None), ("AES_CBC_128", None)])
@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=80))
def test_without_integrity_any_bytes_open_or_fail_in_a_typed_way(cipher, mac, body):
    sa = sa_of(cipher, mac)
    with contextlib.suppress(EspFailure):
        opened = Opener(sa).open(pack("!II", sa.spi, 1) + body)
        assert opened.sequence == 1
        assert len(opened.payload) <= len(body) - 2


def test_each_failure_has_its_reason_and_moves_nothing():
    sa = sa_of("AES_GCM_16_128", None)
    opener = Opener(sa)
    good = sealer_of(sa).seal(b"payload!", 17)
    body = sa.protection().seal(pack("!II", sa.spi, 1), bytes(8), b"\xff\x11")
    cases = {
        b"short": EspFailureReason.MALFORMED,
        pack("!II", sa.spi + 1, 1) + good[8:]: EspFailureReason.UNKNOWN_SPI,
        good[:-1] + bytes([good[-1] ^ 1]): EspFailureReason.BAD_ICV,
        pack("!II", sa.spi, 9) + good[8:]: EspFailureReason.BAD_ICV,
        good[:20]: EspFailureReason.BAD_ICV,
        pack("!II", sa.spi, 1) + body: EspFailureReason.BAD_PADDING,
        pack("!II", sa.spi, 0) + good[8:]: EspFailureReason.REPLAYED,
    }
    for packet, reason in cases.items():
        with pytest.raises(EspFailure) as failure:
            opener.open(packet)
        assert failure.value.reason is reason
        assert str(failure.value).endswith(".")
    assert opener.window.highest == 0
    assert opener.open(good).payload == b"payload!"


def test_a_window_lets_late_packets_in_once():
    sa = sa_of("AES_GCM_16_128", None)
    sealer, opener = sealer_of(sa), Opener(sa, window=4)
    packets = [sealer.seal(b"x", 59) for _ in range(10)]
    for index in (0, 5, 3, 4):
        assert opener.open(packets[index]).sequence == index + 1
    for index in (1, 3, 5):
        with pytest.raises(EspFailure) as failure:
            opener.open(packets[index])
        assert failure.value.reason is EspFailureReason.REPLAYED
    assert opener.open(packets[2]).dummy


def test_a_decryptor_without_window_opens_in_any_order_across_the_turn_of_an_esn():
    sa = sa_of("AES_CBC_128", "HMAC_SHA1_96", esn=True)
    sealer = sealer_of(sa, (1 << 32) - 4)
    packets = [sealer.seal(b"x", 17) for _ in range(8)]
    opener = Opener(sa, window=0, highest=(1 << 32) - 4)
    for index in (4, 0, 7, 1, 6, 2, 5, 3, 3):
        assert opener.open(packets[index]).sequence == (1 << 32) - 3 + index


def test_sequence_numbers_end_where_they_must():
    plain = Sealer(sa_of("AES_GCM_16_128", None), sequence=0xFFFFFFFE)
    assert plain.seal(b"", 59)[4:8] == b"\xff\xff\xff\xff"
    with pytest.raises(SequenceExhausted, match="SA 0xc0de1234 has no sequence number left"):
        plain.seal(b"", 59)
    assert plain.sequence == 0xFFFFFFFF
    extended = Sealer(sa_of("AES_GCM_16_128", None, esn=True), sequence=0xFFFFFFFF)
    assert extended.seal(b"", 59)[4:8] == bytes(4)
    last = Sealer(sa_of("AES_GCM_16_128", None, esn=True), sequence=(1 << 64) - 1)
    with pytest.raises(SequenceExhausted):
        last.seal(b"", 59)


def test_an_end_with_the_wrong_high_half_fails_the_icv():
    for cipher, mac in (("AES_GCM_16_128", None), ("AES_CBC_128", "HMAC_SHA1_96")):
        sa = sa_of(cipher, mac, esn=True)
        packet = sealer_of(sa, 1 << 33).seal(b"x", 17)
        with pytest.raises(EspFailure) as failure:
            Opener(sa).open(packet)
        assert failure.value.reason is EspFailureReason.BAD_ICV


def test_tfc_padding_after_an_inner_packet_is_cut_off():
    sa = sa_of("AES_GCM_16_128", None)
    inner = outer_packet(bytes(4), bytes(4), b"data", 17)
    opened = Opener(sa).open(sealer_of(sa).seal(inner + bytes(100), 4))
    assert inner_packet(opened.payload, opened.next_header) == inner


def test_a_sender_with_padding_of_its_own_is_understood():
    sa = sa_of("NULL", "HMAC_SHA1_96")
    header = pack("!II", sa.spi, 1)
    body = sa.protection().seal(header, b"", b"text" + b"\xaa\xbb" + b"\x02\x11")
    assert Opener(sa).open(header + body).payload == b"text"


def test_cbc_insists_on_a_source_of_ivs_and_padding_on_its_bound():
    with pytest.raises(ValueError, match="AES_CBC_128 needs a source of random IVs"):
        Sealer(sa_of("AES_CBC_128", "HMAC_SHA1_96"))
    sealer = sealer_of(sa_of("AES_CBC_128", "HMAC_SHA1_96"))
    with pytest.raises(ValueError, match="at most 255 bytes of padding"):
        sealer.seal(b"", 4, 255)
    assert sealer.sequence == 0


def test_no_key_shows_in_a_repr():
    sa = sa_of("AES_CBC_128", "HMAC_SHA1_96")
    assert repr(sa.encryption_key) not in repr(sa)
    assert repr(sa.integrity_key) not in repr(sa)
