# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark as a second opinion: every field of every frame, and where it has none to give."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from harness.capture.decryption import Decryption
from harness.capture.entries import Entry, Ike, Ipsec, Status
from harness.capture.wireshark import write_profile
from harness.ike.constants_v1 import ExchangeType as ExchangeTypeV1
from harness.ike.constants_v2 import ExchangeType
from harness.ike.payload import first
from harness.ike.payloads_v1 import SecurityAssociation
from tests.capture.our_view import seen
from tests.capture.packets import pcapng_of
from tests.capture.tshark import ICMP, IN_PAYLOADS, Opinion, Row, opens_esp, opens_ike, tshark

INSIDE = tuple(IN_PAYLOADS)
SaId = tuple[bytes | None, bytes | None]


class NoOracle(StrEnum):
    """Why tshark has no opinion of some fields of a frame; docs/decrypting.md lists them."""

    ALGORITHM = "an algorithm of the table above"
    ESN = "ESP with extended sequence numbers"
    REPEATED = "IKEv1 that comes again, or a message id that does"
    FORGED = "IKEv1 behind a forged message of phase 1"
    EARLIER_KEYS = "IKE_INTERMEDIATE, before the keys change"
    PIECES = "fragments of IKEv2 in another order, or again"
    BAD_ICV = "IKE whose ICV or HASH does not match"
    MALFORMED = "IKE that is malformed, or of another version"


class Limits(NamedTuple):
    """IKE SAs of IKEv2 that tshark has no algorithm for, and those with several sets of keys.

    `anew` are the frames with which a Quick Mode begins under a message id that had one before,
    `behind` those that come after a message of phase 1 that is nobody's, `overtaken` those that
    come after one that was repeated later than its answer.
    """

    foreign: frozenset[SaId]
    changing: frozenset[SaId]
    anew: frozenset[int]
    behind: frozenset[int]
    overtaken: frozenset[int]


@dataclass
class Comparison:
    """Frames with IKE or IPsec that were compared, what differs, and what was left out and why."""

    compared: int = 0
    differing: list[str] = field(default_factory=list)
    left_out: Counter[NoOracle] = field(default_factory=Counter)


def assert_agreed(decryption: Decryption, capture: Path, profile: Path) -> int:
    """Write the profile, compare all with tshark, and return how many frames there were."""
    write_profile(profile, decryption.secrets)
    found = compare(decryption, capture, profile)
    assert found.differing == []
    return found.compared


def compare(decryption: Decryption, capture: Path, profile: Path) -> Comparison:
    """Compare every field of every frame with what tshark says with a profile that is there.

    Behind a translation each message is there twice, of which IKEv1's IVs in tshark make no
    sense: then it is given one wire at a time.
    """
    found = Comparison()
    limits = _limits(decryption)
    told = [entry for entry in decryption.entries if isinstance(entry.content, Ike | Ipsec)]
    wires = list(dict.fromkeys(entry.frame.wire for entry in told))
    if len(wires) <= 1:
        _compare(found, decryption.entries, tshark(capture, profile), limits)
        return found
    with tempfile.TemporaryDirectory() as folder:
        for wire in wires:
            entries = [entry for entry in decryption.entries if entry.frame.wire == wire]
            part = Path(folder) / "wire.pcapng"
            part.write_bytes(pcapng_of(entry.frame for entry in entries))
            _compare(found, entries, tshark(part, profile), limits)
    return found


def _limits(decryption: Decryption) -> Limits:
    secrets = decryption.secrets.ike_v2
    sets = Counter((one.spi_i, one.spi_r) for one in secrets)
    foreign = frozenset((one.spi_i, one.spi_r) for one in secrets if not opens_ike(one))
    changing = frozenset(sa for sa, count in sets.items() if count > 1)
    anew, behind, overtaken = (
        frozenset(found(decryption)) for found in (_begun_anew, _behind_forged, _overtaken)
    )
    return Limits(foreign, changing, anew, behind, overtaken)


def _begun_anew(decryption: Decryption) -> Iterator[int]:
    begun = set()
    for entry in decryption.ike:
        content = entry.content
        if isinstance(content, Ike) and not content.repeats and _begins_quick_mode(content):
            head = content.header
            exchange = (entry.sender, head.initiator_spi, head.message_id)
            if exchange in begun:
                yield entry.number
            begun.add(exchange)


