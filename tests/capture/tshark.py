# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark as a second opinion: what it says of each frame of a capture, and the same from us."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.capture.decryption import Decryption
from harness.capture.entries import Entry, Ike, Ipsec, Status
from harness.capture.secrets import IkeV2Secret, IpsecSecret
from harness.capture.wireshark import environment, write_profile
from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.payload import Payload
from harness.ike.transforms import Integrity
from tests.capture.packets import pcapng_of

NO_ESN_COLUMNS = """More fields than required. Discarding ',"64-bit","""
"""What tshark before 4.2 says of an SA with ESN, whose ICV it then cannot check."""
IPV4_ADDR, FQDN, IPV4_ADDR_SUBNET = 1, 2, 4
"""Identity types of both versions (RFC 2407 section 4.6.2.1, RFC 7296 section 3.5)."""

FIELDS = {
    "spis": ("isakmp.ispi", "isakmp.rspi"),
    "message id": ("isakmp.messageid",),
    "exchange": ("isakmp.exchangetype",),
    "flags": ("isakmp.flags",),
    "payload types": ("isakmp.typepayload",),
    "proposed protocols": ("isakmp.prop.protoid",),
    "SPIs of proposals and notifies": ("isakmp.spi",),
    "public values": ("isakmp.key_exchange.data",),
    "nonces": ("isakmp.nonce",),
    "notify types": ("isakmp.notify.msgtype",),
    "deleted protocols": ("isakmp.delete.protoid",),
    "deleted SPIs": ("isakmp.delete.spi",),
    "vendor ids": ("isakmp.vid_bytes",),
    "identity types": ("isakmp.id.type",),
    "identities": ("isakmp.id.data.fqdn",),
    "addresses as identities": ("isakmp.id.data.ipv4_addr", "isakmp.id.data.ipv4_subnet"),
    "certificate encodings": ("isakmp.cert.encoding",),
    "AUTH": ("isakmp.auth.method", "isakmp.auth.data"),
    "hashes": ("isakmp.hash",),
    "signatures": ("isakmp.sig",),
    "traffic selectors": ("isakmp.ts.start_ipv4", "isakmp.ts.end_ipv4"),
    "ESP SPI": ("esp.spi",),
    "sequence": ("esp.sequence",),
    "ICV good": ("esp.icv_good",),
    "next header": ("esp.protocol",),
    "addresses": ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst"),
    "UDP ports": ("udp.srcport", "udp.dstport"),
}


IN_PAYLOADS = list(FIELDS)[4 : list(FIELDS).index("ESP SPI")]
"""Those that are inside SK."""


class Opinion(NamedTuple):
    """What tshark says of every frame, a list of values for each of FIELDS.

    `knows_esn` is whether it can check ICVs of SAs with extended sequence numbers.
    """

    rows: list[dict[str, list[str]]]
    knows_esn: bool


def tshark(capture: Path, profile: Path) -> Opinion:
    """What tshark says of a capture with that profile."""
    wanted = [part for names in FIELDS.values() for name in names for part in ("-e", name)]
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "aggregator=|", *wanted]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | environment(profile)
    )
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert [line for line in warnings if NO_ESN_COLUMNS not in line] == []
    rows = []
    for line in done.stdout.splitlines():
        cells = iter(line.split("\t"))
        rows.append(
            {
                what: [value for _ in names for value in next(cells).split("|") if value]
                for what, names in FIELDS.items()
            }
        )
    return Opinion(rows, not warnings)


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


def types(payloads: Sequence[Payload]) -> Iterator[str]:
    """Payload types as tshark counts them: with proposals and transforms of an SA."""
    for payload in payloads:
        yield str(payload.payload_type)
        if isinstance(payload, v1.SecurityAssociation | v2.SecurityAssociation):
            for proposal in payload.proposals:
                yield "2"
                yield from ["3"] * len(proposal.transforms)


