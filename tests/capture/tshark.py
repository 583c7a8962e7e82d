# SPDX-License-Identifier: GPL-2.0-or-later
"""What tshark says of each frame of a capture, and what it is able to open."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from harness.capture.secrets import IkeV2Secret, IpsecSecret
from harness.capture.wireshark import environment
from harness.ike.transforms import Integrity

NO_ESN_COLUMNS = """More fields than required. Discarding ',"64-bit","""
"""What tshark before 4.2 says of an SA with ESN, whose ICV it then cannot check."""

OUTSIDE = {
    "addresses": ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst"),
    "UDP ports": ("udp.srcport", "udp.dstport"),
    "spis": ("isakmp.ispi", "isakmp.rspi"),
    "message id": ("isakmp.messageid",),
    "exchange": ("isakmp.exchangetype",),
    "flags": ("isakmp.flags",),
    "ICV of IKEv2 wrong": ("isakmp.ikev2.integrity_checksum",),
    "AH SPI": ("ah.spi",),
    "AH sequence": ("ah.sequence",),
    "ESP SPI": ("esp.spi",),
    "ESP sequence": ("esp.sequence",),
    "ICV good": ("esp.icv_good",),
    "next header": ("esp.protocol",),
}
IN_PAYLOADS = {
    "payload types": ("isakmp.typepayload",),
    "proposed protocols": ("isakmp.prop.protoid",),
    "SPIs of proposals and notifies": ("isakmp.spi",),
    "transforms of IKEv2": (
        "isakmp.tf.type",
        "isakmp.tf.id.encr",
        "isakmp.tf.id.prf",
        "isakmp.tf.id.integ",
        "isakmp.tf.id.dh",
        "isakmp.tf.id.esn",
        "isakmp.ike2.attr.key_length",
    ),
    "transforms of phase 1": (
        "isakmp.ike.attr.encryption_algorithm",
        "isakmp.ike.attr.hash_algorithm",
        "isakmp.ike.attr.authentication_method",
        "isakmp.ike.attr.group_description",
        "isakmp.ike.attr.key_length",
        "isakmp.ike.attr.life_duration",
        "isakmp.ike.attr.life_duration64",
    ),
    "groups": ("isakmp.key_exchange.dh_group",),
    "public values": ("isakmp.key_exchange.data",),
    "nonces": ("isakmp.nonce",),
    "notify types": ("isakmp.notify.msgtype",),
    "deleted protocols": ("isakmp.delete.protoid",),
    "deleted SPIs": ("isakmp.delete.spi",),
    "vendor ids": ("isakmp.vid_bytes",),
    "identity types": ("isakmp.id.type",),
    "protocols and ports of identities": ("isakmp.id.protoid", "isakmp.id.port"),
    "names as identities": ("isakmp.id.data.fqdn", "isakmp.id.data.user_fqdn"),
    "addresses as identities": (
        "isakmp.id.data.ipv4_addr",
        "isakmp.id.data.ipv6_addr",
        "isakmp.id.data.ipv4_subnet",
    ),
    "certificate encodings": ("isakmp.cert.encoding",),
    "AUTH": ("isakmp.auth.method", "isakmp.auth.data"),
    "hashes": ("isakmp.hash",),
    "signatures": ("isakmp.sig",),
    "NAT detection of IKEv1": ("isakmp.ike.nat_hash",),
    "addresses before NAT": (
        "isakmp.ike.nat_original_address_ipv4",
        "isakmp.ike.nat_original_address_ipv6",
    ),
    "traffic selectors": (
        "isakmp.ts.type",
        "isakmp.ts.protoid",
        "isakmp.ts.start_port",
        "isakmp.ts.end_port",
        "isakmp.ts.start_ipv4",
        "isakmp.ts.end_ipv4",
        "isakmp.ts.start_ipv6",
        "isakmp.ts.end_ipv6",
    ),
}
FIELDS = {**OUTSIDE, **IN_PAYLOADS}
"""What is compared, with the fields that tshark has it in."""
EMPTY = "<MISSING>"
"""How tshark writes a value of no octets."""
ICMP = "ICMP"
ASKED = {**FIELDS, ICMP: ("icmp.type", "icmpv6.type")}
"""What it is asked for; what ICMP quotes is no packet of its own."""

Row = dict[str, list[str]]
"""The values of a frame for each of ASKED."""


class Opinion(NamedTuple):
    """What tshark says of every frame.

    `knows_esn` is whether it can check ICVs of SAs with extended sequence numbers.
    """

    rows: list[Row]
    knows_esn: bool


def tshark(capture: Path, profile: Path) -> Opinion:
    """What tshark says of a capture with that profile."""
    wanted = [part for names in ASKED.values() for name in names for part in ("-e", name)]
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "aggregator=|", *wanted]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | environment(profile)
    )
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert [line for line in warnings if NO_ESN_COLUMNS not in line] == []
    return Opinion([_row(line) for line in done.stdout.splitlines()], not warnings)


def _row(line: str) -> Row:
    cells = iter(line.split("\t"))
    row = {
        what: [value for _ in names for value in next(cells).split("|") if value not in ("", EMPTY)]
        for what, names in ASKED.items()
    }
    # A boolean is 1 or True, after the version of Wireshark.
    row["ICV good"] = [{"True": "1", "False": "0"}.get(value, value) for value in row["ICV good"]]
    return row


def checked_in_esp(mac: Integrity) -> bool:
    """Whether tshark can check this ICV of ESP."""
    return mac.names.wireshark_esp is not None and "no checking" not in mac.names.wireshark_esp


def opens_esp(secret: IpsecSecret | None) -> bool:
    """Whether tshark can decrypt and check ESP with these keys."""
    if secret is None or secret.protocol != "esp" or secret.encryption is None:
        return False
    checked = secret.integrity is None or checked_in_esp(secret.integrity)
    return checked and secret.encryption.names.wireshark_esp is not None


def opens_ike(secret: IkeV2Secret) -> bool:
    """Whether tshark can decrypt IKEv2 with these keys."""
    if secret.encryption is None or secret.encryption.names.wireshark_ike is None:
        return False
    return secret.integrity is None or secret.integrity.names.wireshark_ike is not None
