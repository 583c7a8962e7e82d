# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that nobody answered: from which message on, and what the capture shows around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.capture.entries import Entry, Ike, IpFragment, Status
from harness.capture.frames import PORT_NAT_T
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.verdict.diagnosis.context import Circumstances, address_of
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Row, remedy
from harness.verdict.diagnosis.icmp import Unreachable, unreachables
from harness.verdict.diagnosis.nat import situation
from harness.verdict.diagnosis.negotiations import Message
from harness.verdict.diagnosis.wishes import Setting, Wishes

AFTERWARDS_NS = 1_000_000_000
"""A daemon that ends so soon after a message, in nanoseconds, may have ended because of it."""


def explain_silence(failure: Failure, around: Circumstances) -> Diagnosis:
    """Why there is no answer, as far as the capture tells; else only from where on."""
    for explain in (_crashed, _lost, _unreachable, _fragments, _never_spoken, _behind_nat):
        found = explain(failure, around)
        if found is not None:
            return found
    return _no_answer(failure, Cause.NO_ANSWER, "")


def _crashed(failure: Failure, around: Circumstances) -> Diagnosis | None:
    found = around.exits.get(failure.refuser)
    sent = (failure.asked.again or [failure.asked.entry])[-1].frame.time_ns
    if found is None or found.time_ns > sent + AFTERWARDS_NS:
        return None
    status = found.status
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return _no_answer(failure, Cause.CRASHED, f"; the daemon of {failure.refuser} {how}")


