# SPDX-License-Identifier: GPL-2.0-or-later
"""A CREATE_CHILD_SA request of the net-net connection, payload by payload (RFC 7296 1.3.1)."""

from __future__ import annotations

from ipaddress import ip_network

from harness.ike.attributes import Attribute
from harness.ike.constants_v2 import PayloadType, ProtocolId, TransformAttribute
from harness.ike.constants_v2 import TransformType as Type
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Nonce
from harness.ike.proposals import Proposal
from harness.ike.sa_v2 import SecurityAssociation, Transform
from harness.ike.traffic_selectors import TrafficSelector, TrafficSelectors
from harness.ike.transforms import encryption

SPI = bytes.fromhex("c0ffee01")
KEY_LENGTH = (Attribute(TransformAttribute.KEY_LENGTH, 128),)
AES_GCM = Transform(Type.ENCR, encryption("AES_GCM_16_128").id or 0, KEY_LENGTH)
OFFER = Proposal(1, ProtocolId.ESP, SPI, (AES_GCM, Transform(Type.SN, 0)))
LEFT, RIGHT = (TrafficSelector.of(ip_network(text)) for text in ("10.1.0.0/16", "10.2.0.0/16"))
REQUEST: tuple[Payload, ...] = (
    SecurityAssociation((OFFER,)),
    Nonce(b"a nonce of thirty-two octets, ok"),
    TrafficSelectors(PayloadType.TSi, (LEFT,)),
    TrafficSelectors(PayloadType.TSr, (RIGHT,)),
)
