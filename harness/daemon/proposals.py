# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals as the field writes them, ``aes128-sha256-x25519``: transforms joined by dashes.

Every algorithm is named; none stands for another that is not. A weak one is there only when it is
named.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.daemon.native.table import Unusable
from harness.ike.transforms import (
    ENCRYPTIONS,
    INTEGRITIES,
    KEY_EXCHANGES,
    PRFS,
    Dialect,
    Encryption,
    Integrity,
    KeyExchange,
    MacKind,
    Prf,
)
from harness.ike.v2.suites import ChildProposal, IkeProposal

Record = TypeVar("Record", Encryption, Integrity, Prf, KeyExchange)

_NAMES = Dialect.STRONGSWAN
_ESN = {"esn": True, "noesn": False}


@dataclass(frozen=True, slots=True)
class Transforms:
    """The algorithms of one proposal, each kind in its order."""

    encryptions: tuple[Encryption, ...]
    integrities: tuple[Integrity, ...]
    prfs: tuple[Prf, ...]
    groups: tuple[KeyExchange, ...]
    additional: tuple[tuple[KeyExchange, ...], ...]
    esn: tuple[bool, ...]


def ike_proposal(text: str) -> IkeProposal:
    """A proposal for an IKE SA; raises `Unusable`."""
    found = transforms_in(text)
    _needed(text, found.encryptions, "encryption, as in aes256-sha256-x25519")
    _needed(text, found.groups, "key exchange, as in aes256-sha256-x25519")
    combined = _combined(text, found)
    prfs = found.prfs or tuple(_prf_of(text, mac) for mac in found.integrities)
    _needed(text, prfs, "integrity or PRF, as in aes256-sha256-x25519")
    if found.esn:
        raise Unusable(f"{text!r} has sequence numbers, which are for the proposals of a child")
    macs = () if combined else found.integrities
    if not combined:
        _needed(text, macs, f"integrity beside {found.encryptions[0].names.of(_NAMES)}")
    return IkeProposal(found.encryptions, prfs, found.groups, macs, found.additional)


def child_proposal(text: str) -> ChildProposal:
    """A proposal for a CHILD_SA with ESP; raises `Unusable`."""
    found = transforms_in(text)
    _needed(text, found.encryptions, "encryption, as in aes256gcm16-x25519")
    if found.prfs:
        raise Unusable(f"{text!r} has a PRF, which is for the proposals of a connection")
    if not _combined(text, found):
        _needed(text, found.integrities, "integrity, as in aes256-sha256-x25519")
    elif found.integrities:
        raise Unusable(f"{text!r} has integrity beside an algorithm that has its own; leave it out")
    return ChildProposal(
        found.encryptions,
        found.integrities,
        found.groups,
        found.esn or (False,),
        found.additional,
    )


def transforms_in(text: str) -> Transforms:
    """The algorithms that a proposal names; raises `Unusable`."""
    encryptions: list[Encryption] = []
    integrities: list[Integrity] = []
    prfs: list[Prf] = []
    groups: list[KeyExchange] = []
    additional: dict[int, list[KeyExchange]] = {}
    esn: list[bool] = []
    for word in text.split("-"):
        number, method = _additional(word)
        if number:
            additional.setdefault(number, []).append(_group(method, text))
        elif (cipher := _named(ENCRYPTIONS, word)) is not None:
            encryptions.append(cipher)
        elif (mac := _named(INTEGRITIES, word)) is not None:
            integrities.append(mac)
        elif (prf := _named(PRFS, word)) is not None:
            prfs.append(prf)
        elif word in _ESN:
            esn.append(_ESN[word])
        else:
            groups.append(_group(word, text))
    if sorted(additional) != list(range(1, len(additional) + 1)):
        raise Unusable(f"{text!r} leaves out an additional key exchange: count from ke1_ on")
    return Transforms(
        tuple(encryptions),
        tuple(integrities),
        tuple(prfs),
        tuple(groups),
        tuple(tuple(additional[number]) for number in sorted(additional)),
        tuple(esn),
    )


def _named(records: Iterable[Record], word: str) -> Record | None:
    return next((one for one in records if one.names.of(_NAMES) == word), None)


def _group(word: str, text: str) -> KeyExchange:
    group = _named(KEY_EXCHANGES, word)
    if group is not None:
        return group
    names = [record.names for records in (ENCRYPTIONS, INTEGRITIES) for record in records]
    names += [record.names for record in PRFS] + [record.names for record in KEY_EXCHANGES]
    known = [name for each in names if (name := each.of(_NAMES)) is not None]
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise Unusable(f"{text!r} names an unknown algorithm, {word!r}{hint}")


def _additional(word: str) -> tuple[int, str]:
    """The number and the method of ``ke1_mlkem768`` (RFC 9370)."""
    head, line, method = word.partition("_")
    if line and head.startswith("ke") and head[2:] in "1234567" and len(head) == 3:
        return int(head[2:]), method
    return 0, ""


def _combined(text: str, found: Transforms) -> bool:
    kinds = {one.combined for one in found.encryptions}
    if len(kinds) > 1:
        raise Unusable(
            f"{text!r} mixes algorithms with and without integrity of their own; "
            "write two proposals"
        )
    return kinds == {True}


def _prf_of(text: str, mac: Integrity) -> Prf:
    """The PRF that goes by the same hash as an integrity algorithm."""
    for prf in PRFS:
        if (prf.kind, prf.hash) == (mac.kind, mac.hash) and mac.kind is not MacKind.NONE:
            return prf
    raise Unusable(f"{text!r} has no PRF; name one, such as prfsha256")


def _needed(text: str, found: Sequence[object], what: str) -> None:
    if not found:
        raise Unusable(f"{text!r} has no {what}")
