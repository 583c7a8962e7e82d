# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers, names and vendor ids, judged by Wireshark's tables and by the texts that were hashed."""

from __future__ import annotations

import hashlib
import re
import subprocess
from enum import IntEnum
from functools import cache

import pytest

from harness.ike import constants_v1 as n1
from harness.ike import constants_v2 as n2
from harness.ike import vendor_ids
from harness.ike.names import flag_names, hyphened, name_of
from harness.ike.vendor_ids import VENDOR_IDS, vendor_name


@cache
def wireshark_tables() -> dict[str, list[dict[int, str]]]:
    """Every table of single values of Wireshark's ISAKMP dissector, by field, in its order."""
    lines = subprocess.run(
        ["tshark", "-G", "values"], capture_output=True, text=True, check=True
    ).stdout
    tables: dict[str, list[dict[int, str]]] = {}
    for kind, field, rest in re.findall(r"^([VR])\t(isakmp\.[^\t]+)\t(.*)$", lines, re.MULTILINE):
        cells = rest.split("\t")
        low, high, name = (
            (int(cells[0], 0), int(cells[0], 0), cells[1])
            if kind == "V"
            else (int(cells[0], 0), int(cells[1], 0), cells[2])
        )
        found = tables.setdefault(field, [{}])
        # The dissector has one table for each version; a value that falls starts the next.
        if found[-1] and low < max(found[-1]):
            found.append({})
        if low == high:
            found[-1][low] = name
    return tables


def plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


# Wireshark 4.0 misnames one and has an older or another spelling of the others.
EXCEPTIONS = {
    ("NotifyType", 46),  # CHILD_SA_NOT_FOUND is 44
    ("NotifyType", 16429),  # SENDER_REQUEST_ID became GROUP_SENDER
    ("CfgAttribute", 16525),  # XAUTH_CHALLANGE
    ("NotifyType", 0),
    ("IdType", 3),  # ID_RFC822_ADDR
    ("IdType", 12),  # KEY_LIST for ID_LIST, and for FC_NAME in IKEv2
}


@pytest.mark.parametrize(
    ("numbers", "field", "table"),
    [
        (n1.NotifyType, "isakmp.notify.msgtype", 0),
        (n2.NotifyType, "isakmp.notify.msgtype", 1),
        (n1.IdType, "isakmp.id.type", 0),
        (n2.IdType, "isakmp.id.type", 1),
        (n1.CfgAttribute, "isakmp.cfg.attr.type", 0),
        (n2.CfgAttribute, "isakmp.cfg.attr.type", 1),
        (n1.CfgType, "isakmp.cfg.type", 0),
        (n2.CfgType, "isakmp.cfg.type", 1),
        (n2.TsType, "isakmp.ts.type", 0),
    ],
)
def test_wireshark_gives_the_same_names(numbers: type[IntEnum], field: str, table: int) -> None:
    theirs = wireshark_tables()[field][table]
    checked = 0
    for one in numbers:
        name = theirs.get(int(one))
        if name is None or name.startswith(("Unassigned", "UNITY_UNKNOWN")):
            continue
        if (numbers.__name__, int(one)) in EXCEPTIONS:
            continue
        assert plain(name) == plain(one.name)
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (vendor_ids.RFC_3947, "RFC 3947"),
        *(
            (
                getattr(vendor_ids, f"NAT_T_DRAFT_{draft:02}"),
                f"draft-ietf-ipsec-nat-t-ike-{draft:02}",
            )
            for draft in (0, 2, 3, 4, 5, 6, 7, 8)
        ),
        (vendor_ids.NAT_T_DRAFT_02_NEWLINE, "draft-ietf-ipsec-nat-t-ike-02\n"),
        (vendor_ids.STRONGSWAN, "strongSwan"),
        (vendor_ids.FRAGMENTATION, "FRAGMENTATION"),
        (vendor_ids.GSSAPI, "GSSAPI"),
        (vendor_ids.IKE_CGA_1, "IKE CGA version 1"),
        (vendor_ids.MS_NEGOTIATION_DISCOVERY, "MS-Negotiation Discovery Capable"),
        (vendor_ids.MS_INITIAL_CONTACT, "Vid-Initial-Contact"),
    ],
)
def test_a_mark_is_the_md5_of_its_text(mark: bytes, text: str) -> None:
    assert mark == hashlib.md5(text.encode()).digest()


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("7003cbc1097dbe9c2600ba6983bc8b35", "KAME/racoon"),
        ("90cb80913ebb696e086381b5ec427b1f", r"draft-ietf-ipsec-nat-t-ike-02\n"),
        ("cd60464335df21f87cfdb2fc68b6a448", "draft-ietf-ipsec-nat-t-ike-02"),
        ("afcad71368a1f1c96b8696fc77570100", "RFC 3706 DPD"),
        ("09002689dfd6b712", "XAUTH"),
        ("12f5f28c457168a9702d9fe274cc0204", "Cisco Unity"),
        ("4048b7d56ebce88525e7de7f00d6c2d3c0000000", "FRAGMENTATION"),
        (b"OpenIKED-7.3".hex(), "OpenIKED 7.3"),
        (b"OE-Libreswan-4.9".hex(), "Libreswan 4.9"),
        ("1e2b516905991c7d7c96fcbfb587e46100000009", "MS NT5 ISAKMPOAKLEY"),
    ],
)
def test_a_peer_is_known_by_its_mark(mark: str, name: str) -> None:
    assert vendor_name(bytes.fromhex(mark)) == name


def test_an_unknown_or_empty_mark_has_no_name() -> None:
    assert vendor_name(b"") is None
    assert vendor_name(bytes(16)) is None
    assert vendor_name(vendor_ids.XAUTH[:7]) is None
    assert len(set(VENDOR_IDS.values())) == len(VENDOR_IDS)


def test_a_number_without_a_name_is_told_as_a_number() -> None:
    assert name_of(n2.NotifyType, 16390) == "COOKIE"
    assert name_of(n2.NotifyType, 61234) == "61234"
    assert hyphened(n1.NotifyType, 36136) == "R-U-THERE"
    assert hyphened(n1.NotifyType, 9999) == "9999"


def test_flags_are_told_bit_by_bit() -> None:
    assert flag_names(n2.Flag, 0x28) == "INITIATOR+RESPONSE"
    assert flag_names(n2.Flag, 0x89) == "INITIATOR+0x81"
    assert flag_names(n1.Flag, 0) == "-"
