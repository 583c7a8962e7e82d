# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark's three tables of secrets, of IKEv1, IKEv2 and ESP.

Rows are read and written. An SA whose algorithm Wireshark does not know is written as a comment
that starts with `#ikelab:`, in the same form with the transform's own name, and read from it too.
So are the keys that prove who the peers are, for which Wireshark has no use: SKEYID and SKEYID_a
behind a row of IKEv1, SK_pi and SK_pr behind one of IKEv2.
"""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from harness.capture.secrets import (
    ANY_ADDRESS,
    NO_SECRETS,
    IkeV1Secret,
    IkeV2Secret,
    IpsecSecret,
    Reading,
    Secrets,
)
from harness.ike.algorithm_records import Names
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, Encryption, Integrity

IKEV1_TABLE = "ikev1_decryption_table"
IKEV2_TABLE = "ikev2_decryption_table"
ESP_TABLE = "esp_sa"
TABLES = (IKEV1_TABLE, IKEV2_TABLE, ESP_TABLE)

OURS = "#ikelab:"
LARGEST_TABLE = 1 << 26
NO_INTEGRITY = "NONE [RFC4306]"
_ANY_ESP = "ANY {} bit authentication [no checking]"
_ANY_IKE = "ANY {}-bits of Authentication [No Checking]"
_UNCHECKED = {
    form.format(bits): bits // 8
    for form in (_ANY_ESP, _ANY_IKE)
    for bits in (64, 96, 128, 160, 192, 256)
}

Row = Sequence[str]
S = TypeVar("S", IkeV1Secret, IkeV2Secret, IpsecSecret)


class MalformedRow(ValueError):
    """A row cannot be used; half a sentence says why."""


# -- reading ----------------------------------------------------------------------------------


def read_tables(folder: Path) -> Reading:
    """The secrets of the tables in a profile folder, each of which may be missing, not all."""
    readings = [read_table(folder / name) for name in TABLES if (folder / name).exists()]
    if not readings:
        names = ", ".join(TABLES)
        return Reading(problems=(f"{folder} has no table of secrets; it should have {names}",))
    return Reading().joined(*readings)


def read_table(path: Path) -> Reading:
    """The secrets of one table, which its name tells from the others; never raises."""
    try:
        if path.stat().st_size > LARGEST_TABLE:
            return Reading(problems=(f"{path} is larger than any table of secrets; not read",))
        text = path.read_text(errors="replace")
    except OSError as error:
        return Reading(problems=(f"{path} cannot be read: {error.strerror}",))
    return parse_table(path.name, text, str(path))


def parse_table(name: str, text: str, origin: str) -> Reading:
    """The secrets in a table's text; each row that is malformed is a problem with its line."""
    problems: list[str] = []
    match name:
        case _ if name == IKEV1_TABLE:
            v1 = tuple(_rows(text, origin, ikev1_secret, problems))
            return Reading(NO_SECRETS.joined(Secrets(ike_v1=v1)), tuple(problems))
        case _ if name == IKEV2_TABLE:
            v2 = tuple(_rows(text, origin, ikev2_secret, problems))
            return Reading(NO_SECRETS.joined(Secrets(ike_v2=v2)), tuple(problems))
        case _ if name == ESP_TABLE:
            esp = tuple(_rows(text, origin, esp_secret, problems))
            return Reading(Secrets(ipsec=esp), tuple(problems))
    return Reading(problems=(f"{origin} is no table of secrets; those are {', '.join(TABLES)}",))


def _rows(
    text: str, origin: str, read: Callable[[Row, str], S], problems: list[str]
) -> Iterator[S]:
    for number, line in enumerate(text.splitlines(), 1):
        row = line.strip().removeprefix(OURS).strip()
        if not row or row.startswith("#"):
            continue
        where = f"{origin} line {number}"
        try:
            yield read(_cells(row), where)
        except MalformedRow as error:
            problems.append(f"{where} is not used: {error}")


def _cells(row: str) -> Row:
    try:
        return [
            cell.strip() for cell in next(csv.reader([row], skipinitialspace=True, strict=True))
        ]
    except (csv.Error, StopIteration):
        raise MalformedRow("its quotes do not match") from None


def ikev1_secret(cells: Row, origin: str = "") -> IkeV1Secret:
    """The secret in a row of initiator cookie and Ka; raises MalformedRow."""
    proving = [_octets(cell, "SKEYID") for cell in cells[2:4]] if len(cells) == 4 else [b"", b""]
    cells = cells[:2] if len(cells) == 4 else cells
    cookie, key = _as_many(cells, 2, "initiator cookie and encryption key")
    return IkeV1Secret(
        _sized(cookie, 8, "cookie"),
        _octets(key, "encryption key"),
        skeyid=proving[0],
        skeyid_a=proving[1],
        origin=origin,
    )


