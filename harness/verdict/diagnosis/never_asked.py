# SPDX-License-Identifier: GPL-2.0-or-later
"""A phase 1 that came about, after which its initiator never asked for an IPsec SA (IKEv1)."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ike.constants_v1 import ExchangeType
from harness.verdict.diagnosis.alternatives import ASPECTS, Alternatives, Aspect, SaKind
from harness.verdict.diagnosis.comparison import compare
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure, Stage
from harness.verdict.diagnosis.failures_v1 import established_v1
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Row, remedy
from harness.verdict.diagnosis.negotiations import V1_NAMES, Negotiation, negotiations
from harness.verdict.diagnosis.strongswan_proposals import write_proposal
from harness.verdict.diagnosis.wishes import Setting, Wishes

KIND = SaKind.IPSEC_SA
ALGORITHMS = tuple(one for one in ASPECTS[KIND] if one not in (Aspect.MODE, Aspect.LIFETIME))
MOST = 3
"""More alternatives than that are not listed: a daemon's default has dozens."""


def never_asked(around: Circumstances) -> Iterator[Diagnosis]:
    """What its initiator is configured to ask for, where that is nothing that the peer wants.

    A phase 1 without a Quick Mode may be all that was wanted: where the configurations agree there
    is nothing to say. Nor do packets prove why none was begun.
    """
    listed = negotiations(around.entries)
    for negotiation in listed:
        if negotiation.version != 1 or not established_v1(negotiation):
            continue
        if any(_asks(one, negotiation) for one in listed):
            continue
        found = _explained(negotiation, around)
        if found is not None:
            yield found


def _asks(other: Negotiation, negotiation: Negotiation) -> bool:
    """Whether there is a Quick Mode between the same two ends."""
    ends = {negotiation.initiator, negotiation.responder}
    return {other.initiator, other.responder} == ends and any(
        one.exchange == ExchangeType.QUICK_MODE for one in other.messages
    )


def _explained(negotiation: Negotiation, around: Circumstances) -> Diagnosis | None:
    own = [one for one in negotiation.messages if one.sender == negotiation.initiator]
    failure = Failure(negotiation, Stage.CHILD, "Quick Mode", own[-1])
    asker, refuser = around.of(failure)
    if asker is None or refuser is None or not refuser.alternatives(KIND):
        return None
    wanted = refuser.alternatives(KIND)
    place = asker.place(Setting.CHILD_PROPOSALS)
    nearest = compare(asker.alternatives(KIND), wanted, ALGORITHMS)
    if place is None or (nearest is not None and not nearest.differing):
        return None
    mode = V1_NAMES[ExchangeType(negotiation.messages[0].exchange)]
    configured, other = _configured(asker, place.text), _written(wanted)
    return failure.diagnosis(
        Cause.PROPOSAL,
        f"{failure.asker} never began a Quick Mode after {mode}; it is configured to offer "
        f"{configured} for the {KIND}, and {failure.refuser} wants {other}.",
        (Row(Setting.CHILD_PROPOSALS.value, configured, other, True),),
        remedy(asker, Setting.CHILD_PROPOSALS, wanted[:1]),
        proved=False,
    )


def _configured(wishes: Wishes, line: str) -> str:
    """The proposals of a side, or the words of its line where they are of no known algorithm."""
    return _written(wishes.alternatives(KIND)) or line.partition("=")[2].strip(' !"')


def _written(alternatives: Alternatives) -> str:
    written = (write_proposal(one.only(ALGORITHMS)) or "?" for one in alternatives[:MOST])
    return " or ".join(dict.fromkeys(written))