def _lost(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A message that the wire of a lab never carried."""
    if not failure.asked.lost:
        return None
    found = _no_answer(failure, Cause.NO_ANSWER, "; the wire did not let it through")
    return replace(found, proved=True)


def _unreachable(failure: Failure, around: Circumstances) -> Diagnosis | None:
    told = _about(failure, unreachables(around.entries))
    if not told:
        return None
    first = told[0]
    return _no_answer(
        failure,
        Cause.UNREACHABLE,
        f"; {first.sender} says by ICMP that {first.what} (frame {first.number})",
    )


def _about(failure: Failure, told: Sequence[Unreachable]) -> list[Unreachable]:
    ports = failure.asked.entry.headers.ports
    target = address_of(failure, failure.refuser)
    return [
        one
        for one in told
        if one.destination == target
        and (one.port is None or ports is None or one.port == ports[1])
        and one.number >= failure.asked.number
    ]


def _fragments(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A message of which some pieces never came (RFC 7383), or IP fragments."""
    for message, sender in _cut(failure):
        seen = sorted({one.ike.fragment[0] for one in message if one.ike.fragment})
        total = max(one.ike.fragment[1] for one in message if one.ike.fragment)
        missing = [number for number in range(1, total + 1) if number not in seen]
        if missing:
            listed = ", ".join(map(str, missing))
            why = f"; of the {total} fragments of {sender} number {listed} is missing"
            return _no_answer(failure, Cause.FRAGMENTS, why)
    lost = _undelivered(failure, around)
    if lost is not None:
        return _no_answer(failure, Cause.FRAGMENTS, lost)
    pieces = [
        one
        for one in around.entries
        if isinstance(one.content, IpFragment)
        and not one.content.whole_in
        and one.number >= failure.asked.number
    ]
    if not pieces:
        return None
    why = f"; the IP fragments from {pieces[0].headers.source} (frame {pieces[0].number} on) never"
    return _no_answer(failure, Cause.FRAGMENTS, f"{why} became a whole packet")


def _cut(failure: Failure) -> Iterator[tuple[list[Message], str]]:
    """Fragments of the request and of the answer that never came together."""
    for node in (failure.asker, failure.refuser):
        own = [
            one
            for one in failure.negotiation.pieces
            if one.sender == node and one.exchange == failure.asked.exchange and one.ike.fragment
        ]
        if own:
            yield own, node


def _undelivered(failure: Failure, around: Circumstances) -> str | None:
    """A request that is whole on the wire, of which the wire kept pieces back."""
    frames = failure.asked.ike.frames
    if len(frames) < 2:
        return None
    for entry in around.entries:
        if entry.number in frames and entry.frame.comment:
            return (
                f"; it went in {len(frames)} fragments, and the wire did with frame "
                f"{entry.number}: {entry.frame.comment}"
            )
    return None


def _never_spoken(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A version or peer that the other end is not configured for; some daemons just ignore it."""
    asker, refuser = around.of(failure)
    if refuser is None or failure.asked is not failure.negotiation.messages[0]:
        return None
    if refuser.versions and failure.version not in refuser.versions:
        wanted = " or ".join(f"IKEv{one}" for one in refuser.versions)
        found = _no_answer(failure, Cause.VERSION, f"; its configuration has {wanted} only")
        row = Row("IKE version", f"IKEv{failure.version}", wanted, True)
        changes = (
            *remedy(asker, Setting.VERSION, refuser.versions[0]),
            *remedy(refuser, Setting.VERSION, failure.version),
        )
        return replace(found, rows=(row,), remedies=changes)
    return _stranger(failure, around, refuser)


def _stranger(failure: Failure, around: Circumstances, refuser: Wishes) -> Diagnosis | None:
    address = address_of(failure, failure.asker)
    if not refuser.peer_addresses or address in refuser.peer_addresses:
        return None
    wanted = " or ".join(refuser.peer_addresses)
    found = _no_answer(
        failure, Cause.NO_CONNECTION, f"; its connection is for {wanted}, not {address}"
    )
    row = Row("initiator's address", address, wanted, True)
    changes = tuple(remedy(refuser, Setting.PEER_ADDRESS, address))
    return replace(found, rows=(row,), remedies=changes)


def _behind_nat(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """Answers on port 500, and none on 4500 (RFC 3947 4, RFC 7296 2.23)."""
    ports = failure.asked.entry.headers.ports
    if ports is None or PORT_NAT_T not in ports or failure.asked is failure.negotiation.messages[0]:
        return None
    answered = [
        one
        for one in around.entries
        if isinstance(one.content, Ike)
        and one.sender == failure.refuser
        and one.headers.ports is not None
        and PORT_NAT_T in one.headers.ports
    ]
    if answered:
        return None
    found = situation(failure.negotiation)
    why = "; answers came to port 500, and none to UDP port 4500"
    if not found:
        return _no_answer(failure, Cause.NO_ANSWER, why)
    return _no_answer(failure, Cause.NAT, f"{why}; {found}")


def _no_answer(failure: Failure, cause: Cause, why: str) -> Diagnosis:
    asked = failure.asked
    again = [one for one in asked.again if one.sender == asked.sender]
    repeated = f", sent {1 + len(again)} times" if again else ""
    return failure.diagnosis(
        cause,
        f"{failure.refuser} did not answer {_message(failure)} of {failure.asker} "
        f"(frame {asked.number}{repeated}){why}.",
        notes=_notes(failure, again),
        proved=cause not in (Cause.NO_ANSWER, Cause.NAT),
        frames=(asked.number, *(one.number for one in again)),
    )


def _message(failure: Failure) -> str:
    """Which message it was: `message 5 of Main Mode`, `the IKE_AUTH request`."""
    if failure.version == 2:
        kind = "response" if failure.asked.response else "request"
        return f"the {failure.exchange} {kind}"
    same = [
        one
        for one in failure.negotiation.messages
        if (one.exchange, one.message_id) == (failure.asked.exchange, failure.asked.message_id)
    ]
    return f"message {same.index(failure.asked) + 1} of {failure.exchange}"


def _notes(failure: Failure, again: Sequence[Entry]) -> Iterator[str]:
    heard = [one for one in failure.negotiation.messages if one.sender == failure.refuser]
    if heard:
        yield f"{failure.refuser}'s last message is in frame {heard[-1].number}"
    faults = dict.fromkeys(
        f"the wire did with frame {one.number}: {one.frame.comment}"
        for one in (failure.asked.entry, *again)
        if one.frame.comment
    )
    yield from list(faults)[:3]
    first = failure.negotiation.messages[0] if failure.negotiation.messages else None
    if failure.asked is first:
        yield f"{failure.refuser} sent no IKE message at all under this SPI"
    broken = [one for one in failure.negotiation.messages if one.ike.status is Status.MALFORMED]
    if broken:
        yield f"frame {broken[0].number} is malformed: {broken[0].ike.detail}"


def explain_cookies(failure: Failure) -> Diagnosis:
    """A responder that wants a cookie again and again (RFC 7296 2.6)."""
    inits = [
        one for one in failure.negotiation.messages if one.exchange == ExchangeType.IKE_SA_INIT
    ]
    demands = [number for one in inits if one.response for number in one.numbers]
    returned = [
        number
        for one in inits
        if not one.response
        and any(each.notify_type == NotifyType.COOKIE for each in one.all(v2.Notify))
        for number in one.numbers
    ]
    if returned:
        known = f"{failure.asker} returned it {len(returned)} times, and it was not accepted"
    else:
        known = f"{failure.asker} never returned it"
    return failure.diagnosis(
        Cause.COOKIE,
        f"{failure.refuser} asked {failure.asker} {len(demands)} times for a cookie in "
        f"IKE_SA_INIT; {known}.",
        (Row("requests with a cookie", str(len(returned)), str(len(demands)), True),),
        frames=tuple(sorted((*demands, *returned))),
    )