def spis(payloads: Sequence[Payload]) -> Iterator[bytes]:
    """The SPIs of proposals and notifies as they come."""
    for payload in payloads:
        match payload:
            case v1.SecurityAssociation() | v2.SecurityAssociation():
                yield from (one.spi for one in payload.proposals if one.spi)
            case v1.Notification() | v2.Notify() if payload.spi:
                yield payload.spi


def seen(entry: Entry) -> dict[str, list[str]]:
    """The same from our side."""
    row: dict[str, list[str]] = {what: [] for what in FIELDS}
    content = entry.content
    outer = entry.headers
    row["addresses"] = addresses((outer.source, outer.destination))
    row["UDP ports"] = [str(port) for port in outer.ports or ()]
    match content:
        case Ike(header=head):
            assert content.message is not None
            row["spis"] = [head.initiator_spi.hex(), head.responder_spi.hex()]
            row["message id"] = [f"0x{head.message_id:08x}"]
            row["exchange"] = [str(head.exchange_type)]
            row["flags"] = [f"0x{head.flags:02x}"]
            sk = content.message.sealed
            row["payload types"] = [str(sk.payload_type)] if sk else []
            row |= {"payload types": [*row["payload types"], *types(content.payloads)]}
            row |= of_payloads(content.payloads)
        case Ipsec(status=Status.DECRYPTED):
            row["ESP SPI"] = [f"0x{content.spi:08x}"]
            row["sequence"] = [str(content.sequence)]
            if not opens_esp(content.secret):
                return row
            row["ICV good"] = ["1"]
            row["next header"] = [f"0x{content.next_header:02x}"]
            inner = content.inner
            assert inner is not None
            outside = (outer.source, outer.destination)
            tunnel = content.mode == "tunnel"
            row["addresses"] = addresses(outside, *([(inner.src, inner.dst)] if tunnel else []))
            own = [(inner.sport, inner.dport)] if inner.haslayer("UDP") else []
            both = [*([outer.ports] if outer.ports else []), *own]
            row["UDP ports"] = [str(pair[side]) for side in (0, 1) for pair in both]
    return row


def of_payloads(payloads: Sequence[Payload]) -> dict[str, list[str]]:
    """What tshark has fields for, from all payloads of a message."""

    def all_of(*kinds: type) -> list[Any]:
        return [one for one in payloads if isinstance(one, kinds)]

    proposals = [
        proposal
        for one in all_of(v1.SecurityAssociation, v2.SecurityAssociation)
        for proposal in one.proposals
    ]
    deletes = all_of(v1.Delete, v2.Delete)
    known = all_of(v1.Identification, v2.Identification)
    hosts = [one.data for one in known if one.id_type in (IPV4_ADDR, IPV4_ADDR_SUBNET)]
    proofs = all_of(v2.Authentication)
    selectors = [one for each in all_of(v2.TrafficSelectors) for one in each.selectors]
    return {
        "proposed protocols": [str(one.protocol) for one in proposals],
        "SPIs of proposals and notifies": [spi.hex() for spi in spis(payloads)],
        "public values": [one.data.hex() for one in all_of(v1.KeyExchange, v2.KeyExchange)],
        "nonces": [one.data.hex() for one in all_of(v1.Nonce, v2.Nonce)],
        "notify types": [str(one.notify_type) for one in all_of(v1.Notification, v2.Notify)],
        "deleted protocols": [str(one.protocol) for one in deletes],
        "deleted SPIs": [spi.hex() for one in deletes for spi in one.spis],
        "vendor ids": [one.data.hex() for one in all_of(v1.VendorId, v2.VendorId)],
        "identity types": [str(one.id_type) for one in known],
        "identities": [one.data.decode() for one in known if one.id_type == FQDN],
        "addresses as identities": [
            *(socket.inet_ntoa(one[:4]) for one in hosts),
            *(socket.inet_ntoa(one[4:]) for one in hosts if len(one) == 8),
        ],
        "certificate encodings": [
            str(one.encoding) for one in all_of(v1.Certificate, v2.Certificate)
        ],
        "AUTH": [*(str(one.method) for one in proofs), *(one.data.hex() for one in proofs)],
        "hashes": [one.data.hex() for one in all_of(v1.Hash)],
        "signatures": [one.data.hex() for one in all_of(v1.Signature)],
        "traffic selectors": [
            *(socket.inet_ntoa(one.start) for one in selectors),
            *(socket.inet_ntoa(one.end) for one in selectors),
        ],
    }


