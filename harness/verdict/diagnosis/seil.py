# SPDX-License-Identifier: GPL-2.0-or-later
"""A SEIL's configuration read as wishes, and settings spelled in its `key : value` lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from harness.daemon.configuration import ConfigurationError
from harness.daemon.seil import keys
from harness.daemon.seil.dialect import read_seil
from harness.daemon.seil.lines import Setting as Line
from harness.daemon.seil.lines import read_lines
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, KEY_EXCHANGES, PRFS
from harness.verdict.diagnosis.alternatives import NONE, Alternative, Aspect, SaKind
from harness.verdict.diagnosis.engine import wishes_v1
from harness.verdict.diagnosis.wishes import Place, Setting, Spelled, Value, Wishes

Key = keys.Key[object]

_LISTS: Mapping[Setting, Mapping[Aspect, Key]] = {
    Setting.IKE_PROPOSALS: {
        Aspect.ENCRYPTION: keys.PHASE1_ENCRYPTION,
        Aspect.HASH: keys.PHASE1_HASH,
        Aspect.GROUP: keys.PHASE1_GROUP,
    },
    Setting.CHILD_PROPOSALS: {
        Aspect.ENCRYPTION: keys.PHASE2_ENCRYPTION,
        Aspect.INTEGRITY: keys.PHASE2_AUTHENTICATION,
        Aspect.PFS: keys.PHASE2_GROUP,
    },
}
_KINDS = {
    Setting.IKE_PROPOSALS: SaKind.ISAKMP_SA,
    Setting.CHILD_PROPOSALS: SaKind.IPSEC_SA,
}
_WORDS: Mapping[str, str] = {
    **{one.name: one.names.seil for one in ENCRYPTIONS if one.names.seil},
    **{one.name: one.names.seil for one in INTEGRITIES if one.names.seil},
    **{one.name: one.names.seil for one in PRFS if one.names.seil},
    **{one.name: one.names.seil for one in KEY_EXCHANGES if one.names.seil},
}
"""What a SEIL calls each algorithm that it has."""
_IDENTIFIERS: Mapping[Setting, keys.IdentifierKeys] = {
    Setting.LOCAL_IDENTITY: keys.MY_IDENTIFIER,
    Setting.REMOTE_IDENTITY: keys.PEERS_IDENTIFIER,
}
_KEYS: Mapping[Setting, Key] = {
    Setting.LOCAL_SUBNETS: keys.PROXY_LOCAL,
    Setting.REMOTE_SUBNETS: keys.PROXY_REMOTE,
    Setting.PEER_ADDRESS: keys.DESTINATION,
    Setting.SECRET: keys.PRESHARED_KEY,
    Setting.EXCHANGE: keys.EXCHANGE_MODE,
    Setting.IKE_LIFETIME: keys.PHASE1_LIFETIME,
    Setting.CHILD_LIFETIME: keys.PHASE2_SECONDS,
}


@dataclass(frozen=True, slots=True)
class SeilLines:
    """Spells settings of one interface; `lines` are those of the file, by key."""

    interface: str
    file: str
    lines: Mapping[str, Line] = field(default_factory=dict, repr=False)

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        if setting in _LISTS:
            return tuple(self._proposals(wishes, setting, value))
        if setting in _IDENTIFIERS:
            return tuple(self._identifier(_IDENTIFIERS[setting], str(value)))
        key = _KEYS.get(setting)
        text = _text(setting, value)
        if key is None or not text:
            return ()
        return (self._spelled(key.at(self.interface), text),)

    def _identifier(self, which: keys.IdentifierKeys, value: str) -> Iterator[Spelled]:
        """One line, unless the file has the type of the identity and its value in two."""
        kind = self.lines.get(which.type.at(self.interface))
        if kind is None:
            yield self._spelled(which.bare.at(self.interface), value)
            return
        name = _kind_of(value)
        if name != kind.text:
            yield self._spelled(kind.key, name)
        typed: Mapping[str, Key] = {
            "address": which.address,
            "fqdn": which.fqdn,
            "user-fqdn": which.user_fqdn,
        }
        former = typed[kind.text].at(self.interface)
        key = typed[name].at(self.interface)
        line = self.lines.get(former)
        if line is None or former == key:
            yield self._spelled(key, value)
        else:
            where = f"{self.file} line {line.line}"
            yield Spelled(f"{key} : {value}", f"{former} : {line.text}", where)

    def _proposals(self, wishes: Wishes, setting: Setting, value: Value) -> Iterator[Spelled]:
        """A SEIL multiplies its lists: what is new in one of them is a line more."""
        before = wishes.alternatives(_KINDS[setting])
        after = [one for one in _alternatives(value) if one not in before]
        for aspect, key in _LISTS[setting].items():
            had = {name for one in before for name in one[aspect]}
            new = dict.fromkeys(name for one in after for name in one[aspect] if name not in had)
            for name in new:
                word = _word(name)
                if word:
                    yield self._listed(key, word)

    def _listed(self, key: Key, word: str) -> Spelled:
        if "[]" not in key.at(self.interface):
            return self._spelled(key.at(self.interface), word)
        stem, _, rest = key.at(self.interface).partition("[]")
        taken = [
            int(one.removeprefix(stem).partition(".")[0])
            for one in self.lines
            if one.startswith(stem)
        ]
        return self._spelled(f"{stem}{max(taken, default=-1) + 1}{rest}", word)

    def _spelled(self, key: str, value: str) -> Spelled:
        line = self.lines.get(key)
        text = f"{key} : {value}"
        if line is None:
            return Spelled(text, "", self.file)
        shown = "<its secret>" if line.shape == keys.PRESHARED_KEY.shape else line.text
        return Spelled(text, f"{key} : {shown}", f"{self.file} line {line.line}")


def _alternatives(value: Value) -> Iterable[Alternative]:
    return (
        (one for one in value if isinstance(one, Alternative)) if isinstance(value, tuple) else ()
    )


def _text(setting: Setting, value: Value) -> str:
    if setting in (Setting.LOCAL_SUBNETS, Setting.REMOTE_SUBNETS):
        return str(value[0]) if isinstance(value, tuple) and len(value) == 1 else ""
    return f"<{value}>" if setting is Setting.SECRET else str(value)


def _kind_of(identity: str) -> str:
    """The type that an identity has for a SEIL."""
    try:
        ip_address(identity)
    except ValueError:
        return "user-fqdn" if "@" in identity.lstrip("@") else "fqdn"
    return "address"


def _word(name: str) -> str:
    """What a SEIL calls an algorithm; empty for one that it does not have."""
    if name == NONE:
        return "none"
    return _WORDS.get(name, "")


def read_seil_file(text: str, node: str, file: str) -> tuple[Wishes, ...]:
    """The wishes of each tunnel of a SEIL's configuration; nothing where it is refused."""
    try:
        configuration = read_seil(text, file)
    except ConfigurationError:
        return ()
    lines = read_lines(text).settings
    found = []
    for connection in configuration.v1:
        spelling = SeilLines(connection.name, file, lines)
        found.append(wishes_v1(connection, node, spelling, _places(spelling)))
    return tuple(found)


def _places(spelling: SeilLines) -> dict[Setting, Place]:
    listed = {
        setting: spelling.lines.get(key.at(spelling.interface)) for setting, key in _KEYS.items()
    }
    return {
        setting: Place(f"{line.key} : {line.text}", f"{spelling.file} line {line.line}")
        for setting, line in listed.items()
        if line is not None and setting is not Setting.SECRET
    }
