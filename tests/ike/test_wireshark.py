# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark, which shares no line with the codec, reads the same fields in what it wrote."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.payload import CRITICAL
from harness.ike.wire import VERSION_1, VERSION_2, Message, encode
from tests.ike.messages import ike_sa_init, main_mode_1

COOKIES = bytes.fromhex("80f5f36ce1766d908cfaf864c7f83e09")

# No peer sends these in one message, or in clear; Wireshark reads them none the less.
EVERYTHING_1 = Message(
    VERSION_1,
    2,
    COOKIES[:8],
    COOKIES[8:],
    message_id=0xB6F469CE,
    payloads=(
        v1.Identification(4, bytes([192, 168, 1, 0, 255, 255, 255, 0]), 17, 500),
        v1.Hash(b"\x02" * 32),
        v1.Notification(36136, bytes.fromhex("0000093f"), spi=COOKIES),
        v1.Delete(3, (bytes.fromhex("cd4b0c11"), bytes.fromhex("0debf9ad"))),
        v1.NatDetection(b"\x03" * 20),
        v1.NatOriginalAddress(1, bytes([10, 0, 0, 2])),
        v1.Certificate(4, bytes.fromhex("3000")),
        v1.Signature(b"\x04" * 8),
        v1.ModeConfig(1, 0x1234, (v1.Attribute(16520, 0), v1.Attribute(16521, b"bob"))),
        v1.KeyExchange(b"\x05" * 16),
        v1.Nonce(b"\x06" * 16),
    ),
)
EVERYTHING_2 = Message(
    VERSION_2,
    35,
    COOKIES[:8],
    COOKIES[8:],
    message_id=7,
    flags=0x28,
    payloads=(
        v2.Identification(35, 2, b"moon.example"),
        v2.Certificate(4, bytes.fromhex("3000"), CRITICAL),
        v2.CertificateRequest(4, b"\xab" * 20),
        v2.Authentication(2, b"\x01" * 20),
        v2.SecurityAssociation(
            (
                v2.Proposal(
                    1,
                    3,
                    bytes.fromhex("c0ffee01"),
                    (v2.Transform.of(1, 12, 256), v2.Transform.of(3, 12), v2.Transform.of(5, 1)),
                ),
                v2.Proposal(2, 3, bytes.fromhex("c0ffee01"), (v2.Transform.of(1, 20, 128),)),
            )
        ),
        v2.TrafficSelectors(44, (v2.TrafficSelector.of(ip_network("10.1.0.0/16"), 6, 80, 443),)),
        v2.TrafficSelectors(45, (v2.TrafficSelector.of(ip_network("2001:db8::/64")),)),
        v2.Notify(16393, protocol=3, spi=bytes.fromhex("01020304")),
        v2.Delete(3, (bytes.fromhex("05060708"),)),
        v2.Configuration(1, (v2.ConfigurationAttribute(1, bytes([10, 0, 0, 9])),)),
    ),
)

HEADER = ["80f5f36ce1766d90", "8cfaf864c7f83e09"]

