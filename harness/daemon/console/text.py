# SPDX-License-Identifier: GPL-2.0-or-later
"""A router's status as its console prints it: in the forms of racoonctl, setkey, ifconfig, syslog.

Times are UTC. Each function gives lines without their ends; `console_reading` reads them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from harness.daemon.status import Interface, Ipsec, Isakmp, LogLine, Policy, Status

ISAKMP_HEAD = f"{'Source':<22} {'Destination':<22} {'Cookies':<33} ST S  V E {'Created':<19} Phase2"
ESTABLISHED, NEGOTIATING = 9, 1
VERSION = "10"
NO_SAD = "No SAD entries."
NO_SPD = "No SPD entries."
LONG_TIME = "%b %d %H:%M:%S %Y"
SHORT_TIME = "%b %d %H:%M:%S"
SORTABLE_TIME = "%Y-%m-%d %H:%M:%S"


def isakmp_lines(status: Status) -> Iterator[str]:
    """``show status ike``: a line for each ISAKMP SA below a heading."""
    yield ISAKMP_HEAD
    for sa in status.isakmp:
        yield _isakmp(sa)


def ipsec_lines(status: Status) -> Iterator[str]:
    """``show status ipsec``: some lines for each SA."""
    if not status.ipsec:
        yield NO_SAD
    for number, sa in enumerate(status.ipsec):
        yield from _ipsec(sa, status.now, len(status.ipsec) - 1 - number)


def policy_lines(status: Status) -> Iterator[str]:
    """``show status ipsec.security-policy``: some lines for each policy."""
    if not status.policies:
        yield NO_SPD
    for number, policy in enumerate(status.policies, 1):
        yield from _policy(policy, number)


def interface_lines(interface: Interface) -> Iterator[str]:
    """``show status interface.ipsec0``: what an interface is between."""
    flags = "UP,POINTOPOINT,RUNNING" if interface.up else "UP,POINTOPOINT"
    family = "inet6" if ":" in interface.source else "inet"
    yield f"{interface.name}: flags=<{flags}>"
    yield f"\ttunnel {family} {interface.source} --> {interface.destination}"
    for address in interface.addresses:
        yield f"\tinet {address}"


def log_lines(lines: Sequence[LogLine]) -> Iterator[str]:
    """``show log``: number, time, level, facility, text."""
    for line in lines:
        time = _time(line.time, SHORT_TIME)
        yield f"{line.number} {time} {line.level:>8}    ike racoon[-]: {line.text}"


def _isakmp(sa: Isakmp) -> str:
    local = f"{sa.local}.{sa.local_port}"
    remote = f"{sa.remote}.{sa.remote_port}"
    state = ESTABLISHED if sa.established else NEGOTIATING
    side, mode = "I" if sa.initiator else "R", "A" if sa.aggressive else "M"
    created = _time(sa.created, SORTABLE_TIME)
    cookies = f"{sa.cookie_i:016x}:{sa.cookie_r:016x}"
    return (
        f"{local:<22} {remote:<22} {cookies} {state:>2} {side} {VERSION} {mode}"
        f" {created} {sa.children:>6}"
    )


def _ipsec(sa: Ipsec, now: int, left: int) -> Iterator[str]:
    mode = "transport" if sa.transport else "tunnel"
    yield f"{sa.source} {sa.destination}"
    yield f"\tesp mode={mode} spi={sa.spi}(0x{sa.spi:08x}) reqid={sa.reqid}(0x{sa.reqid:08x})"
    yield f"\tE: {sa.encryption}"
    yield f"\tA: {sa.authentication}"
    yield f"\tstate={sa.state}"
    yield f"\tcreated: {_time(sa.created, LONG_TIME)}\tcurrent: {_time(now, LONG_TIME)}"
    yield f"\tdiff: {sa.age}(s)\thard: {sa.hard}(s)\tsoft: {sa.soft}(s)"
    yield f"\tcurrent: {sa.octets}(bytes)"
    yield f"\tsadb_seq={left}"


def _policy(policy: Policy, number: int) -> Iterator[str]:
    ends = "" if policy.tunnel is None else "-".join(policy.tunnel)
    mode = "transport" if policy.tunnel is None else "tunnel"
    yield f"{policy.source}[any] {policy.destination}[any] any"
    yield f"\t{policy.direction} ipsec"
    yield f"\tesp/{mode}/{ends}/unique:{policy.reqid}"
    yield f"\tspid={number}"


def _time(seconds: int, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)