def ikev2_secret(cells: Row, origin: str = "") -> IkeV2Secret:
    """The secret in a row of two SPIs, keys and algorithms; raises MalformedRow."""
    proving = [_octets(cell, "SK_p") for cell in cells[8:10]] if len(cells) == 10 else [b"", b""]
    spi_i, spi_r, ei, er, encr, ai, ar, integ = _as_many(
        cells[:8] if len(cells) == 10 else cells,
        8,
        "both SPIs, SK_ei, SK_er, encryption, SK_ai, SK_ar, integrity",
    )
    name_of = lambda names: names.wireshark_ike  # noqa: E731
    keys = [_octets(key, name, True) for key, name in ((ei, "SK_ei"), (er, "SK_er"))]
    macs = [_octets(key, name, True) for key, name in ((ai, "SK_ai"), (ar, "SK_ar"))]
    encryption = _encryption(encr, len(keys[0]), name_of)
    _check_size(encryption, keys[1], "SK_er")
    integrity, unchecked = None, _UNCHECKED.get(integ, 0)
    if not unchecked and integ not in (NO_INTEGRITY, ""):
        integrity = _integrity(integ, name_of)
        for key, name in zip(macs, ("SK_ai", "SK_ar"), strict=True):
            _check_mac(integrity, key, name)
    return IkeV2Secret(
        _sized(spi_i, 8, "initiator's SPI"),
        _sized(spi_r, 8, "responder's SPI"),
        ei=keys[0],
        er=keys[1],
        ai=macs[0],
        ar=macs[1],
        encryption=encryption,
        integrity=_needed(encryption, integrity, unchecked, integ),
        unchecked_icv=0 if encryption.combined else unchecked,
        origin=origin,
        pi=proving[0],
        pr=proving[1],
    )


def esp_secret(cells: Row, origin: str = "") -> IpsecSecret:
    """The secret in a row of esp_sa, with or without its ESN columns; raises MalformedRow."""
    if len(cells) not in (8, 10):
        raise MalformedRow(
            f"it has {len(cells)} fields and should have 8, or 10 with extended sequence numbers"
        )
    protocol, source, destination, spi, encr, key, auth, mac = cells[:8]
    if protocol not in ("IPv4", "IPv6", "*", "Any"):
        raise MalformedRow(f"its protocol is {protocol!r} and should be IPv4 or IPv6")
    name_of = lambda names: names.wireshark_esp  # noqa: E731
    encryption_key = _octets(key, "encryption key", True)
    integrity_key = _octets(mac, "authentication key", True)
    encryption = _encryption(encr, len(encryption_key), name_of)
    integrity, unchecked = None, _UNCHECKED.get(auth, 0)
    if not unchecked and auth not in ("NULL", ""):
        integrity = _integrity(auth, name_of)
        _check_mac(integrity, integrity_key, "authentication key")
    esn, high = None, 0
    if len(cells) == 10:
        esn = cells[8] == "64-bit"
        if cells[8] not in ("32-bit", "64-bit"):
            raise MalformedRow(f"its ESN mode is {cells[8]!r} and should be 32-bit or 64-bit")
        high = _number(cells[9] or "0", "upper half of the sequence number")
    return IpsecSecret(
        _number(spi, "SPI"),
        _address(destination),
        _address(source),
        encryption=encryption,
        encryption_key=encryption_key,
        integrity=_needed(encryption, integrity, unchecked, auth),
        integrity_key=integrity_key,
        unchecked_icv=0 if encryption.combined else unchecked,
        esn=esn,
        high=high,
        origin=origin,
    )


def _as_many(cells: Row, count: int, what: str) -> Row:
    if len(cells) != count:
        raise MalformedRow(f"it has {len(cells)} fields and should have {count}: {what}")
    return cells


def _octets(text: str, what: str, may_be_empty: bool = False) -> bytes:
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        raise MalformedRow(f"its {what} is not hexadecimal") from None
    if not octets and not may_be_empty:
        raise MalformedRow(f"its {what} is empty")
    return octets


def _sized(text: str, size: int, what: str) -> bytes:
    octets = _octets(text, what)
    if len(octets) != size:
        raise MalformedRow(f"its {what} has {len(octets)} octets and should have {size}")
    return octets


def _number(text: str, what: str) -> int:
    try:
        # A value from a hexadecimal field may come without 0x, so 16 is the base either way.
        number = int(text, 16)
    except ValueError:
        raise MalformedRow(f"its {what} is {text!r} and should be 0x and hexadecimal") from None
    if not 0 <= number < 1 << 32:
        raise MalformedRow(f"its {what} does not fit in 32 bits")
    return number


