# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reader is told of a message and its payloads."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.description import describe, headline, notation
from harness.ike.payload import CRITICAL, Forged, Payload, RawPayload
from harness.ike.wire import VERSION_1, VERSION_2, Message
from tests.ike.messages import ike_sa_init, main_mode_1

COOKIES = bytes.fromhex("80f5f36ce1766d908cfaf864c7f83e09")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (main_mode_1(), "IDENTITY-PROTECTION"),
        (ike_sa_init(), "IKE_SA_INIT request 0"),
        (
            Message(VERSION_2, 37, COOKIES[:8], message_id=4, flags=0x28),
            "INFORMATIONAL response 4",
        ),
        (
            Message(VERSION_1, 32, COOKIES[:8], message_id=0xB6F469CE, flags=1),
            "QUICK-MODE b6f469ce [ENCRYPTION]",
        ),
        (Message(VERSION_2, 240, COOKIES[:8]), "240 request 0"),
        (Message(0x31, 1, COOKIES[:8]), "version 3.1, exchange 1"),
    ],
)
def test_a_message_is_told_in_a_headline(message: Message, words: str) -> None:
    assert headline(message) == words


def test_an_exchange_reads_as_in_the_rfc() -> None:
    told = ", ".join(notation(one) for one in ike_sa_init().payloads)
    assert told.startswith("SA, KE, Nonce, N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DEST")
    told = ", ".join(notation(one) for one in main_mode_1().payloads)
    assert told == (
        r"SA, VID(KAME/racoon), VID(RFC 3706 DPD), VID(RFC 3947 NAT-T), "
        r"VID(draft-ietf-ipsec-nat-t-ike-02\n)"
    )


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (
            v2.SecurityAssociation(
                (v2.Proposal(1, 3, b"\xc0\xff\xee\x01", (v2.Transform.of(1, 12, 256),)),)
            ),
            "SA: 1 ESP SPI c0ffee01 ENCR_AES_CBC/256",
        ),
        (
            v2.SecurityAssociation(
                (
                    v2.Proposal(
                        2,
                        1,
                        b"",
                        tuple(
                            v2.Transform.of(kind, number)
                            for kind, number in ((2, 5), (3, 12), (4, 31), (5, 1), (1, 65001))
                        ),
                    ),
                )
            ),
            "SA: 2 IKE PRF_HMAC_SHA2_256 AUTH_HMAC_SHA2_256_128 Curve25519 ESN ENCR=65001",
        ),
        (
            replace(main_mode_1(60, one=True).payloads[0]),
            "SA: 1 ISAKMP T1(KEY-IKE) LIFE-TYPE=SECONDS LIFE-DURATION=60"
            " ENCRYPTION-ALGORITHM=AES-CBC KEY-LENGTH=256 AUTHENTICATION-METHOD=PRE-SHARED-KEY"
            " HASH-ALGORITHM=SHA2-256 GROUP-DESCRIPTION=1536-bit MODP Group",
        ),
        (v2.Notify(16393, protocol=3, spi=b"\1\2\3\4"), "N(REKEY_SA): ESP SPI 01020304"),
        (v2.Notify(61234, b"x" * 21), "N(61234): 21 octets"),
        (v1.Notification(24578, spi=COOKIES), f"N(INITIAL-CONTACT): ISAKMP SPI {COOKIES.hex()}"),
        (v2.Delete(3, (b"\1\2\3\4",)), "D: ESP 01020304"),
        (v1.Delete(1, (COOKIES,)), f"D: ISAKMP {COOKIES.hex()}"),
        (v2.Identification(35, 2, b"moon.example"), "IDi: FQDN moon.example"),
        (v2.Identification(36, 5, bytes(15) + b"\1"), "IDr: IPV6_ADDR ::1"),
        (v2.Identification(36, 1, b"short"), "IDr: IPV4_ADDR 73686f7274"),
        (
            v1.Identification(4, bytes([192, 168, 1, 0, 255, 255, 255, 0])),
            "ID: IPV4_ADDR_SUBNET 192.168.1.0/255.255.255.0, protocol 0, port 0",
        ),
        (
            v2.TrafficSelectors(44, (v2.TrafficSelector.of(ip_network("10.1.0.0/16"), 6, 80, 80),)),
            "TSi: 10.1.0.0-10.1.255.255 protocol 6 ports 80-80",
        ),
        (
            v2.TrafficSelectors(45, (v2.TrafficSelector(7, 0, 0, 65535, b"x", b"y"),)),
            "TSr: 78-79",
        ),
        (v2.Encrypted(35, bytes(100)), "SK: first IDi, 100 octets"),
        (v2.EncryptedFragment(0, 2, 3, bytes(9)), "SKF(2/3): first NONE, 9 octets"),
        (v2.Eap(bytes.fromhex("0107000501")), "EAP: REQUEST, type 1"),
        (v2.Eap(b""), "EAP: no code"),
        (v2.Authentication(14, bytes(70)), "AUTH: DIGITAL_SIGNATURE, 70 octets"),
        (
            v2.Configuration(1, (v2.ConfigurationAttribute(1),)),
            "CP(CFG_REQUEST): INTERNAL_IP4_ADDRESS=empty",
        ),
        (v1.NatDetection(bytes(20), 130), f"NAT-D: {'00' * 20}"),
        (v1.NatOriginalAddress(1, bytes([10, 0, 0, 2])), "NAT-OA: 10.0.0.2"),
        (v1.Fragment(1, 2, 1, bytes(50)), "FRAG(2, last): id 1, 50 octets"),
        (RawPayload(200, b"\1", CRITICAL), "payload 200: 01"),
        (RawPayload(49, b"\1", CRITICAL), "GSPM critical: 01"),
        (Forged(v2.Nonce(b"\1"), next_payload=7, length=3), "Nonce!: 01, next payload 7, length 3"),
    ],
)
def test_a_payload_is_told_with_its_fields(payload: Payload, words: str) -> None:
    assert describe(payload) == words


def test_an_esp_proposal_of_ikev1_is_told_in_words() -> None:
    attributes = ((1, 1), (2, 28800), (4, 3), (5, 5), (6, 256), (3, 14))
    transform = v1.Transform(1, 12, tuple(v1.Attribute(kind, value) for kind, value in attributes))
    proposal = v1.Proposal(1, 3, bytes.fromhex("c0ffee01"), (transform,))
    assert describe(v1.SecurityAssociation((proposal,))) == (
        "SA: 1 IPSEC-ESP SPI c0ffee01 T1(AES-CBC) SA-LIFE-TYPE=SECONDS SA-LIFE-DURATION=28800"
        " ENCAPSULATION-MODE=UDP-ENCAPSULATED-TUNNEL AUTHENTICATION-ALGORITHM=HMAC-SHA2-256-128"
        " KEY-LENGTH=256 GROUP-DESCRIPTION=2048-bit MODP Group"
    )


def test_a_password_is_never_told() -> None:
    asked = v1.ModeConfig(2, 1, (v1.Attribute(16521, b"alice"), v1.Attribute(16522, b"secret")))
    told = describe(asked)
    assert told == "ATTR(ISAKMP-CFG-REPLY): id 1 XAUTH-USER-NAME XAUTH-USER-PASSWORD"
