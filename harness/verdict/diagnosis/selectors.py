# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic selectors and proxy-ids that do not agree (RFC 7296 2.9, RFC 2409 5.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.ike import payloads_v2 as v2
from harness.ike.constants_v2 import NotifyType, PayloadType
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row, remedy
from harness.verdict.diagnosis.traffic import network, overlap, proxies, ranges, selectors
from harness.verdict.diagnosis.wishes import Setting, Wishes


def explain_selectors(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """The traffic that was asked for against the traffic that is wanted; None where that agrees.

    In IKEv2 a part in common is enough, in IKEv1 both ends must say the same.
    """
    if failure.version == 1:
        return _explain_v1(failure, around)
    return _explain_v2(failure, around)


def _explain_v2(failure: Failure, around: Circumstances) -> Diagnosis | None:
    asker, refuser = around.of(failure)
    offered = tuple(selectors(failure.asked, kind) for kind in (PayloadType.TSi, PayloadType.TSr))
    mode = None if refuser is None else _mode(failure, refuser)
    # An end that wants transport mode for whole networks may be left with nothing to ask for.
    if refuser is None or (mode is None and not all(offered)):
        return None
    wanted = (refuser.remote_subnets, refuser.local_subnets)
    agreed = [
        not theirs or not ours or overlap(ranges(failure.asked, kind), theirs)
        for kind, ours, theirs in zip(
            (PayloadType.TSi, PayloadType.TSr), offered, wanted, strict=True
        )
    ]
    if all(agreed) and mode is None:
        return None
    rows = [*_rows(failure.asker, failure.refuser, offered, wanted, agreed)]
    if mode is not None:
        rows.append(mode)
    if all(agreed) and mode is not None:
        return failure.diagnosis(
            Cause.MODE,
            f"{failure.asker} asks for {mode.offered} mode, and {failure.refuser} wants "
            f"{mode.wanted} mode: it answered {failure.notify}.",
            rows,
            [
                *remedy(asker, Setting.MODE, mode.wanted),
                *remedy(refuser, Setting.MODE, mode.offered),
            ],
        )
    return _unacceptable(failure, asker, refuser, offered, wanted, agreed, rows)


def _unacceptable(
    failure: Failure,
    asker: Wishes | None,
    refuser: Wishes | None,
    offered: Sequence[tuple[str, ...]],
    wanted: Sequence[tuple[str, ...]],
    agreed: Sequence[bool],
    rows: Iterable[Row],
) -> Diagnosis:
    told = f"it {failure.reaction}"
    return failure.diagnosis(
        Cause.SELECTORS,
        f"{failure.asker} asks for traffic {_pair(offered)}, and {failure.refuser} wants "
        f"{_pair(wanted)}: {told}.",
        rows,
        _remedies(asker, refuser, offered, wanted, agreed),
    )


def _rows(
    asker: str,
    refuser: str,
    offered: Sequence[tuple[str, ...]],
    wanted: Sequence[tuple[str, ...]],
    agreed: Sequence[bool],
) -> Iterator[Row]:
    for node, ours, theirs, good in zip((asker, refuser), offered, wanted, agreed, strict=True):
        yield Row(f"traffic of {node}", ", ".join(ours), ", ".join(theirs), not good)


def _remedies(
    asker: Wishes | None,
    refuser: Wishes | None,
    offered: Sequence[tuple[str, ...]],
    wanted: Sequence[tuple[str, ...]],
    agreed: Sequence[bool],
) -> Iterator[Remedy]:
    """Let each side say what the other one does, where they differ."""
    here = (Setting.LOCAL_SUBNETS, Setting.REMOTE_SUBNETS)
    for setting, theirs, good in zip(here, wanted, agreed, strict=True):
        if not good and theirs:
            yield from remedy(asker, setting, theirs)
    for setting, ours, good in zip(reversed(here), offered, agreed, strict=True):
        if not good and ours:
            yield from remedy(refuser, setting, ours)


def _pair(both: Sequence[tuple[str, ...]]) -> str:
    return " === ".join(", ".join(one) or "?" for one in both)


def _mode(failure: Failure, refuser: Wishes) -> Row | None:
    """Transport mode where the other end wants tunnel mode (RFC 7296 1.3.1)."""
    asks = any(
        one.notify_type == NotifyType.USE_TRANSPORT_MODE for one in failure.asked.all(v2.Notify)
    )
    if refuser.mode is None or not asks or refuser.mode == "transport":
        return None
    return Row("mode", "transport", refuser.mode, True)


# -- IKEv1's identities of phase 2 --------------------------------------------------------------


def _explain_v1(failure: Failure, around: Circumstances) -> Diagnosis | None:
    asker, refuser = around.of(failure)
    quick = [
        one
        for one in failure.negotiation.messages
        if one.message_id == failure.asked.message_id and one.exchange == failure.asked.exchange
    ]
    first = quick[0]
    asked = proxies(first)
    if asked is None:
        return None
    if failure.asked is not first:
        # The responder's answer was not taken: it must repeat the identities (RFC 2409 5.5).
        answered = proxies(failure.asked)
        if answered is None or answered == asked:
            return None
        return _mismatched(failure, asker, refuser, asked, answered)
    if refuser is None or not (refuser.remote_subnets or refuser.local_subnets):
        return None
    wanted = (refuser.remote_subnets, refuser.local_subnets)
    offered = ((asked[0],), (asked[1],))
    agreed = [
        not theirs or network(ours[0]) in [network(one) for one in theirs]
        for ours, theirs in zip(offered, wanted, strict=True)
    ]
    if all(agreed):
        return None
    rows = _rows(failure.asker, failure.refuser, offered, wanted, agreed)
    return _unacceptable(failure, asker, refuser, offered, wanted, agreed, rows)


def _mismatched(
    failure: Failure,
    asker: Wishes | None,
    refuser: Wishes | None,
    asked: tuple[str, str],
    answered: tuple[str, str],
) -> Diagnosis:
    """Here `asker` is who answered, and `refuser` began the Quick Mode."""
    agreed = [ours == theirs for ours, theirs in zip(asked, answered, strict=True)]
    initiator, responder = failure.refuser, failure.asker
    offered, wanted = [(one,) for one in asked], [(one,) for one in answered]
    rows = tuple(
        Row(one.what, one.wanted, one.offered, one.differs)
        for one in _rows(initiator, responder, offered, wanted, agreed)
    )
    return failure.diagnosis(
        Cause.SELECTORS,
        f"{initiator} asked for traffic {_pair(offered)}, and {responder} answered with "
        f"{_pair(wanted)}, which is not the same: "
        f"{initiator} {failure.reaction}.",
        rows,
        _remedies(refuser, asker, offered, wanted, agreed),
    )