def _behind_forged(decryption: Decryption) -> Iterator[int]:
    forged = set()
    for entry in decryption.ike:
        content = entry.content
        if not isinstance(content, Ike) or content.message is None or not content.message.encrypted:
            continue
        head = content.header
        if head.initiator_spi in forged:
            yield entry.number
        if not head.message_id and content.status is Status.BAD_ICV and not content.payloads:
            forged.add(head.initiator_spi)


def _overtaken(decryption: Decryption) -> Iterator[int]:
    newest: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    for entry in decryption.ike:
        content = entry.content
        if not isinstance(content, Ike) or content.message is None or not content.message.encrypted:
            continue
        sa = content.header.initiator_spi
        if not content.header.message_id and not content.elsewhere:
            last[sa] = content.repeats or entry.number
            newest[sa] = max(last[sa], newest.get(sa, 0))
        elif last.get(sa) != newest.get(sa):
            yield entry.number


def _begins_quick_mode(content: Ike) -> bool:
    is_quick = content.header.exchange_type == ExchangeTypeV1.QUICK_MODE
    return is_quick and first(content.payloads, SecurityAssociation) is not None


def _compare(found: Comparison, entries: Sequence[Entry], opinion: Opinion, limits: Limits) -> None:
    assert len(opinion.rows) == len(entries)
    for entry, row in zip(entries, opinion.rows, strict=True):
        if isinstance(entry.content, Ike | Ipsec):
            found.compared += 1
            found.differing += _differing(entry, row, _silent(found, entry, opinion, limits))
        elif not row[ICMP] and (row["spis"] or row["ESP SPI"] or row["AH SPI"]):
            found.differing.append(f"frame {entry.number}: tshark has IKE or IPsec, and we none")


def _differing(entry: Entry, row: Row, silent: Sequence[str]) -> Iterator[str]:
    ours = seen(entry)
    for what, value in ours.items():
        if what not in silent and row[what] != value:
            yield f"frame {entry.number}, {what}: tshark has {row[what]}, we have {value}"


def _silent(found: Comparison, entry: Entry, opinion: Opinion, limits: Limits) -> tuple[str, ...]:
    """The fields that tshark has no opinion of; noted."""
    for reason, fields in _reasons(entry.content, opinion, limits):
        found.left_out[reason] += 1
        return fields
    return ()


def _reasons(
    content: object, opinion: Opinion, limits: Limits
) -> Iterator[tuple[NoOracle, tuple[str, ...]]]:
    match content:
        case Ipsec(status=Status.DECRYPTED, protocol="ESP", secret=secret):
            if not opens_esp(secret):
                yield NoOracle.ALGORITHM, ()
            elif secret is not None and secret.esn and not opinion.knows_esn:
                yield NoOracle.ESN, ("ICV good",)
        case Ike(status=Status.MALFORMED):
            # It goes on reading at the next best place, and names no exchange of another version.
            yield NoOracle.MALFORMED, ("exchange", *INSIDE)
        case Ike(message=message) if message is not None and message.encrypted:
            # It takes the IV from the message before, which for a repeated one is that one itself.
            number = content.frames[0]
            if (content.repeats and not content.elsewhere) or number in limits.anew:
                yield NoOracle.REPEATED, INSIDE
            elif number in limits.overtaken:
                # The IV of what follows phase 1 is of the last message of phase 1 that was sent.
                yield NoOracle.REPEATED, INSIDE
            elif number in limits.behind:
                # And that one it has for the IV of what follows.
                yield NoOracle.FORGED, INSIDE
            elif content.status is Status.BAD_ICV and not content.payloads:
                yield NoOracle.BAD_ICV, INSIDE
        case Ike(message=message, header=head) if message is not None and message.sealed:
            sa = (head.initiator_spi, head.responder_spi)
            if sa in limits.foreign:
                yield NoOracle.ALGORITHM, ("ICV of IKEv2 wrong", *INSIDE)
            elif sa in limits.changing and head.exchange_type == ExchangeType.IKE_INTERMEDIATE:
                # It has room for one set of keys, and the last one opens all that follows.
                yield NoOracle.EARLIER_KEYS, ("ICV of IKEv2 wrong", *INSIDE)
            elif content.status is Status.BAD_ICV:
                # It shows what comes out all the same.
                yield NoOracle.BAD_ICV, INSIDE
            elif content.readable and content.fragment and _by_itself(content):
                yield NoOracle.PIECES, INSIDE


def _by_itself(content: Ike) -> bool:
    """Whether a fragment with which the message was whole came out of its turn."""
    assert content.fragment is not None
    return bool(content.repeats) or content.fragment[0] != content.fragment[1]