CASES: list[tuple[str, Message, dict[str, list[str]]]] = [
    (
        "main mode 1",
        main_mode_1(),
        {
            "isakmp.ispi": [HEADER[0]],
            "isakmp.exchangetype": ["2"],
            "isakmp.length": ["360"],
            # SA, the proposal, six transforms, four vendor ids.
            "isakmp.payloadlength": [
                "252",
                "240",
                "40",
                "40",
                "40",
                "40",
                "36",
                "36",
                "20",
                "20",
                "20",
                "20",
            ],
            "isakmp.sa.doi": ["1"],
            "isakmp.prop.transforms": ["6"],
            "isakmp.trans.number": list("123456"),
            "isakmp.ike.attr.type": ("11 12 1 14 3 2 4 " * 4 + "11 12 1 3 2 4 " * 2).split(),
            "isakmp.ike.attr.format": ("1 0 1 1 1 1 1 " * 4 + "1 0 1 1 1 1 " * 2).split(),
            "isakmp.ike.attr.life_duration": ["86400"] * 6,
            "isakmp.ike.attr.encryption_algorithm": list("777755"),
            "isakmp.ike.attr.key_length": ["256", "256", "128", "128"],
            "isakmp.ike.attr.hash_algorithm": list("424242"),
            "isakmp.ike.attr.group_description": ["5"] * 6,
            "isakmp.vid_string": [
                "KAME/racoon",
                "RFC 3706 DPD (Dead Peer Detection)",
                "RFC 3947 Negotiation of NAT-Traversal in the IKE",
                r"draft-ietf-ipsec-nat-t-ike-02\n",
            ],
        },
    ),
    (
        "IKE_SA_INIT",
        ike_sa_init(),
        {
            "isakmp.flags": ["0x08"],
            "isakmp.typepayload": [
                "33",
                "2",
                "3",
                "3",
                "3",
                "3",
                "3",
                "3",
                "34",
                "40",
                "41",
                "41",
                "41",
                "41",
                "41",
            ],
            "isakmp.tf.type": list("112244"),
            "isakmp.tf.id.encr": ["20", "20"],
            "isakmp.ike2.attr.key_length": ["256", "128"],
            "isakmp.tf.id.dh": ["31", "19"],
            "isakmp.key_exchange.dh_group": ["31"],
            "isakmp.key_exchange.data": [bytes(range(32)).hex()],
            "isakmp.nonce": [bytes(range(100, 132)).hex()],
            "isakmp.notify.msgtype": ["16388", "16389", "16430", "16431", "16406"],
            "isakmp.notify.data.signature_hash_algorithms": list("2345"),
        },
    ),
    (
        "every IKEv1 payload",
        EVERYTHING_1,
        {
            "isakmp.ispi": HEADER[:1],
            "isakmp.rspi": HEADER[1:],
            "isakmp.messageid": ["0xb6f469ce"],
            "isakmp.typepayload": ["5", "8", "11", "12", "20", "21", "6", "9", "14", "4", "10"],
            "isakmp.id.type": ["4", "1"],
            "isakmp.id.port": ["500"],
            "isakmp.id.data.ipv4_addr": ["192.168.1.0"],
            "isakmp.id.data.ipv4_subnet": ["255.255.255.0"],
            "isakmp.hash": ["02" * 32],
            "isakmp.notify.msgtype": ["36136"],
            "isakmp.notify.data.dpd.are_you_there": ["2367"],
            "isakmp.delete.spi": ["cd4b0c11", "0debf9ad"],
            "isakmp.spinum": ["2"],
            "isakmp.ike.nat_hash": ["03" * 20],
            "isakmp.ike.nat_original_address_ipv4": ["10.0.0.2"],
            "isakmp.cert.encoding": ["4"],
            "isakmp.sig": ["04" * 8],
            "isakmp.cfg.identifier": ["4660"],
            "isakmp.cfg.attr.xauth.user_name": ["bob"],
            "isakmp.key_exchange.data": ["05" * 16],
            "isakmp.nonce": ["06" * 16],
        },
    ),
    (
        "every IKEv2 payload",
        EVERYTHING_2,
        {
            "isakmp.messageid": ["0x00000007"],
            "isakmp.flags": ["0x28"],
            "isakmp.typepayload": [
                "35",
                "37",
                "38",
                "39",
                "33",
                "2",
                "3",
                "3",
                "3",
                "2",
                "3",
                "44",
                "45",
                "41",
                "42",
                "47",
            ],
            "isakmp.criticalpayload": ["0", "1", "0", "0", "0", "0", "0", "0", "0", "0"],
            "isakmp.id.data.fqdn": ["moon.example"],
            "isakmp.ike.certreq.authority": ["ab" * 20],
            "isakmp.auth.method": ["2"],
            "isakmp.auth.data": ["01" * 20],
            "isakmp.prop.number": ["1", "2"],
            "isakmp.spi": ["c0ffee01", "c0ffee01", "01020304"],
            "isakmp.tf.id.esn": ["1"],
            "isakmp.tf.id.integ": ["12"],
            "isakmp.ts.start_ipv4": ["10.1.0.0"],
            "isakmp.ts.end_ipv4": ["10.1.255.255"],
            "isakmp.ts.start_ipv6": ["2001:db8::"],
            "isakmp.ts.end_ipv6": ["2001:db8::ffff:ffff:ffff:ffff"],
            "isakmp.ts.start_port": ["80", "0"],
            "isakmp.ts.end_port": ["443", "65535"],
            "isakmp.notify.msgtype": ["16393"],
            "isakmp.delete.spi": ["05060708"],
            "isakmp.cfg.attr.internal_ip4_address": ["10.0.0.9"],
        },
    ),
    (
        "SK",
        Message(VERSION_2, 35, COOKIES[:8], COOKIES[8:], payloads=(v2.Encrypted(35, bytes(40)),)),
        {"isakmp.typepayload": ["46"], "isakmp.payloadlength": ["44"]},
    ),
    (
        "SKF",
        Message(
            VERSION_2,
            35,
            COOKIES[:8],
            COOKIES[8:],
            payloads=(v2.EncryptedFragment(35, 2, 3, bytes(40)),),
        ),
        {
            "isakmp.typepayload": ["53"],
            "isakmp.frag.number": ["2"],
            "isakmp.frag.total": ["3"],
        },
    ),
]


def capture(message: bytes) -> bytes:
    """A pcap file with one UDP datagram from port 500 to 500."""
    udp = struct.pack(">HHHH", 500, 500, 8 + len(message), 0) + message
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    return head + struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet


@pytest.mark.parametrize(
    ("message", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_wireshark_reads_every_field_as_it_was_written(
    message: Message, fields: dict[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "one.pcap"
    file.write_bytes(capture(encode(message)))
    wanted = [part for name in fields for part in ("-e", name)]
    command = ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "aggregator=|", *wanted]
    done = subprocess.run(
        [*command, "-e", "_ws.malformed"], capture_output=True, text=True, check=True
    )
    *cells, malformed = done.stdout.rstrip("\n").split("\t")
    assert malformed == ""
    read = {name: cell.split("|") for name, cell in zip(fields, cells, strict=True)}
    # Booleans are 1 or True, after the version of Wireshark.
    for name in ("isakmp.criticalpayload", "isakmp.ike.attr.format"):
        if name in read:
            read[name] = [{"True": "1", "False": "0"}.get(value, value) for value in read[name]]
    assert read == fields
