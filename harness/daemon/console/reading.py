# SPDX-License-Identifier: GPL-2.0-or-later
"""What a router's console printed, as values again: the ends of `console_text`.

A line in no known form raises `Unreadable`: a driver must not take what it cannot read for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from harness.daemon.console import text as form
from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy

_ISAKMP = re.compile(
    r"(?P<local>\S+)\.(?P<local_port>\d+)\s+(?P<remote>\S+)\.(?P<remote_port>\d+)\s+"
    r"(?P<i>[0-9a-f]{16}):(?P<r>[0-9a-f]{16})\s+(?P<state>\d+)\s+(?P<side>[IR])\s+\S+\s+"
    r"(?P<mode>[A-Z])\s+(?P<created>[\d-]+ [\d:]+)?\s+(?P<children>\d+)\s*"
)
_ENDS = re.compile(r"([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+)\s*")
_SA = re.compile(r"\s+esp mode=(\w+) spi=(\d+)\(0x[0-9a-f]+\) reqid=(\d+)\(0x[0-9a-f]+\)\s*")
_ALGORITHM = re.compile(r"\s+([EA]): (\S+).*")
_STATE = re.compile(r"\s+(?:\S+ )*state=(\w+)\s*")
_CREATED = re.compile(r"\s+created: (\w+ +\d+ [\d:]+ \d+)\s+current: .*")
_TIMES = re.compile(r"\s+diff: (\d+)\(s\)\s+hard: (\d+)\(s\)\s+soft: (\d+)\(s\)\s*")
_OCTETS = re.compile(r"\s+current: (\d+)\(bytes\).*")
_IGNORED = re.compile(r"\s+(?:last: |allocated: |sadb_seq=|spid=|created: |lifetime: |refcnt=).*")
_SELECTORS = re.compile(r"(\S+)\[any\] (\S+)\[any\] (?:any|ip4|ip6)\s*")
_DIRECTION = re.compile(r"\s+(in|out) (?:prio \S+ )?ipsec\s*")
_RULE = re.compile(r"\s+esp/(transport|tunnel)/(\S*)/(?:unique|require|use)[:#]?(\d*)\s*")
_INTERFACE = re.compile(r"(\w+): flags=[0-9a-f]*<([A-Z,]*)>.*")
_TUNNEL = re.compile(r"\s+tunnel inet6? (\S+) --> (\S+)\s*")
_ADDRESS = re.compile(r"\s+inet6? (\S+).*")
_LOG = re.compile(r"\s*(\d+) (\w{3} +\d+ [\d:]+)\s+(\w+)\s+ike racoon\[-\]: (.*)")


class Unreadable(ValueError):
    """A line that is in no known form; the text is one sentence with the line."""


def read_isakmp(text: str) -> tuple[Isakmp, ...]:
    """The ISAKMP SAs of ``show status ike``."""
    return tuple(_read_isakmp(line) for line in _lines(text) if not line.startswith("Source "))


def read_ipsec(text: str) -> tuple[Ipsec, ...]:
    """The ESP SAs of ``show status ipsec``."""
    found: list[Ipsec] = []
    for line in _lines(text):
        if line.strip() == form.NO_SAD:
            continue
        ends = _ENDS.fullmatch(line)
        if ends is not None:
            found.append(Ipsec(ends[1], ends[2], 0, 0, "", ""))
        elif found:
            found[-1] = _with_line(found[-1], line)
        else:
            raise _unreadable(line, "SAs")
    return tuple(found)


def read_policies(text: str) -> tuple[Policy, ...]:
    """The policies of ``show status ipsec.security-policy``."""
    found: list[Policy] = []
    for line in _lines(text):
        if line.strip() == form.NO_SPD:
            continue
        selectors = _SELECTORS.fullmatch(line)
        if selectors is not None:
            found.append(Policy(selectors[1], selectors[2], "in", 0))
        elif found:
            found[-1] = _with_rule(found[-1], line)
        else:
            raise _unreadable(line, "policies")
    return tuple(found)


def read_interface(text: str) -> Interface:
    """The interface of ``show status interface.ipsec0``."""
    lines = list(_lines(text))
    head = _INTERFACE.fullmatch(lines[0]) if lines else None
    tunnel = _TUNNEL.fullmatch(lines[1]) if len(lines) > 1 else None
    if head is None or tunnel is None:
        raise _unreadable(lines[0] if lines else "", "an interface")
    addresses = [_ADDRESS.fullmatch(line) for line in lines[2:]]
    return Interface(
        head[1],
        tunnel[1],
        tunnel[2],
        "RUNNING" in head[2].split(","),
        tuple(one[1] for one in addresses if one is not None),
    )


def read_log(text: str, year: int) -> tuple[LogLine, ...]:
    """The lines of ``show log``, which do not say in which year they were written."""
    return tuple(_log_line(line, year) for line in _lines(text))


def _lines(text: str) -> Iterator[str]:
    return (line for raw in text.split("\n") if (line := raw.rstrip("\r")).strip())


def _read_isakmp(line: str) -> Isakmp:
    found = _ISAKMP.fullmatch(line)
    if found is None:
        raise _unreadable(line, "ISAKMP SAs")
    return Isakmp(
        found["local"],
        int(found["local_port"]),
        found["remote"],
        int(found["remote_port"]),
        int(found["i"], 16),
        int(found["r"], 16),
        found["side"] == "I",
        int(found["state"]) == form.ESTABLISHED,
        found["mode"] == "A",
        _seconds(found["created"], form.SORTABLE_TIME) if found["created"] else 0,
        int(found["children"]),
    )


def _with_line(sa: Ipsec, line: str) -> Ipsec:
    if (found := _SA.fullmatch(line)) is not None:
        transport = found[1] == "transport"
        return replace(sa, transport=transport, spi=int(found[2]), reqid=int(found[3]))
    if (found := _ALGORITHM.fullmatch(line)) is not None:
        if found[1] == "E":
            return replace(sa, encryption=found[2])
        return replace(sa, authentication=found[2])
    if (found := _STATE.fullmatch(line)) is not None:
        return replace(sa, state=found[1])
    if (found := _CREATED.fullmatch(line)) is not None:
        return replace(sa, created=_seconds(found[1], form.LONG_TIME))
    if (found := _TIMES.fullmatch(line)) is not None:
        return replace(sa, age=int(found[1]), hard=int(found[2]), soft=int(found[3]))
    if (found := _OCTETS.fullmatch(line)) is not None:
        return replace(sa, octets=int(found[1]))
    if _IGNORED.fullmatch(line) is not None:
        return sa
    raise _unreadable(line, "SAs")


def _with_rule(policy: Policy, line: str) -> Policy:
    if (found := _DIRECTION.fullmatch(line)) is not None:
        return replace(policy, direction="in" if found[1] == "in" else "out")
    if (found := _RULE.fullmatch(line)) is not None:
        source, _, destination = found[2].partition("-")
        tunnel = None if found[1] == "transport" else (source, destination)
        return replace(policy, tunnel=tunnel, reqid=int(found[3] or 0))
    if _IGNORED.fullmatch(line) is not None:
        return policy
    raise _unreadable(line, "policies")


def _log_line(line: str, year: int) -> LogLine:
    found = _LOG.fullmatch(line)
    if found is None:
        raise _unreadable(line, "a log")
    time = _seconds(f"{found[2]} {year}", f"{form.SHORT_TIME} %Y")
    return LogLine(int(found[1]), time, found[3], found[4])


def _seconds(text: str, pattern: str) -> int:
    try:
        return int(datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise Unreadable(f"{text!r} in the console's output is no time") from None


def _unreadable(line: str, what: str) -> Unreadable:
    return Unreadable(f"the console shows {line.strip()[:100]!r} where {what} are expected")
