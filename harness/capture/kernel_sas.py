# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets of the SAs that a kernel holds, from their plain values (`SecurityAssociation.as_json`).

The names of algorithms are the kernel's, keys are hexadecimal with the salt at their end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.capture.secrets import IpsecSecret, Reading, Secrets
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, Encryption, Integrity

# What the kernel cuts an ICV to when nobody says: for SHA-256 the draft's 96 bits.
_DEFAULT_ICV_BITS = {"hmac(sha256)": 96, "hmac(sha1)": 96, "hmac(md5)": 96}


class UnusableSa(ValueError):
    """An SA cannot be used for decryption; one sentence says which and why."""


def read_sas(sas: Iterable[Mapping[str, Any]], origin: str) -> Reading:
    """The secrets of these SAs; those without keys (larval, IPComp) are passed over."""
    found: list[IpsecSecret] = []
    problems: list[str] = []
    for position, sa in enumerate(sas, 1):
        try:
            secret = sa_secret(sa, f"{origin}, SA {position}")
        except UnusableSa as error:
            problems.append(f"{origin}: {error}")
            continue
        if secret is not None:
            found.append(secret)
    return Reading(Secrets(ipsec=tuple(dict.fromkeys(found))), tuple(problems))


def read_sad(path: Path) -> Reading:
    """The secrets in a run's `sad.json`: a mapping from nodes to what is in their SADs."""
    try:
        state = json.loads(path.read_text())
        readings = [
            read_sas(list(one.get("sad", ())), f"{path.name}, {node}")
            for node, one in state.items()
        ]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        return Reading(problems=(f"{path} is no SAD of a run ({error}); its SAs are not used",))
    return Reading().joined(*readings)


def read_events(path: Path) -> Reading:
    """The secrets in a run's `events.jsonl`: each line whose `sa` is an SA's plain values."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        return Reading(problems=(f"{path} cannot be read ({error}); its SAs are not used",))
    readings = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            sa = (_spelled_out(event) if "xfrm" in event else event).get("sa")
        except (ValueError, AttributeError, TypeError, RecursionError):
            readings.append(
                Reading(problems=(f"{path} line {number} is no event; it is passed over",))
            )
            continue
        if sa is not None:
            readings.append(read_sas([sa], f"{path.name} line {number}"))
    return Reading().joined(*readings)


def _spelled_out(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line of a run that is not over, or was killed: there the kernel's messages are unread."""
    from harness.kernel.telling import spelled_out

    return spelled_out(event)


def sa_secret(sa: Mapping[str, Any], origin: str) -> IpsecSecret | None:
    """The secret of one SA, None where it has no keys; raises UnusableSa."""
    try:
        protocol: Literal["esp", "ah"]
        match sa["protocol"]:
            case "esp":
                protocol = "esp"
            case "ah":
                protocol = "ah"
            case _:
                return None
        encryption, encryption_key = _encryption(sa)
        integrity, integrity_key = _integrity(sa)
        if encryption is None and integrity is None:
            return None
        return IpsecSecret(
            spi=int(sa["spi"]),
            destination=str(sa["destination"]),
            # A NAT changes what stands in the packets' source; the destination and SPI do.
            protocol=protocol,
            encryption=encryption,
            encryption_key=encryption_key,
            integrity=integrity,
            integrity_key=integrity_key,
            esn=bool(sa.get("esn", False)),
            high=_high(sa),
            mode=str(sa.get("mode") or ""),
            encapsulated=sa.get("encapsulation") is not None,
            origin=origin,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UnusableSa(f"an SA without {error} is not used") from None
    except UnusableSa:
        raise
    except ValueError as error:
        raise UnusableSa(f"an SA is not used: {error}") from None


def _high(sa: Mapping[str, Any]) -> int:
    """The upper half of the sequence numbers so far, which is 0 but for very old SAs."""
    replay = sa.get("replay") or {}
    return int(replay.get("seq_hi") or replay.get("oseq_hi") or 0)


def _encryption(sa: Mapping[str, Any]) -> tuple[Encryption | None, bytes]:
    aead, plain = sa.get("aead"), sa.get("encryption")
    algorithm = aead or plain
    if not algorithm:
        return None, b""
    name, key = str(algorithm["name"]), bytes.fromhex(algorithm["key"])
    for record in _named(name):
        if record.keymat_size == len(key) and (
            not aead or record.icv_size * 8 == int(algorithm["icv_bits"])
        ):
            return record, key
    bits = f"{len(key) * 8} bits"
    raise UnusableSa(f"SA 0x{int(sa['spi']):08x} has an unknown algorithm, {name} with {bits}")


def _named(name: str) -> Iterator[Encryption]:
    short = {"cipher_null": "ecb(cipher_null)", "aes": "cbc(aes)", "des3_ede": "cbc(des3_ede)"}
    wanted = short.get(name, name)
    return (record for record in ENCRYPTIONS if record.names.xfrm == wanted)


def _integrity(sa: Mapping[str, Any]) -> tuple[Integrity | None, bytes]:
    algorithm = sa.get("integrity")
    if not algorithm or algorithm["name"] in ("digest_null", "hmac(digest_null)"):
        return None, b""
    name, key = str(algorithm["name"]), bytes.fromhex(algorithm["key"])
    bits = int(algorithm.get("icv_bits") or 0) or _DEFAULT_ICV_BITS.get(name, 0)
    for record in INTEGRITIES:
        if record.names.xfrm == name and bits in (0, record.icv_bits):
            return record, key
    raise UnusableSa(f"SA 0x{int(sa['spi']):08x} has an unknown integrity, {name} with {bits} bits")
