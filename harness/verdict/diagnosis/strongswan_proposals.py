# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals as strongSwan writes them, `aes256-sha256-modp1536`, read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

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
    UnknownAlgorithm,
    encryption_named,
    integrity,
    integrity_named,
    key_exchange_named,
    prf_named,
)
from harness.verdict.diagnosis.alternatives import (
    ADDITIONAL,
    ANY,
    EXTENDED,
    NONE,
    NOT_EXTENDED,
    Alternative,
    Aspect,
    SaKind,
)

Record = TypeVar("Record")

_SWAN = Dialect.STRONGSWAN
_NO_GROUP = ("modpnone", "none")
_MACS = {MacKind.XCBC: "AES128_XCBC", MacKind.CMAC: "AES128_CMAC"}


class UnknownProposal(ValueError):
    """A word in a proposal that is no algorithm; the text says which."""


class _Words:
    """What the words of one proposal stand for."""

    def __init__(self, text: str) -> None:
        self.ciphers: list[Encryption] = []
        self.macs: list[Integrity] = []
        self.prfs: list[Prf] = []
        self.groups: list[str] = []
        self.additional: dict[int, list[str]] = {}
        self.numbers: list[str] = []
        for word in text.strip().rstrip("!").lower().split("-"):
            self._take(word, text)

    def _take(self, word: str, text: str) -> None:
        if word in ("esn", "noesn"):
            self.numbers.append(EXTENDED if word == "esn" else NOT_EXTENDED)
        elif word in _NO_GROUP:
            self.groups.append(NONE)
        elif word[:2] == "ke" and word[2:3].isdigit() and word[3:4] == "_":
            name = NONE if word[4:] == "none" else _found(word[4:], text, key_exchange_named).name
            self.additional.setdefault(int(word[2]), []).append(name)
        elif word.startswith("prf"):
            self.prfs.append(_found(word, text, prf_named))
        elif word == "aes":
            self.ciphers.append(encryption_named(_SWAN, "aes128"))
        else:
            record = _any_record(word, text)
            match record:
                case Encryption():
                    self.ciphers.append(record)
                case Integrity():
                    self.macs.append(record)
                case KeyExchange():
                    self.groups.append(record.name)


def read_proposal(text: str, kind: SaKind) -> Alternative:
    """What a proposal stands for when it is for such an SA; raises `UnknownProposal`.

    As strongSwan does, a PRF that is not named is that of the integrity algorithm, which beside a
    combined encryption is nothing else than that.
    """
    words = _Words(text)
    combined = bool(words.ciphers) and all(one.combined for one in words.ciphers)
    prfs = [one.name for one in words.prfs] or [_prf_of(one) for one in words.macs]
    macs = [] if combined else [one.name for one in words.macs]
    choices: dict[Aspect, Iterable[str]] = {
        Aspect.ENCRYPTION: [one.name for one in words.ciphers],
    }
    match kind:
        case SaKind.ISAKMP_SA:
            choices |= {Aspect.HASH: prfs, Aspect.GROUP: words.groups}
        case SaKind.IKE_SA:
            choices |= {Aspect.INTEGRITY: macs, Aspect.PRF: prfs, Aspect.GROUP: words.groups}
            choices |= _additional(words)
        case _:
            protocol = "ESP" if words.ciphers else "AH"
            choices |= {Aspect.PROTOCOL: [protocol], Aspect.INTEGRITY: macs}
            if kind is not SaKind.CHILD_SA:
                choices[Aspect.PFS] = words.groups
            if kind is SaKind.LATER_CHILD_SA:
                choices |= _additional(words)
            if kind is not SaKind.IPSEC_SA:
                choices[Aspect.SEQUENCE_NUMBERS] = words.numbers or [NOT_EXTENDED]
    return Alternative.of(choices)


def write_proposal(alternative: Alternative) -> str | None:
    """The proposal that stands for an alternative, or None where strongSwan has no name for it."""
    try:
        return "-".join(_written(alternative))
    except (UnknownAlgorithm, LookupError):
        return None


def _written(alternative: Alternative) -> Iterable[str]:
    for name in _some(alternative, Aspect.ENCRYPTION):
        yield _name(ENCRYPTIONS, name)
    macs = _some(alternative, Aspect.INTEGRITY)
    for name in macs:
        yield _name(INTEGRITIES, name)
    for name in _some(alternative, Aspect.HASH):
        yield _name(PRFS, name).removeprefix("prf")
    prfs = _some(alternative, Aspect.PRF)
    if prfs != tuple(_prf_of(integrity(name)) for name in macs):
        for name in prfs:
            yield _name(PRFS, name)
    for aspect in (Aspect.GROUP, Aspect.PFS):
        for name in _some(alternative, aspect):
            yield _name(KEY_EXCHANGES, name)
    for number, aspect in enumerate(ADDITIONAL, 1):
        if aspect not in alternative:
            continue
        for name in alternative[aspect]:
            yield f"ke{number}_{'none' if name == NONE else _name(KEY_EXCHANGES, name)}"
    if EXTENDED in alternative[Aspect.SEQUENCE_NUMBERS]:
        yield "esn"
        if NOT_EXTENDED in alternative[Aspect.SEQUENCE_NUMBERS]:
            yield "noesn"


def _some(alternative: Alternative, aspect: Aspect) -> tuple[str, ...]:
    return tuple(name for name in alternative[aspect] if name not in (NONE, ANY))


def _name(records: Iterable[Encryption | Integrity | Prf | KeyExchange], name: str) -> str:
    for record in records:
        if record.name == name and record.names.strongswan is not None:
            return record.names.strongswan
    raise UnknownAlgorithm(f"strongSwan has no name for {name}")


def _prf_of(mac: Integrity) -> str:
    """The PRF that goes with an integrity algorithm where none is named."""
    if mac.kind in _MACS:
        return _MACS[mac.kind]
    return next((one.name for one in PRFS if one.hash == mac.hash and one.kind is mac.kind), NONE)


def _additional(words: _Words) -> dict[Aspect, Iterable[str]]:
    return {
        ADDITIONAL[number - 1]: names
        for number, names in words.additional.items()
        if number in range(1, 8)
    }


Find = Callable[[Dialect, str], Record]


def _found(word: str, text: str, find: Find[Record]) -> Record:
    try:
        return find(_SWAN, word)
    except UnknownAlgorithm:
        raise UnknownProposal(f"{text!r}: {word!r} is no algorithm of strongSwan's") from None


def _any_record(word: str, text: str) -> Encryption | Integrity | KeyExchange:
    finders: tuple[Find[Encryption | Integrity | KeyExchange], ...] = (
        encryption_named,
        integrity_named,
        key_exchange_named,
    )
    for find in finders:
        try:
            return find(_SWAN, word)
        except UnknownAlgorithm:
            continue
    raise UnknownProposal(f"{text!r}: {word!r} is no algorithm of strongSwan's")
