# SPDX-License-Identifier: GPL-2.0-or-later
"""Why negotiations of a capture failed, from decrypted packets and both configurations.

    found = diagnose(Circumstances(decryption.entries, decryption.secrets, wishes))

What later came about all the same is no failure: a group that was asked for again, an IKE SA that
a second attempt made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.capture.entries import Ike
from harness.ike import constants_v1 as n1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v2 import NotifyType
from harness.ike.payloads_v1 import SecurityAssociation as SecurityAssociationV1
from harness.verdict.diagnosis.alternatives import Aspect
from harness.verdict.diagnosis.attempts import failures
from harness.verdict.diagnosis.authentication import (
    explain_aggressive,
    explain_authentication,
    undecided,
)
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure, Stage
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Row
from harness.verdict.diagnosis.never_asked import never_asked
from harness.verdict.diagnosis.offers import group_named, union
from harness.verdict.diagnosis.proposals import explain_mode, explain_proposals, offer_of, shown
from harness.verdict.diagnosis.selectors import explain_selectors
from harness.verdict.diagnosis.silence import explain_cookies, explain_silence


def diagnose(around: Circumstances) -> tuple[Diagnosis, ...]:
    """Each failure that was not mended later, in order; the same ones are counted as one."""
    found: dict[Diagnosis, Diagnosis] = {}
    for failure in failures(around.entries):
        diagnosis = explain(failure, around)
        if diagnosis is None:
            continue
        key = replace(diagnosis, sentence=_without_frames(diagnosis))
        before = found.get(key)
        found[key] = diagnosis if before is None else replace(before, times=before.times + 1)
    return tuple(found.values()) or (*_without_proof(around), *never_asked(around))


def _without_proof(around: Circumstances) -> Iterable[Diagnosis]:
    """What no packet shows: an end that stopped by itself, or never began."""
    if not any(one.method == "pubkey" and one.certificate for one in around.wishes):
        return ()
    # Certificates take longer to import than all the rest.
    from harness.verdict.diagnosis.own_keys import ends_without_proof

    return ends_without_proof(around)


def _without_frames(diagnosis: Diagnosis) -> str:
    """What is the same in every repetition of a failure."""
    return f"{diagnosis.cause} {diagnosis.exchange}"


def explain(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """What one failure comes to; None where it is none after all."""
    if failure.answer is None:
        return _unanswered(failure, around)
    if not failure.notify:
        return _wordless(failure, around)
    if failure.version == 1:
        return _refused_v1(failure, around)
    return _refused_v2(failure, around)


def _refused_v2(failure: Failure, around: Circumstances) -> Diagnosis:
    match failure.code:
        case NotifyType.NO_PROPOSAL_CHOSEN:
            return explain_proposals(failure, around)
        case NotifyType.INVALID_KE_PAYLOAD:
            return _other_group(failure)
        case NotifyType.COOKIE:
            return explain_cookies(failure)
        case NotifyType.AUTHENTICATION_FAILED:
            return explain_authentication(failure, around) or undecided(failure, around)
        case (
            NotifyType.TS_UNACCEPTABLE
            | NotifyType.SINGLE_PAIR_REQUIRED
            | NotifyType.INVALID_SELECTORS
        ):
            return explain_selectors(failure, around) or _refused(failure)
        case NotifyType.INVALID_MAJOR_VERSION:
            return _refused(failure, Cause.VERSION)
    return _refused(failure)


def _refused_v1(failure: Failure, around: Circumstances) -> Diagnosis:
    kinds = n1.NotifyType
    proposals = (
        kinds.NO_PROPOSAL_CHOSEN,
        kinds.BAD_PROPOSAL_SYNTAX,
        kinds.ATTRIBUTES_NOT_SUPPORTED,
    )
    if failure.stage is Stage.CHILD:
        if failure.code in proposals and failure.asked.one(SecurityAssociationV1) is not None:
            return explain_selectors_first(failure, around)
        return (
            explain_selectors(failure, around) or explain_mode(failure, around) or _refused(failure)
        )
    if failure.code in proposals and failure.stage is Stage.IKE:
        return explain_proposals(failure, around)
    if failure.stage is Stage.IKE and failure.exchange == "Aggressive Mode":
        return (
            explain_authentication(failure, around)
            or explain_aggressive(failure, around)
            or undecided(failure, around)
        )
    authentication = (
        kinds.AUTHENTICATION_FAILED,
        kinds.INVALID_ID_INFORMATION,
        kinds.INVALID_HASH_INFORMATION,
        kinds.INVALID_SIGNATURE,
        kinds.INVALID_CERTIFICATE,
        kinds.INVALID_CERT_AUTHORITY,
        kinds.CERTIFICATE_UNAVAILABLE,
        kinds.PAYLOAD_MALFORMED,
    )
    if failure.stage is Stage.AUTHENTICATION or failure.code in authentication:
        return explain_authentication(failure, around) or undecided(failure, around)
    return _refused(failure)


def explain_selectors_first(failure: Failure, around: Circumstances) -> Diagnosis:
    """Some answer NO-PROPOSAL-CHOSEN to a Quick Mode whose proxy-ids they do not know."""
    proposals = explain_proposals(failure, around)
    if proposals.proved:
        return proposals
    return explain_selectors(failure, around) or proposals


def _unanswered(failure: Failure, around: Circumstances) -> Diagnosis | None:
    if failure.stage is Stage.AUTHENTICATION:
        found = explain_authentication(failure, around)
        if found is not None:
            return found
    if failure.stage is Stage.CHILD and failure.version == 1:
        found = explain_selectors(failure, around)
        if found is not None:
            return found
        if not failure.asked.again and not _ended_there(failure, around):
            return None
    return explain_silence(failure, around)


def _ended_there(failure: Failure, around: Circumstances) -> bool:
    """Whether IKE messages followed, so that the silence is not the end of the capture."""
    last = max((one.number for one in around.entries if isinstance(one.content, Ike)), default=0)
    return last > failure.asked.number


def _wordless(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A Delete, or an answer that cannot be read, in the place of what should follow."""
    found = explain_authentication(failure, around)
    if found is not None:
        return found
    answer = failure.answer
    if answer is None or answer.readable:
        return None
    return failure.diagnosis(
        Cause.UNREADABLE,
        f"{failure.refuser} answered {failure.exchange} of {failure.asker} in frame "
        f"{answer.number} with what cannot be read: {answer.ike.status}, {answer.ike.detail}.",
        notes=("the keys of the IKE SA from either end would show what it says",),
        proved=False,
    )


