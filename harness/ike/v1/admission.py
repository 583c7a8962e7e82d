# SPDX-License-Identifier: GPL-2.0-or-later
"""Which connection a stranger's first message is for, and what is agreed on (RFC 2408 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.ike.address import Path
from harness.ike.constants_v1 import ExchangeType, NotifyType
from harness.ike.payload import first
from harness.ike.payloads_v1 import Identification, SecurityAssociation
from harness.ike.v1.configuration import Connection, PreSharedKey
from harness.ike.v1.identity import read_identity
from harness.ike.v1.phase1_proposals import Selection, select
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Ignored, Refusal
from harness.ike.wire import Message


@dataclass(frozen=True, slots=True)
class Admission:
    """The connection that a first message is for, and the proposal that was chosen."""

    connection: Connection
    selection: Selection


def candidates(connections: Iterable[Connection], path: Path) -> tuple[Connection, ...]:
    """The connections with the peer's address, and then those that take any, on this end's own."""
    here = [one for one in connections if one.local.host in (path.local.host, "0.0.0.0", "::")]
    named = [one for one in here if one.remote is not None and one.remote.host == path.remote.host]
    return (*named, *(one for one in here if one.remote is None))


def admit(connections: Iterable[Connection], path: Path, message: Message) -> Admission:
    """The first connection that can agree with a first message.

    Raises `Ignored` where the message is none or nobody knows the sender, and else the `Refusal`
    of the first connection.
    """
    sa = first(message.payloads, SecurityAssociation)
    if sa is None:
        raise Ignored("a first message without an SA payload")
    known = candidates(connections, path)
    if not known:
        raise Refusal(
            Reason.NO_CONNECTION,
            NotifyType.NO_PROPOSAL_CHOSEN,
            f"no connection between {path.local.host} and {path.remote.host} is configured",
        )
    refusal: Refusal | None = None
    for connection in known:
        try:
            _check_mode(connection, message)
            selection = select(sa, connection.phase1, connection.credentials.method)
        except Refusal as why:
            refusal = refusal or why
            continue
        return Admission(connection, selection)
    assert refusal is not None
    raise refusal


def _check_mode(connection: Connection, message: Message) -> None:
    """Aggressive Mode names the peer at once, and gives a preshared key away to guessing."""
    if message.exchange != ExchangeType.AGGRESSIVE:
        return
    identity = first(message.payloads, Identification)
    wanted = connection.remote_identity
    if identity is None:
        raise Ignored("an Aggressive Mode message without an identity")
    if wanted is not None and not wanted.is_who(read_identity(identity)):
        raise Refusal(
            Reason.INVALID_ID,
            NotifyType.INVALID_ID_INFORMATION,
            f"the peer says that it is {read_identity(identity)}, and {wanted} is configured",
        )
    psk = isinstance(connection.credentials, PreSharedKey)
    if psk and not connection.phase1.accept_aggressive_psk:
        raise Refusal(
            Reason.AUTHENTICATION_FAILED,
            NotifyType.AUTHENTICATION_FAILED,
            "Aggressive Mode with a preshared key is refused, since its hash lets anybody guess"
            " the key; set accept_aggressive_psk to allow it",
        )
