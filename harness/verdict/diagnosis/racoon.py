# SPDX-License-Identifier: GPL-2.0-or-later
"""A racoon.conf read as wishes, and settings spelled in its statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

from harness.daemon.configuration import ConfigurationError
from harness.daemon.racoon.dialect import read_racoon
from harness.daemon.racoon.lexer import Token
from harness.daemon.racoon.remote import Remote, read_remote
from harness.daemon.racoon.sainfo import SaInfo, read_sainfo
from harness.daemon.racoon.syntax import Statement, statements
from harness.ike.transforms import ENCRYPTIONS, INTEGRITIES, KEY_EXCHANGES, PRFS
from harness.verdict.diagnosis.alternatives import Alternative, Aspect, SaKind
from harness.verdict.diagnosis.engine import wishes_v1
from harness.verdict.diagnosis.wishes import Place, Setting, Spelled, Value, Wishes

_USUAL_BITS = 128
"""The length of a key where none is written."""
_PHASE_1: Mapping[Aspect, str] = MappingProxyType(
    {
        Aspect.ENCRYPTION: "encryption_algorithm",
        Aspect.HASH: "hash_algorithm",
        Aspect.GROUP: "dh_group",
    }
)
_PHASE_2: Mapping[Aspect, str] = MappingProxyType(
    {
        Aspect.ENCRYPTION: "encryption_algorithm",
        Aspect.INTEGRITY: "authentication_algorithm",
        Aspect.PFS: "pfs_group",
    }
)
_LISTS = frozenset({Aspect.ENCRYPTION, Aspect.INTEGRITY})
"""What a `sainfo` may have several of, with commas between them."""
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **{one.name: one.names.racoon for one in INTEGRITIES if one.names.racoon},
        **{one.name: one.names.racoon for one in PRFS if one.names.racoon},
        **{one.name: one.names.racoon for one in KEY_EXCHANGES if one.names.racoon},
    }
)
"""What racoon calls each algorithm that it has and that is no cipher."""
_METHODS: Mapping[str, str] = MappingProxyType({"psk": "pre_shared_key", "pubkey": "rsasig"})
_HIDDEN = frozenset({Setting.SECRET, Setting.CERTIFICATE, Setting.AUTHORITY})


@dataclass(frozen=True, slots=True)
class RacoonWords:
    """Spells settings of one `remote` and one `sainfo` of a file."""

    file: str
    remote: Statement
    sainfo: Statement | None

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        if setting is Setting.IKE_PROPOSALS:
            return tuple(self._phase_1(wishes, value))
        if setting is Setting.CHILD_PROPOSALS:
            return tuple(self._phase_2(wishes, value))
        if setting in (Setting.LOCAL_SUBNETS, Setting.REMOTE_SUBNETS):
            return self._ends(wishes, setting, value)
        found = _statement(setting, value)
        if found is None:
            return ()
        within = self._within(setting)
        return (self._spelled(within, *found),) if within is not None else ()

    def _within(self, setting: Setting) -> Statement | None:
        """The block that a statement belongs into."""
        if setting is Setting.CHILD_LIFETIME:
            return self.sainfo
        proposal = _inner(self.remote, "proposal")
        in_proposal = setting is Setting.METHOD or (
            setting is Setting.IKE_LIFETIME and proposal and _inner(proposal, "lifetime")
        )
        return proposal if in_proposal else self.remote

    def _phase_1(self, wishes: Wishes, value: Value) -> Iterator[Spelled]:
        proposal = _inner(self.remote, "proposal") or self.remote
        for aspect, name in _new(wishes.alternatives(SaKind.ISAKMP_SA), value, _PHASE_1):
            word = _word(name)
            if word:
                yield self._spelled(proposal, _PHASE_1[aspect], word)

    def _phase_2(self, wishes: Wishes, value: Value) -> Iterator[Spelled]:
        if self.sainfo is None:
            return
        for aspect, name in _new(wishes.alternatives(SaKind.IPSEC_SA), value, _PHASE_2):
            word, statement = _word(name), _PHASE_2[aspect]
            there = _inner(self.sainfo, statement)
            if word and there is not None and aspect in _LISTS:
                word = f"{_shown(there.words[1:])}, {word}"
            if word:
                yield self._spelled(self.sainfo, statement, word)

    def _ends(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        ends = {
            Setting.LOCAL_SUBNETS: wishes.local_subnets,
            Setting.REMOTE_SUBNETS: wishes.remote_subnets,
            setting: value if isinstance(value, tuple) else (),
        }
        local, remote = ends[Setting.LOCAL_SUBNETS], ends[Setting.REMOTE_SUBNETS]
        if self.sainfo is None or len(local) != 1 or len(remote) != 1:
            return ()
        text = f"sainfo address {local[0]} any address {remote[0]} any"
        return (Spelled(text, _shown(self.sainfo.words), self._where(self.sainfo)),)

    def _spelled(self, within: Statement, name: str, value: str) -> Spelled:
        there = _inner(within, name)
        text = f"{name} {value};"
        if there is None:
            return Spelled(text, "", f"in {_shown(within.words)} of {self.file}")
        return Spelled(text, f"{_shown(there.words)};", self._where(there))

    def _where(self, statement: Statement) -> str:
        return f"{self.file} line {statement.head.line}"

    def places(self) -> dict[Setting, Place]:
        """Where each setting stands that has a statement of its own."""
        found = {}
        for setting in Setting:
            named = _statement(setting, "")
            within = self._within(setting)
            there = _inner(within, named[0]) if named and within else None
            if there is not None and setting not in _HIDDEN:
                found[setting] = Place(f"{_shown(there.words)};", self._where(there))
        return found


def read_racoon_file(text: str, node: str, file: str, root: Path) -> tuple[Wishes, ...]:
    """The wishes of each `sainfo` for each `remote`; nothing where ikelabd refuses the file.

    `root` is the folder in which the files that it names are, by their absolute path.
    """
    try:
        configuration = read_racoon(text, file, root=root)
    except ConfigurationError:
        return ()
    parts = statements(text)
    remotes = {remote.name: part for part in parts if (remote := _remote(part))}
    sainfos = {sainfo.name: part for part in parts if (sainfo := _sainfo(part))}
    found = []
    for connection in configuration.v1:
        for child in connection.children or (None,):
            about = sainfos[child.name] if child else None
            spelling = RacoonWords(Path(file).name, remotes[connection.name], about)
            found.append(wishes_v1(connection, node, spelling, spelling.places(), child))
    return tuple(found)


def _remote(statement: Statement) -> Remote | None:
    return read_remote(statement, []) if statement.name == "remote" else None


def _sainfo(statement: Statement) -> SaInfo | None:
    return read_sainfo(statement, []) if statement.name == "sainfo" else None


def _inner(statement: Statement, name: str) -> Statement | None:
    return next((one for one in statement.block or () if one.name == name), None)


def _shown(words: Iterable[Token]) -> str:
    """Words as they stand, in one line."""
    return " ".join(str(word) for word in words).replace(" ,", ",")


def _new(
    before: Iterable[Alternative], value: Value, statements: Mapping[Aspect, str]
) -> Iterator[tuple[Aspect, str]]:
    """The algorithms that alternatives have and those before have not."""
    had = tuple(before)
    after = value if isinstance(value, tuple) else ()
    added = [one for one in after if isinstance(one, Alternative) and one not in had]
    for aspect in statements:
        known = {name for one in had for name in one[aspect]}
        names = (name for one in added for name in one[aspect] if name not in known)
        yield from ((aspect, name) for name in dict.fromkeys(names))


def _word(name: str) -> str:
    """What racoon calls an algorithm; empty for one that it does not have."""
    for cipher in ENCRYPTIONS:
        if cipher.name == name and cipher.names.racoon:
            several = [one for one in ENCRYPTIONS if one.names.racoon == cipher.names.racoon]
            usual = len(several) == 1 or cipher.key_bits == _USUAL_BITS
            return cipher.names.racoon if usual else f"{cipher.names.racoon} {cipher.key_bits}"
    return _WORDS.get(name, "")


def _statement(setting: Setting, value: Value) -> tuple[str, str] | None:
    """The statement for a setting, its name and what follows; None where there is none."""
    match setting:
        case Setting.LOCAL_IDENTITY:
            return "my_identifier", _identifier(str(value))
        case Setting.REMOTE_IDENTITY:
            return "peers_identifier", _identifier(str(value))
        case Setting.METHOD:
            return "authentication_method", _METHODS.get(str(value), str(value))
        case Setting.EXCHANGE:
            return "exchange_mode", str(value)
        case Setting.IKE_LIFETIME | Setting.CHILD_LIFETIME:
            return "lifetime", f"time {value} sec"
        case Setting.CERTIFICATE:
            return "certificate_type", f"x509 <{str(value).strip('<>')}> <its key>"
        case Setting.AUTHORITY:
            return "ca_type", f"x509 <{str(value).strip('<>')}>"
    return None


def _identifier(value: str) -> str:
    """An identity with its kind."""
    try:
        return f"address {ip_address(value)}"
    except ValueError:
        name = value.removeprefix("@")
    kind = "asn1dn" if "=" in name else "user_fqdn" if "@" in name else "fqdn"
    return f'{kind} "{name}"'