def _other_group(failure: Failure) -> Diagnosis:
    """The KE payload is of a group that the responder does not want (RFC 7296 1.2, 1.3)."""
    wanted = group_named(int.from_bytes(failure.data[:2], "big")) if failure.data else "another"
    sent = failure.asked.one(v2.KeyExchange)
    offered = group_named(sent.group) if sent else "none"
    offer = offer_of(failure)
    aspect = Aspect.GROUP if offer and offer.kind.protects_ike else Aspect.PFS
    listed = shown(union(offer.alternatives, aspect)) if offer else ""
    return failure.diagnosis(
        Cause.KEY_EXCHANGE,
        f"{failure.refuser} wants the KE payload in {shown((wanted,))} and got "
        f"{shown((offered,))}: it answered {failure.notify}, and {failure.asker} did not try again "
        "with that group.",
        (
            Row("KE payload", shown((offered,)), shown((wanted,)), True),
            Row(aspect.value, listed, shown((wanted,))),
        ),
    )


def _refused(failure: Failure, cause: Cause = Cause.REFUSED) -> Diagnosis:
    return failure.diagnosis(
        cause,
        f"{failure.refuser} refused {failure.exchange} of {failure.asker} with {failure.notify}; "
        "the packets and configurations do not say more.",
        proved=False,
    )