def addresses(*pairs: tuple[str, str]) -> list[str]:
    """Sources and destinations of IPv4, then of IPv6, each from the outside in."""
    return [
        pair[side]
        for colon in (False, True)
        for side in (0, 1)
        for pair in pairs
        if (":" in pair[side]) is colon
    ]


def normal(row: dict[str, list[str]]) -> dict[str, list[str]]:
    """Booleans are 1 or True, after the version of Wireshark; an SA's delete has its cookies."""
    row["ICV good"] = [{"True": "1", "False": "0"}.get(value, value) for value in row["ICV good"]]
    return row


def assert_agreed(
    decryption: Decryption,
    capture: Path,
    profile: Path,
    *,
    written: bool = False,
    without: Sequence[str] = (),
) -> int:
    """Compare every field of every IKE and ESP frame, and return how many frames there were.

    The profile is written from the decryption, unless it is `written` already. Of what tshark has
    no algorithm for it gives its headers. Behind a translation each message is there twice, of
    which IKEv1's IVs in tshark make no sense: then it is given one wire at a time.
    """
    if not written:
        write_profile(profile, decryption.secrets)
    told = [entry for entry in decryption.entries if isinstance(entry.content, Ike | Ipsec)]
    wires = list(dict.fromkeys(entry.frame.wire for entry in told))
    foreign = {(one.spi_i, one.spi_r) for one in decryption.secrets.ike_v2 if not opens_ike(one)}
    if len(wires) == 1:
        return _compared(decryption.entries, tshark(capture, profile), foreign, without)
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        for wire in wires:
            entries = [entry for entry in decryption.entries if entry.frame.wire == wire]
            part = Path(folder) / "wire.pcapng"
            part.write_bytes(pcapng_of(entry.frame for entry in entries))
            compared += _compared(entries, tshark(part, profile), foreign, without)
    return compared


def _compared(
    entries: Sequence[Entry],
    opinion: Opinion,
    foreign: Container[tuple[bytes | None, bytes | None]],
    without: Sequence[str],
) -> int:
    assert len(opinion.rows) == len(entries)
    compared = 0
    for entry, row in zip(entries, opinion.rows, strict=True):
        if not isinstance(entry.content, Ike | Ipsec):
            continue
        ours = seen(entry)
        if isinstance(entry.content, Ipsec) and _with_esn(entry.content) and not opinion.knows_esn:
            ours["ICV good"] = ["0"]
        unread = IN_PAYLOADS if _unread(entry.content, foreign) else ()
        for what in FIELDS:
            if what not in without and what not in unread:
                assert normal(row)[what] == ours[what], f"frame {entry.number}: {what}"
        compared += 1
    return compared


def _unread(content: Ike | Ipsec, foreign: Container[tuple[bytes | None, bytes | None]]) -> bool:
    """Whether tshark gives no more of a message than its header."""
    if isinstance(content, Ipsec) or content.message is None:
        return False
    if content.message.encrypted:
        # It takes the IV from the message before, which for a repeated one is that one itself.
        return bool(content.repeats) and not content.elsewhere
    head = content.header
    return (
        content.message.sealed is not None and (head.initiator_spi, head.responder_spi) in foreign
    )


def _with_esn(content: Ipsec) -> bool:
    return content.secret is not None and bool(content.secret.esn)
