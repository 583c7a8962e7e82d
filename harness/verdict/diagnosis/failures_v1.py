# SPDX-License-Identifier: GPL-2.0-or-later
"""Where IKEv1 negotiations stopped (RFC 2409 5, RFC 2408 3.14)."""

from __future__ import annotations

from collections.abc import Iterator

from harness.capture.entries import Status
from harness.ike.constants_v1 import ExchangeType, NotifyType, ProtocolId
from harness.ike.names import hyphened
from harness.ike.payloads_v1 import Delete, Identification, Notification
from harness.verdict.diagnosis.failures import Failure, Stage, unheard
from harness.verdict.diagnosis.negotiations import V1_NAMES, Message, Negotiation

FIRST_STATUS_TYPE = 16384
WHOLE = {ExchangeType.IDENTITY_PROTECTION: 6, ExchangeType.AGGRESSIVE: 3}
QUICK_MODE = 3


def failures_v1(negotiation: Negotiation) -> Iterator[Failure]:
    """The messages of a negotiation that were refused or had no answer, in their order."""
    phase_1 = _phase_1(negotiation)
    if phase_1:
        failure = _phase_1_failure(negotiation, phase_1)
        if failure is not None:
            yield failure
            return
    yield from _quick_mode_failures(negotiation)


def established_v1(negotiation: Negotiation) -> bool:
    """Whether phase 1 was complete and not refused."""
    phase_1 = _phase_1(negotiation)
    return bool(phase_1) and _phase_1_failure(negotiation, phase_1) is None


def _phase_1(negotiation: Negotiation) -> list[Message]:
    return [one for one in negotiation.messages if one.exchange in WHOLE and not one.message_id]


def _informationals(negotiation: Negotiation, behind: Message) -> list[Message]:
    return [one for one in negotiation.after(behind) if one.exchange == ExchangeType.INFORMATIONAL]


def _error(message: Message) -> Notification | None:
    return next(
        (one for one in message.all(Notification) if one.notify_type < FIRST_STATUS_TYPE), None
    )


def _phase_1_failure(negotiation: Negotiation, phase_1: list[Message]) -> Failure | None:
    last = phase_1[-1]
    whole = len(phase_1) >= WHOLE[ExchangeType(last.exchange)]
    stage = (
        Stage.IKE if last.one(Identification) is None and len(phase_1) < 5 else Stage.AUTHENTICATION
    )
    if last.exchange == ExchangeType.AGGRESSIVE:
        stage = Stage.IKE if len(phase_1) == 1 else Stage.AUTHENTICATION
    exchange = V1_NAMES[ExchangeType(last.exchange)]
    quick = any(one.exchange == ExchangeType.QUICK_MODE for one in negotiation.after(last))
    for message in _informationals(negotiation, last):
        if message.sender != last.receiver:
            continue
        error = _error(message)
        if error is not None and not (whole and quick):
            return _refused(negotiation, stage, exchange, last, message, error)
        if whole and not quick and _deletes_isakmp(message):
            # A Delete in the place of a Quick Mode: the initiator does not take what it got.
            return Failure(negotiation, Stage.AUTHENTICATION, exchange, last, message)
        if not whole and not message.readable and message.ike.status is not Status.FRAGMENT:
            return Failure(negotiation, stage, exchange, last, message)
    if whole and (quick or not _ended_unheard(phase_1)):
        return None
    return Failure(negotiation, stage, exchange, last)


def _ended_unheard(phase_1: list[Message]) -> bool:
    """Whether the last message of phase 1, as that of its responder, was lost on its way."""
    return len(phase_1) > 1 and unheard(phase_1[-2], phase_1[-1])


def _deletes_isakmp(message: Message) -> bool:
    return any(one.protocol == ProtocolId.ISAKMP for one in message.all(Delete))


def _refused(
    negotiation: Negotiation,
    stage: Stage,
    exchange: str,
    asked: Message,
    answer: Message,
    error: Notification,
) -> Failure:
    name = hyphened(NotifyType, error.notify_type)
    return Failure(negotiation, stage, exchange, asked, answer, name, error.notify_type, error.data)


def _quick_mode_failures(negotiation: Negotiation) -> Iterator[Failure]:
    """The Quick Modes that came to nothing; several may be under way, and are answered in turn."""
    quick: dict[int, list[Message]] = {}
    for one in negotiation.messages:
        if one.exchange == ExchangeType.QUICK_MODE:
            quick.setdefault(one.message_id, []).append(one)
    taken: set[int] = set()
    for messages in quick.values():
        if len(messages) >= QUICK_MODE:
            continue
        last = messages[-1]
        for message in _informationals(negotiation, last):
            error = _error(message)
            if error is None or message.sender != last.receiver or message.number in taken:
                continue
            taken.add(message.number)
            yield _refused(negotiation, Stage.CHILD, "Quick Mode", last, message, error)
            break
        else:
            yield Failure(negotiation, Stage.CHILD, "Quick Mode", last)
