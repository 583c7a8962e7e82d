# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration language of racoon: ``remote`` and ``sainfo`` with what phases 1 and 2 may be.

A `remote` is a connection, a `sainfo` a child of it. Which traffic is protected and in which mode
racoon learns from the kernel's policies; ikelabd takes it from `sainfo address … address …`.
docs/dialects.md says what that means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.daemon.complaints import Complaint, refusal
from harness.daemon.configuration import DaemonConfiguration, Startup
from harness.daemon.racoon import values as v
from harness.daemon.racoon.block import Directive, read_block, table_of
from harness.daemon.racoon.files import Files, LoadKey, below
from harness.daemon.racoon.lexer import Misplaced, Token
from harness.daemon.racoon.remote import Remote, read_remote
from harness.daemon.racoon.sainfo import SaInfo, read_sainfo
from harness.daemon.racoon.syntax import Arguments, Statement, statements
from harness.ike.certificates import load_private_key
from harness.ike.retransmission import Retransmission
from harness.ike.v1.configuration import USUAL_RETRANSMISSION, Connection


def _listening(arguments: Arguments) -> str:
    token = arguments.take("an address")
    at = arguments.here
    if v.port(arguments) not in (None, 500):
        raise Misplaced(at, "ikelabd listens on ports 500 and 4500; remove the port")
    return v.address(token)


ISAKMP = Directive("isakmp", _listening, many=True)
COUNTER = Directive("counter", v.number(1, 100))
INTERVAL = Directive("interval", v.seconds)

_LISTEN = table_of(ISAKMP, Directive("strict_address", lambda arguments: None))
_TIMER = table_of(COUNTER, INTERVAL)
_PATHS = ("include", "certificate", "pre_shared_key", "backupsa")
_REFUSED = {
    "padding": "ikelabd pads as racoon does without this; remove it",
    "log": "ikelabd logs everything; remove this",
    "include": "ikelabd reads one file; write the statements of the other one here",
    "mode_cfg": "ikelabd has no Mode Config for IKEv1; remove this",
    "ldapcfg": "ikelabd has no XAUTH; remove this",
    "radiuscfg": "ikelabd has no XAUTH; remove this",
    "privsep": "ikelabd has no privilege separation; remove this",
    "gssenc": "ikelabd has no GSSAPI; remove this",
}
_KNOWN = ("path", "listen", "timer", "remote", "sainfo")


@dataclass(slots=True)
class _Reading:
    """What was found so far."""

    folder: Path
    load_key: LoadKey
    root: Path
    complaints: list[Complaint] = field(default_factory=list)
    paths: dict[str, Token] = field(default_factory=dict)
    listen: list[str] = field(default_factory=list)
    repeat: Retransmission = USUAL_RETRANSMISSION
    remotes: list[Remote] = field(default_factory=list)
    sainfos: list[SaInfo] = field(default_factory=list)

    def take(self, statement: Statement) -> None:
        """Read one statement of the file; raises `Misplaced`."""
        match statement.name:
            case "path":
                self._take_path(statement)
            case "listen" | "timer":
                self._take_daemon(statement)
            case "remote":
                remote = read_remote(statement, self.complaints)
                if remote is not None:
                    self.remotes.append(remote)
            case "sainfo":
                sainfo = read_sainfo(statement, self.complaints)
                if sainfo is not None:
                    self.sainfos.append(sainfo)
            case name:
                known = f"there is no such statement; there is {', '.join(_KNOWN)}"
                raise Misplaced(statement.head, _REFUSED.get(name, known))

    def files(self) -> Files:
        """Where the files of the configuration are."""
        certificates = self.paths.get("certificate")
        folder = self.folder
        if certificates:
            folder = below(self.root, folder, certificates.text)
        return Files(folder, self.paths.get("pre_shared_key"), self.load_key, self.root)

    def _take_path(self, statement: Statement) -> None:
        arguments = statement.arguments()
        kind = arguments.take("a kind of path")
        if kind.text not in _PATHS:
            raise Misplaced(kind, f"a kind of path is one of {', '.join(_PATHS)}")
        if kind.text in self.paths:
            raise Misplaced(kind, f"line {self.paths[kind.text].line} sets this already; keep one")
        self.paths[kind.text] = arguments.take("a path")
        arguments.finish()

    def _take_daemon(self, statement: Statement) -> None:
        statement.arguments().finish()
        if statement.block is None:
            raise Misplaced(statement.end, "a block in braces is expected here")
        table = _LISTEN if statement.name == "listen" else _TIMER
        block = read_block(statement.head, statement.block, table, {}, self.complaints)
        self.listen += block.values(ISAKMP)
        default = self.repeat
        self.repeat = Retransmission(
            float(block.value(INTERVAL, int(default.first))),
            default.factor,
            block.value(COUNTER, default.tries),
        )


