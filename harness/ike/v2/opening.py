# SPDX-License-Identifier: GPL-2.0-or-later
"""From a decoded message to payloads in clear, or to an error to answer (RFC 7296 2.21)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.ike.address import Path
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.malformed import Malformed
from harness.ike.payload import Payload, RawPayload, is_critical
from harness.ike.payloads_v2 import EncryptedFragment, Notify
from harness.ike.protection import IntegrityFailure
from harness.ike.v2.fragments import Reassembly
from harness.ike.v2.message import Arrival, Plain
from harness.ike.v2.sealing import Sealer
from harness.ike.violations import payload_violations, violations
from harness.ike.wire import Message, decode_payloads


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a message is not processed; `answer` says what the peer is told where it is authentic."""

    why: str
    authentic: bool = False
    answer: Notify | None = None


def open_message(
    message: Message,
    octets: bytes,
    path: Path,
    sealer: Sealer | None,
    parts: Reassembly,
) -> Arrival | Broken | None:
    """The message in clear; None where it is a fragment and others are missing.

    Nothing of a message counts that is in clear where it should be sealed, or the reverse.
    """
    clear = message.exchange == ExchangeType.IKE_SA_INIT
    if clear:
        return _checked(Arrival(Plain(message, protected=False), path, octets), message)
    sealed = message.sealed
    if sealed is None or sealer is None:
        return Broken("A message came in clear that must be encrypted.")
    found = violations(message)
    if found:
        return Broken(found[0])
    try:
        plaintext = sealer.open(message, octets)
    except IntegrityFailure as failure:
        return Broken(str(failure))
    first_payload = sealed.first_payload
    if isinstance(sealed, EncryptedFragment):
        whole = parts.add(message.message_id, sealed.number, sealed.total, first_payload, plaintext)
        if whole is None:
            return None
        first_payload, plaintext = whole.first_payload, whole.plaintext
    try:
        payloads, rest = decode_payloads(2, first_payload, plaintext)
    except Malformed as malformed:
        return _syntax(str(malformed))
    if rest:
        return _syntax(f"{len(rest)} octets stand behind the payloads inside SK.")
    plain = Plain(replace(message, payloads=payloads), True, message.payloads[:-1])
    return _checked(
        Arrival(plain, path, octets, plaintext, first_payload, sealed.flags),
        replace(message, payloads=payloads),
    )


def _checked(arrival: Arrival, message: Message) -> Arrival | Broken:
    critical = unknown_critical(arrival.payloads)
    if critical is not None:
        return Broken(
            f"The critical payload {critical} is not known.",
            arrival.plain.protected,
            Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([critical])),
        )
    found = payload_violations(message.payloads)
    if found:
        return replace(_syntax(found[0]), authentic=arrival.plain.protected)
    return arrival


def unknown_critical(payloads: tuple[Payload, ...]) -> int | None:
    """The type of the first payload that is critical and not understood (RFC 7296 2.5)."""
    for payload in payloads:
        if isinstance(payload, RawPayload) and is_critical(payload):
            return payload.payload_type
    return None


def _syntax(why: str) -> Broken:
    return Broken(why, True, Notify(NotifyType.INVALID_SYNTAX))
