# SPDX-License-Identifier: GPL-2.0-or-later
"""Where IKEv2 negotiations stopped (RFC 7296 1.2, 1.3, 2.21)."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ike.constants_v2 import ExchangeType, NotifyType, PayloadType
from harness.ike.names import name_of
from harness.ike.payloads_v2 import Authentication, Delete, Notify, SecurityAssociation
from harness.verdict.diagnosis.failures import Failure, Stage, unheard
from harness.verdict.diagnosis.negotiations import Message, Negotiation

FIRST_STATUS_TYPE = 16384
_OF_THE_CHILD = frozenset(
    {
        NotifyType.NO_PROPOSAL_CHOSEN,
        NotifyType.INVALID_KE_PAYLOAD,
        NotifyType.SINGLE_PAIR_REQUIRED,
        NotifyType.NO_ADDITIONAL_SAS,
        NotifyType.INTERNAL_ADDRESS_FAILURE,
        NotifyType.FAILED_CP_REQUIRED,
        NotifyType.TS_UNACCEPTABLE,
        NotifyType.INVALID_SELECTORS,
    }
)
_PASSING = frozenset({NotifyType.TEMPORARY_FAILURE, NotifyType.CHILD_SA_NOT_FOUND})
"""What a race ends with, to be tried again (RFC 7296 2.25)."""


def failures_v2(negotiation: Negotiation) -> Iterator[Failure]:
    """The requests of a negotiation that were refused or had no answer, in their order."""
    init = _last_answer(negotiation, ExchangeType.IKE_SA_INIT)
    if isinstance(init, Failure):
        yield init
        return
    middle = _last_answer(negotiation, ExchangeType.IKE_INTERMEDIATE)
    if isinstance(middle, Failure):
        yield middle
        return
    proved = _last_answer(negotiation, ExchangeType.IKE_AUTH)
    if isinstance(proved, Failure):
        yield proved
        if proved.stage is not Stage.CHILD:
            return
    elif proved is not None:
        rejected = _rejected(negotiation, proved)
        if rejected is not None:
            yield rejected
            return
    yield from _later(negotiation)


def established_v2(negotiation: Negotiation) -> bool:
    """Whether both ends were authenticated as far as the capture shows."""
    answers = _of(negotiation, ExchangeType.IKE_AUTH, response=True)
    return any(one.one(Authentication) is not None for one in answers) and not any(
        one.stage is Stage.AUTHENTICATION for one in failures_v2(negotiation)
    )


def _of(negotiation: Negotiation, exchange: int, *, response: bool) -> list[Message]:
    return [
        one for one in negotiation.messages if one.exchange == exchange and one.response == response
    ]


_STAGES = {
    ExchangeType.IKE_SA_INIT: Stage.IKE,
    ExchangeType.IKE_INTERMEDIATE: Stage.KEYS,
    ExchangeType.IKE_AUTH: Stage.AUTHENTICATION,
}


def _last_answer(negotiation: Negotiation, exchange: ExchangeType) -> Message | Failure | None:
    """The answer with which an exchange ended well, how it failed, or None where there is none."""
    requests = _of(negotiation, exchange, response=False)
    stage = _STAGES[exchange]
    if not requests:
        pieces = [
            one for one in negotiation.pieces if one.exchange == exchange and not one.response
        ]
        return Failure(negotiation, stage, exchange.name, pieces[0]) if pieces else None
    asked = requests[-1]
    # All of IKE_SA_INIT has the message id 0, however often a cookie or group is asked for.
    answers = [
        one
        for one in _of(negotiation, exchange, response=True)
        if one.message_id == asked.message_id and one.numbers[-1] > asked.number
    ]
    # Anybody can send a refusal in clear; where a better answer came, that one counted.
    answer = next((one for one in answers if _error(one) is None), next(iter(answers), None))
    if answer is None:
        return Failure(negotiation, stage, exchange.name, asked)
    error = _error(answer)
    if error is None and answer.readable:
        return _heard(negotiation, stage, asked, answer)
    if error is None:
        return Failure(negotiation, stage, exchange.name, asked, answer)
    if exchange is ExchangeType.IKE_AUTH and error.notify_type in _OF_THE_CHILD:
        stage = Stage.CHILD
    return _refused(negotiation, stage, exchange.name, asked, answer, error)


def _heard(
    negotiation: Negotiation, stage: Stage, asked: Message, answer: Message
) -> Message | Failure:
    """The answer, or that nobody went on with it, where who asked asks again and again."""
    goes_on = any(
        one.sender == asked.sender and one.message_id > asked.message_id
        for one in negotiation.after(asked)
    )
    repeats = stage is Stage.IKE and bool(asked.again)
    if goes_on or not (repeats or unheard(asked, answer)):
        return answer
    return Failure(negotiation, stage, ExchangeType(asked.exchange).name, answer)


def _refused(
    negotiation: Negotiation,
    stage: Stage,
    exchange: str,
    asked: Message,
    answer: Message,
    error: Notify,
) -> Failure:
    name = name_of(NotifyType, error.notify_type)
    return Failure(negotiation, stage, exchange, asked, answer, name, error.notify_type, error.data)


def _error(message: Message) -> Notify | None:
    """The notify that refuses, or that asks for a cookie and gives nothing else."""
    for notify in message.all(Notify):
        if notify.notify_type < FIRST_STATUS_TYPE:
            return notify
        if (
            notify.notify_type == NotifyType.COOKIE
            and message.response
            and len(message.payloads) == 1
        ):
            return notify
    return None


def _rejected(negotiation: Negotiation, proved: Message) -> Failure | None:
    """What the initiator said of the responder's proof (RFC 7296 2.21.2).

    A Delete without a word, before anything else, may be a rejection: its `notify` is empty.
    """
    following = [
        one
        for one in negotiation.after(proved)
        if not one.response
        and one.sender == proved.receiver
        and one.exchange == ExchangeType.INFORMATIONAL
    ]
    for message in following[:1]:
        error = _error(message)
        if error is not None and error.notify_type == NotifyType.AUTHENTICATION_FAILED:
            return _refused(negotiation, Stage.AUTHENTICATION, "IKE_AUTH", proved, message, error)
        if any(one.protocol == 1 for one in message.all(Delete)):
            return Failure(negotiation, Stage.AUTHENTICATION, "IKE_AUTH", proved, message)
    return None


def _later(negotiation: Negotiation) -> Iterator[Failure]:
    """CREATE_CHILD_SA exchanges that were refused for good."""
    answers = _of(negotiation, ExchangeType.CREATE_CHILD_SA, response=True)
    answered: dict[tuple[int, str], Message] = {}
    for one in answers:
        answered.setdefault((one.message_id, one.sender), one)
    # For whom an SA was made last, and when: who got one later, as with another group, is content.
    made = {one.receiver: one.number for one in answers if one.one(SecurityAssociation) is not None}
    for asked in _of(negotiation, ExchangeType.CREATE_CHILD_SA, response=False):
        answer = answered.get((asked.message_id, asked.receiver))
        if answer is None:
            if asked.again:
                yield Failure(negotiation, Stage.CHILD, "CREATE_CHILD_SA", asked)
            continue
        error = _error(answer)
        if error is None or error.notify_type in _PASSING:
            continue
        if made.get(asked.sender, 0) < asked.number:
            yield _refused(negotiation, _stage(asked), "CREATE_CHILD_SA", asked, answer, error)


def _stage(asked: Message) -> Stage:
    association = asked.one(SecurityAssociation, PayloadType.SA)
    rekeys_ike = association is not None and any(one.protocol == 1 for one in association.proposals)
    return Stage.IKE if rekeys_ike else Stage.CHILD
