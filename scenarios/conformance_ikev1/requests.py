# SPDX-License-Identifier: GPL-2.0-or-later
"""What both ends agree on, and the first message of a Main Mode for it, field by field."""

from __future__ import annotations

from harness.ike import vendor_ids
from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import (
    AuthenticationMethod,
    EncapsulationMode,
    ExchangeType,
    IpsecAttribute,
    Phase1Attribute,
    ProtocolId,
    TransformId,
)
from harness.ike.payload import Payload
from harness.ike.payloads_v1 import Nonce, Proposal, SecurityAssociation, Transform, VendorId
from harness.ike.retransmission import Retransmission
from harness.ike.transforms import encryption, integrity, key_exchange, prf
from harness.ike.v1.identity import subnet_identity
from harness.ike.wire import VERSION_1, Message
from scenarios.agreements import NET_NET

A, B = Phase1Attribute, IpsecAttribute
NAME = "net-net"
IMPATIENT = Retransmission(first=2.0, factor=1.0, tries=0)
"""After two seconds without an answer there is none."""
IKEV1 = (
    NET_NET.with_ike(version=1, proposals=("aes128-sha256-modp2048",))
    .with_child(proposals=("aes128-sha256",))
    .with_ike(on="moon", retransmission=IMPATIENT)
)

LIFE = (Attribute(A.LIFE_TYPE, 1), Attribute(A.LIFE_DURATION, 3600))
SUITE = (
    Attribute(A.ENCRYPTION_ALGORITHM, encryption("AES_CBC_128").phase1_id or 0),
    Attribute(A.KEY_LENGTH, 128),
    Attribute(A.HASH_ALGORITHM, prf("HMAC_SHA2_256").hash_id or 0),
    Attribute(A.AUTHENTICATION_METHOD, AuthenticationMethod.PRE_SHARED_KEY),
    Attribute(A.GROUP_DESCRIPTION, key_exchange("MODP_2048").id),
)
"""AES-CBC with 128 bits, SHA2-256, a pre-shared key, MODP 2048: what IKEV1 has."""
OFFER = Transform(1, TransformId.KEY_IKE, (*LIFE, *SUITE))
FIRST: tuple[Payload, ...] = (
    SecurityAssociation((Proposal(1, ProtocolId.ISAKMP, b"", (OFFER,)),)),
    VendorId(vendor_ids.DPD),
)

SPI = bytes.fromhex("c0ffee01")
OFFER_OF_CHILD = Transform(
    1,
    encryption("AES_CBC_128").esp_id or 0,
    (
        Attribute(B.SA_LIFE_TYPE, 1),
        Attribute(B.SA_LIFE_DURATION, 3600),
        Attribute(B.ENCAPSULATION_MODE, EncapsulationMode.TUNNEL),
        Attribute(B.KEY_LENGTH, 128),
        Attribute(B.AUTHENTICATION_ALGORITHM, integrity("HMAC_SHA2_256_128").auth_id or 0),
    ),
)
QUICK_REQUEST: tuple[Payload, ...] = (
    SecurityAssociation((Proposal(1, ProtocolId.IPSEC_ESP, SPI, (OFFER_OF_CHILD,)),)),
    Nonce(b"a nonce of thirty-two octets, ok"),
    *(subnet_identity(text).payload() for text in ("10.1.0.0/16", "10.2.0.0/16")),
)


def first_message(cookie: bytes) -> Message:
    """Message 1 of Main Mode (RFC 2409 5.4)."""
    return Message(VERSION_1, ExchangeType.IDENTITY_PROTECTION, cookie, payloads=FIRST)
