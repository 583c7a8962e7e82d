# SPDX-License-Identifier: GPL-2.0-or-later
"""Which module answers a request, by its exchange type (RFC 7296 3.1)."""

from __future__ import annotations

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import first
from harness.ike.payloads_v2 import Notify
from harness.ike.v2.auth_responder import answer_auth
from harness.ike.v2.create_child_responder import answer_create_child
from harness.ike.v2.events import Reason
from harness.ike.v2.followup import answer_followup
from harness.ike.v2.host import Answer
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.informational import answer_informational, deletes_ike_sa
from harness.ike.v2.intermediate import answer_intermediate
from harness.ike.v2.message import Arrival, Sent
from harness.ike.v2.rekey_ike import closed_by_peer, confirmed_by_use


def answer(sa: IkeSa, arrival: Arrival, now: float) -> Answer | None:
    """What to answer a request in an IKE SA with; None leaves it without an answer."""
    match arrival.plain.message.exchange:
        case ExchangeType.IKE_INTERMEDIATE:
            found = answer_intermediate(sa, arrival, now)
        case ExchangeType.IKE_AUTH:
            found = answer_auth(sa, arrival, now)
        case ExchangeType.CREATE_CHILD_SA:
            confirmed_by_use(sa, now)
            found = answer_create_child(sa, arrival, now)
        case ExchangeType.IKE_FOLLOWUP_KE:
            found = answer_followup(sa, arrival, now)
        case ExchangeType.INFORMATIONAL:
            found = _informational(sa, arrival, now)
        case _:
            found = Answer((Notify(NotifyType.INVALID_SYNTAX),))
    return _fatal(sa, found, now)


def _informational(sa: IkeSa, arrival: Arrival, now: float) -> Answer:
    closing = deletes_ike_sa(arrival)
    if not closing:
        confirmed_by_use(sa, now)
    payloads = answer_informational(sa, arrival, now)
    if not closing:
        return Answer(payloads)

    def then(sent: Sent) -> None:
        closed_by_peer(sa, now)

    return Answer((), then)


def _fatal(sa: IkeSa, found: Answer | None, now: float) -> Answer | None:
    """INVALID_SYNTAX ends the IKE SA at both ends (RFC 7296 2.21.3)."""
    notify = None if found is None else first(found.payloads, Notify)
    if found is None or notify is None or notify.notify_type != NotifyType.INVALID_SYNTAX:
        return found

    def then(sent: Sent) -> None:
        sa.fail(Reason.INVALID_SYNTAX, now, NotifyType.INVALID_SYNTAX)

    return Answer(found.payloads, then)
