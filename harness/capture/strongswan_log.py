# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets from strongSwan's log at `ike = 4` and `chd = 4`.

Its hex dumps say which of the seven keys they are, and of which connection, but not of which SA:
what is read here are candidates, which the capture proves. The SPIs of CHILD_SAs are told, but not
which of the two keys is whose: there is one candidate for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from harness.capture.secrets import IkeV1Secret, IkeV2Secret, IpsecSecret, Reading, Secrets
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, Encryption, Integrity

LONGEST_DUMP = 1 << 16

# A connection is `<name|id>` or, before it has a name, `<id>`; a name may have any character.
_LINE = re.compile(r"(?:^|\s)(\d+)\[(?:IKE|CHD)\] (?:<((?:.*?\|)?\d+)> )?(.*)$")
_DUMP = re.compile(r"(.+?) => (\d+) bytes(?: @ \S+)?$")
_OCTETS = re.compile(r" *\d+: ((?:[0-9A-F]{2} ?){1,16})")
_USING = re.compile(r" *using (\S+) for (encryption|integrity)$")
_ADDING = re.compile(r"(?:adding|registering|updating) (?:inbound|outbound) (ESP|AH) SA$")
_SPI = re.compile(r" *SPI 0x([0-9a-f]{1,8}), src (\S+) dst (\S+)$")
_ALIASES = {
    "3DES_CBC": "3DES",
    "DES_CBC": "DES",
    "CAST_CBC": "CAST",
    "BLOWFISH_CBC": "BLOWFISH",
    "NULL_AES_GMAC": "NULL_AUTH_AES_GMAC",
}


class _Dump(NamedTuple):
    label: str
    data: bytes


class _Said(NamedTuple):
    line: int
    connection: str
    what: _Dump | str


@dataclass(slots=True)
class _Child:
    """The keys that the next SPIs belong to."""

    encryption: str = ""
    integrity: str = ""
    protocol: Literal["esp", "ah"] = "esp"
    keys: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Connection:
    """What has been said so far of one connection, `<name|id>`; `last` is its latest candidate."""

    ike: dict[str, bytes] = field(default_factory=dict)
    last: int | None = None
    child: _Child = field(default_factory=_Child)


def read_log(path: Path) -> Reading:
    """The candidates in a log file; one sentence when it cannot be read."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        return Reading(
            problems=(f"{path} cannot be read ({error.strerror}); its keys are missing",)
        )
    return parse_log(text, f"{path.parent.name}/{path.name}")


def parse_log(text: str, origin: str = "log") -> Reading:
    """The candidates in a log; what it does not say whole is passed over."""
    v1: list[IkeV1Secret] = []
    v2: list[IkeV2Secret] = []
    ipsec: list[IpsecSecret] = []
    connections: dict[str, _Connection] = {}
    for line, name, what in _spoken(text.splitlines()):
        connection = connections.setdefault(name, _Connection())
        where = f"{origin} line {line}"
        match what:
            case _Dump(label=("Sk_d secret" | "SKEYID") as label, data=data):
                connection.ike = {label: data}
            case _Dump(label="Sk_er secret", data=data):
                keys = connection.ike
                ei, ai, ar = (keys.get(f"Sk_{one} secret", b"") for one in ("ei", "ai", "ar"))
                connection.last = None
                if ei:
                    connection.last = len(v2)
                    v2.append(IkeV2Secret(None, None, ei, data, ai, ar, origin=where))
            case _Dump(label="Sk_pr secret", data=data) if connection.last is not None:
                # These two come last, and prove AUTH alone: the others serve without them.
                pi = connection.ike.get("Sk_pi secret", b"")
                v2[connection.last] = replace(v2[connection.last], pi=pi, pr=data)
            case _Dump(label="initial IV", data=data):
                keys = connection.ike
                key, skeyid = keys.get("encryption key Ka", b""), keys.get("SKEYID", b"")
                if key:
                    skeyid_a = keys.get("SKEYID_a", b"")
                    v1.append(IkeV1Secret(None, key, data, skeyid, skeyid_a, where))
            case _Dump(label=label, data=data):
                keys = (
                    connection.child.keys
                    if label.endswith(("initiator key", "responder key"))
                    else connection.ike
                )
                keys[label] = data
            case str():
                ipsec.extend(_child_said(connection, what, where))
    return Reading(
        Secrets(
            tuple(dict.fromkeys(v1)),
            tuple(dict.fromkeys(v2)),
            tuple(dict.fromkeys(ipsec)),
        )
    )


def _spoken(lines: Iterable[str]) -> Iterator[_Said]:
    """What was said, dumps put together again; threads may have talked in between."""
    open_dumps: dict[tuple[str, str], tuple[int, str, int, bytearray]] = {}
    for number, line in enumerate(lines, 1):
        parts = _LINE.search(line)
        if parts is None:
            continue
        thread, name, text = parts.group(1), parts.group(2) or "", parts.group(3)
        speaker = (thread, name)
        if speaker in open_dumps:
            started, label, size, data = open_dumps[speaker]
            octets = _OCTETS.match(text)
            if octets is not None:
                # The printable column may look like octets: no more than were announced.
                data += bytes.fromhex(octets.group(1))[: min(16, size - len(data))]
                if len(data) >= size:
                    del open_dumps[speaker]
                    yield _Said(started, name, _Dump(label, bytes(data)))
                continue
            del open_dumps[speaker]
        dump = _DUMP.match(text)
        if dump is None:
            yield _Said(number, name, text)
        elif 0 < int(dump.group(2)[:6]) <= LONGEST_DUMP:
            open_dumps[speaker] = (number, dump.group(1), int(dump.group(2)[:6]), bytearray())


def _child_said(connection: _Connection, text: str, where: str) -> Iterator[IpsecSecret]:
    """The candidates for an SPI that a line tells, both keys for it; other lines are kept."""
    if using := _USING.match(text):
        algorithm, purpose = using.groups()
        if purpose == "encryption" or connection.child.keys:
            connection.child = _Child()
        if purpose == "encryption":
            connection.child.encryption = algorithm
        else:
            connection.child.integrity = algorithm
        return
    if adding := _ADDING.match(text):
        connection.child.protocol = "ah" if adding.group(1) == "AH" else "esp"
        return
    spi = _SPI.match(text)
    if spi is None:
        return
    child = connection.child
    for role in ("initiator", "responder"):
        encryption_key = child.keys.get(f"encryption {role} key", b"")
        integrity_key = child.keys.get(f"integrity {role} key", b"")
        encryption = _encryption(child.encryption, len(encryption_key))
        integrity = _integrity(child.integrity)
        if encryption is None and integrity is None:
            continue
        yield IpsecSecret(
            int(spi.group(1), 16),
            destination=spi.group(3).split("[")[0],
            protocol=child.protocol,
            encryption=encryption,
            encryption_key=encryption_key,
            integrity=integrity,
            integrity_key=integrity_key,
            origin=where,
        )


def _encryption(name: str, size: int) -> Encryption | None:
    rfc_name = f"ENCR_{_ALIASES.get(name, name)}"
    for record in ENCRYPTIONS:
        if record.rfc_name == rfc_name and record.keymat_size == size:
            return record
    return None


def _integrity(name: str) -> Integrity | None:
    return next((record for record in INTEGRITIES if record.name == name), None)