def read_racoon(
    text: str, file: str, load_key: LoadKey = load_private_key, root: Path = Path("/")
) -> DaemonConfiguration:
    """What a racoon.conf says; raises `ConfigurationError` that names every wrong place.

    Files that it names are read: relative to the folder of `path certificate`, and that to the
    folder of `file`; an absolute path is one below `root`. A child whose two ends are known waits
    for its traffic, as racoon does; one with an anonymous end answers only.
    """
    reading = _Reading(below(root, Path(), file).parent, load_key, root)
    try:
        for statement in statements(text):
            try:
                reading.take(statement)
            except Misplaced as wrong:
                reading.complaints.append(wrong.complaint)
    except Misplaced as wrong:
        reading.complaints.append(wrong.complaint)
    connections = [] if reading.complaints else _connections(reading)
    if reading.complaints:
        raise refusal(file, reading.complaints)
    return DaemonConfiguration(
        v1=tuple(connections),
        startup={child.name: _startup(one) for one in connections for child in one.children},
        listen=tuple(dict.fromkeys(reading.listen)),
    )


def _connections(reading: _Reading) -> list[Connection]:
    found = []
    files = reading.files()
    for kind, parts in (("remote", reading.remotes), ("sainfo", reading.sainfos)):
        if not parts:
            reading.complaints.append(Complaint(1, kind, "there is none; add one"))
    _check_names(reading)
    for remote in reading.remotes:
        sainfos = _sainfos(remote, reading)
        try:
            local = _own_address(remote, sainfos, reading.listen)
            children = [one.child(local, remote.address, remote.check) for one in sainfos]
            found.append(remote.connection(local, files, reading.repeat, children))
        except Misplaced as wrong:
            reading.complaints.append(wrong.complaint)
    return found


def _check_names(reading: _Reading) -> None:
    """Nothing may be there twice, and a network is protected to one remote only."""
    for parts in (reading.remotes, reading.sainfos):
        seen: set[str] = set()
        for part in parts:
            if part.name in seen:
                head = part.head if isinstance(part, Remote) else part.block.head
                reading.complaints.append(
                    Complaint(head.line, str(head), f"{part.name} is there already; keep one")
                )
            seen.add(part.name)
    if len(reading.remotes) > 1:
        named = {remote.address for remote in reading.remotes}
        for sainfo in reading.sainfos:
            if sainfo.hosts is None or sainfo.hosts[1] not in named:
                sainfo.block.complain(
                    sainfo.block.head,
                    "with several remotes ikelabd cannot tell whose this is;"
                    " write the addresses of the ends, or have one remote in a file",
                )


def _sainfos(remote: Remote, reading: _Reading) -> list[SaInfo]:
    if len(reading.remotes) == 1:
        return reading.sainfos
    return [one for one in reading.sainfos if one.hosts and one.hosts[1] == remote.address]


def _own_address(remote: Remote, sainfos: Sequence[SaInfo], listen: Sequence[str]) -> str | None:
    """The address to speak from: what is listened on, or the own end of a child."""
    hosts = (one.hosts for one in sainfos)
    ends = (one[0] for one in hosts if one and one[1] == remote.address)
    for candidate in (*listen, *ends):
        if remote.address is None or (":" in candidate) == (":" in remote.address):
            return candidate
    return None


def _startup(connection: Connection) -> Startup:
    if connection.responder_only or connection.remote is None:
        return "none"
    return "route" if connection.local.host not in ("0.0.0.0", "::") else "none"