def _address(text: str) -> str:
    if "*" in text or not text:
        return text or ANY_ADDRESS
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise MalformedRow(f"{text!r} is no address") from None


def _encryption(name: str, size: int, name_of: Callable[[Names], str | None]) -> Encryption:
    named = [one for one in ENCRYPTIONS if name in (name_of(one.names), one.name)]
    if not named:
        raise MalformedRow(f"{name!r} is no encryption that Wireshark knows")
    for record in named:
        if record.keymat_size == size:
            return record
    sizes = " or ".join(str(one) for one in sorted({one.keymat_size for one in named}))
    raise MalformedRow(f"its key for {name} has {size} octets and should have {sizes}")


def _check_size(encryption: Encryption, key: bytes, what: str) -> None:
    if len(key) != encryption.keymat_size:
        size = encryption.keymat_size
        raise MalformedRow(f"its {what} has {len(key)} octets and should have {size}")


def _integrity(name: str, name_of: Callable[[Names], str | None]) -> Integrity:
    for record in INTEGRITIES:
        if name in (name_of(record.names), record.name):
            return record
    raise MalformedRow(f"{name!r} is no authentication that Wireshark knows")


def _check_mac(integrity: Integrity, key: bytes, what: str) -> None:
    if len(key) != integrity.key_size:
        size = integrity.key_size
        raise MalformedRow(f"its {what} has {len(key)} octets and should have {size}")


def _needed(
    encryption: Encryption, integrity: Integrity | None, unchecked: int, name: str
) -> Integrity | None:
    if encryption.combined and (integrity or unchecked):
        # Wireshark lets an AEAD's ICV be named as "ANY": there is only one, its own.
        if integrity is not None and integrity.icv_size:
            raise MalformedRow(f"{encryption.name} authenticates by itself, without {name}")
        return None
    return integrity


# -- writing ----------------------------------------------------------------------------------


def ikev1_rows(secrets: Iterable[IkeV1Secret]) -> Iterator[str]:
    """A row for each secret whose cookie is known."""
    for one in secrets:
        if one.cookie is not None:
            row = f"{one.cookie.hex()},{one.key.hex()}"
            yield row
            if one.skeyid and one.skeyid_a:
                yield f"{OURS}{row},{one.skeyid.hex()},{one.skeyid_a.hex()}"


def ikev2_rows(secrets: Iterable[IkeV2Secret]) -> Iterator[str]:
    """A row for each secret whose SA and algorithms are known."""
    for one in secrets:
        if one.spi_i is None or one.spi_r is None or one.encryption is None:
            continue
        encr, integ = one.encryption.names.wireshark_ike, NO_INTEGRITY
        known = encr is not None
        if one.integrity is not None:
            known &= one.integrity.names.wireshark_ike is not None
            integ = one.integrity.names.wireshark_ike or one.integrity.name
        elif one.unchecked_icv and not one.encryption.combined:
            integ = _ANY_IKE.format(one.unchecked_icv * 8)
        keys = (one.ei.hex(), one.er.hex(), one.ai.hex(), one.ar.hex())
        row = (
            f"{one.spi_i.hex()},{one.spi_r.hex()},{keys[0]},{keys[1]},"
            f'"{encr or one.encryption.name}",{keys[2]},{keys[3]},"{integ}"'
        )
        yield row if known else OURS + row
        if one.pi and one.pr:
            yield f"{OURS}{row},{one.pi.hex()},{one.pr.hex()}"


def esp_rows(secrets: Iterable[IpsecSecret]) -> Iterator[str]:
    """A row for each ESP secret: AH is not encrypted."""
    for one in secrets:
        if one.protocol != "esp" or one.encryption is None:
            continue
        encr, auth = one.encryption.names.wireshark_esp, "NULL"
        known = encr is not None
        if one.integrity is not None:
            known &= one.integrity.names.wireshark_esp is not None
            auth = one.integrity.names.wireshark_esp or one.integrity.name
        elif one.unchecked_icv and not one.encryption.combined:
            auth = _ANY_ESP.format(one.unchecked_icv * 8)
        version = "IPv6" if ":" in one.destination + one.source else "IPv4"
        cells = [
            version,
            one.source,
            one.destination,
            f"0x{one.spi:08x}",
            encr or one.encryption.name,
            _hex(one.encryption_key),
            auth,
            _hex(one.integrity_key),
        ]
        if one.esn:
            # Wireshark before 4.2 does not know these two, and warns of each row that has them.
            cells += ["64-bit", f"{one.high:08x}"]
        yield ("" if known else OURS) + ",".join(f'"{cell}"' for cell in cells)


def _hex(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""
