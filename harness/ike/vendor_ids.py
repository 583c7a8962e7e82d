# SPDX-License-Identifier: GPL-2.0-or-later
"""Vendor IDs: what the marks in VID and V payloads mean (RFC 2408 3.16, RFC 7296 3.12).

Most are the MD5 of a text that their draft or vendor gives; newer ones are the text itself. Some
end in a version or flags of the sender, so that a mark is matched by its start.
"""

from collections.abc import Mapping
from types import MappingProxyType

RFC_3947 = bytes.fromhex("4a131c81070358455c5728f20e95452f")
NAT_T_DRAFT_00 = bytes.fromhex("4485152d18b6bbcd0be8a8469579ddcc")
NAT_T_DRAFT_01 = bytes.fromhex("16f6ca16e4a4066d83821a0f0aeaa862")
NAT_T_DRAFT_02 = bytes.fromhex("cd60464335df21f87cfdb2fc68b6a448")
NAT_T_DRAFT_02_NEWLINE = bytes.fromhex("90cb80913ebb696e086381b5ec427b1f")
NAT_T_DRAFT_03 = bytes.fromhex("7d9419a65310ca6f2c179d9215529d56")
NAT_T_DRAFT_04 = bytes.fromhex("9909b64eed937c6573de52ace952fa6b")
NAT_T_DRAFT_05 = bytes.fromhex("80d0bb3def54565ee84645d4c85ce3ee")
NAT_T_DRAFT_06 = bytes.fromhex("4d1e0e136deafa34c4f3ea9f02ec7285")
NAT_T_DRAFT_07 = bytes.fromhex("439b59f8ba676c4c7737ae22eab8f582")
NAT_T_DRAFT_08 = bytes.fromhex("8f8d83826d246b6fc7a8a6a428c11de8")
DPD = bytes.fromhex("afcad71368a1f1c96b8696fc77570100")
XAUTH = bytes.fromhex("09002689dfd6b712")
KAME_RACOON = bytes.fromhex("7003cbc1097dbe9c2600ba6983bc8b35")
STRONGSWAN = bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb")
FRAGMENTATION = bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3")
CISCO_UNITY = bytes.fromhex("12f5f28c457168a9702d9fe274cc0100")
GSSAPI = bytes.fromhex("621b04bb09882ac1e15935fefa24aeee")
MS_NT5_ISAKMPOAKLEY = bytes.fromhex("1e2b516905991c7d7c96fcbfb587e461")
MS_NEGOTIATION_DISCOVERY = bytes.fromhex("fb1de3cdf341b7ea16b7e5be0855f120")
MS_INITIAL_CONTACT = bytes.fromhex("26244d38eddb61b3172a36e3d0cfb819")
IKE_CGA_1 = bytes.fromhex("e3a5966a76379fe707228231e5ce8652")
LIBRESWAN = b"OE-Libreswan-"
OPENIKED = b"OpenIKED-"
OPPORTUNISTIC_IPSEC = b"Opportunistic IPsec"

VENDOR_IDS: Mapping[bytes, str] = MappingProxyType(
    {
        RFC_3947: "RFC 3947 NAT-T",
        NAT_T_DRAFT_00: "draft-ietf-ipsec-nat-t-ike-00",
        NAT_T_DRAFT_01: "draft-ietf-ipsec-nat-t-ike-01",
        NAT_T_DRAFT_02: "draft-ietf-ipsec-nat-t-ike-02",
        NAT_T_DRAFT_02_NEWLINE: r"draft-ietf-ipsec-nat-t-ike-02\n",
        NAT_T_DRAFT_03: "draft-ietf-ipsec-nat-t-ike-03",
        NAT_T_DRAFT_04: "draft-ietf-ipsec-nat-t-ike-04",
        NAT_T_DRAFT_05: "draft-ietf-ipsec-nat-t-ike-05",
        NAT_T_DRAFT_06: "draft-ietf-ipsec-nat-t-ike-06",
        NAT_T_DRAFT_07: "draft-ietf-ipsec-nat-t-ike-07",
        NAT_T_DRAFT_08: "draft-ietf-ipsec-nat-t-ike-08",
        DPD[:14]: "RFC 3706 DPD",
        XAUTH: "XAUTH",
        KAME_RACOON: "KAME/racoon",
        STRONGSWAN: "strongSwan",
        FRAGMENTATION: "FRAGMENTATION",
        CISCO_UNITY[:14]: "Cisco Unity",
        b"CISCO-DELETE-REASON": "Cisco Delete Reason",
        b"CISCO-DYNAMIC-ROUTE": "Cisco Dynamic Route",
        b"CISCO(COPYRIGHT)": "Cisco",
        b"FLEXVPN-SUPPORTED": "Cisco FlexVPN",
        GSSAPI: "GSSAPI",
        MS_NT5_ISAKMPOAKLEY: "MS NT5 ISAKMPOAKLEY",
        MS_NEGOTIATION_DISCOVERY: "MS-Negotiation Discovery Capable",
        MS_INITIAL_CONTACT: "Vid-Initial-Contact",
        IKE_CGA_1: "IKE CGA version 1",
        LIBRESWAN: "Libreswan",
        OPENIKED: "OpenIKED",
        OPPORTUNISTIC_IPSEC: "Opportunistic IPsec",
    }
)
"""The start of each known mark, and its name."""

_SIZES = tuple(sorted({len(mark) for mark in VENDOR_IDS}, reverse=True))


def vendor_name(mark: bytes) -> str | None:
    """Who or what a mark stands for, with a readable rest added (`OpenIKED 7.3`), or None.

    The longest known start decides, so that `...nat-t-ike-02` and others cannot be mixed up.
    """
    for size in _SIZES:
        name = VENDOR_IDS.get(mark[:size])
        if name is not None:
            rest = mark[size:]
            readable = rest.isascii() and rest.decode("ascii", "replace").isprintable()
            return f"{name} {rest.decode('ascii')}" if rest and readable else name
    return None
