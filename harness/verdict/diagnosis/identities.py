# SPDX-License-Identifier: GPL-2.0-or-later
"""Who an end says to be, and whether that is who the other one expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v2 import IdType, PayloadType
from harness.ike.description import identity
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row, remedy
from harness.verdict.diagnosis.negotiations import Message
from harness.verdict.diagnosis.wishes import Setting

_DN_WORDS = {"EMAIL": "EMAILADDRESS", "E": "EMAILADDRESS", "S": "ST"}


@dataclass(frozen=True, slots=True)
class Claim:
    """An identity on the wire: type, data and readable text; `body` is what proofs cover."""

    id_type: int
    data: bytes
    text: str
    body: bytes


def claimed(failure: Failure) -> Claim | None:
    """Who the sender of the message that was refused says to be, None where it does not say."""
    message = failure.asked
    if failure.version == 2:
        kind = PayloadType.IDr if message.response else PayloadType.IDi
        return claim_v2(message, kind)
    payload = message.one(v1.Identification)
    if payload is None:
        # In Aggressive Mode the initiator says it in the first message and proves it in the third.
        earlier = (one for one in failure.negotiation.messages if one.number < message.number)
        own = (one.one(v1.Identification) for one in earlier if one.sender == message.sender)
        payload = next((one for one in own if one is not None), None)
    if payload is None:
        return None
    text = identity(payload.id_type, payload.data, 1)
    return Claim(payload.id_type, payload.data, text, payload.body())


def claim_v2(message: Message, payload_type: int) -> Claim | None:
    """The identity in IDi or IDr of a message."""
    payload = message.one(v2.Identification, payload_type)
    if payload is None:
        return None
    text = identity(payload.id_type, payload.data)
    return Claim(payload.id_type, payload.data, text, payload.body())


def same(configured: str, claim: Claim) -> bool:
    """Whether an identity of a configuration is the one on the wire, or has a pattern for it."""
    if claim.id_type == IdType.DER_ASN1_DN:
        return _parts(configured) in (_parts(claim.text), _parts(claim.text)[::-1])
    wanted, found = configured.lstrip("@").lower(), claim.text.lower()
    return wanted == found or ("*" in wanted and fnmatchcase(found, wanted))


def explain_identity(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """The identities if they do not agree, else None (RFC 7296 2.15 and 3.5, RFC 2409 5)."""
    asker, refuser = around.of(failure)
    rows: list[Row] = []
    remedies: list[Remedy] = []
    parts: list[str] = []
    claim = claimed(failure)
    expected = refuser.remote_identity if refuser else None
    if claim is not None and expected is not None:
        wrong = not same(expected, claim)
        rows.append(Row(f"identity of {failure.asker}", claim.text, expected, wrong))
        if wrong:
            parts.append(
                f"{failure.asker} says that it is {claim.text}, and {failure.refuser} expects "
                f"{expected}"
            )
            remedies += remedy(asker, Setting.LOCAL_IDENTITY, expected)
            remedies += remedy(refuser, Setting.REMOTE_IDENTITY, claim.text)
    asked_for = _asked_for(failure)
    own = refuser.local_identity if refuser else None
    if asked_for is not None and own is not None:
        wrong = not same(own, asked_for)
        rows.append(Row(f"identity of {failure.refuser}", asked_for.text, own, wrong))
        if wrong:
            parts.append(
                f"{failure.asker} asks for {asked_for.text}, and {failure.refuser} is {own}"
            )
            remedies += remedy(asker, Setting.REMOTE_IDENTITY, own)
            remedies += remedy(refuser, Setting.LOCAL_IDENTITY, asked_for.text)
    if not parts:
        return None
    return failure.diagnosis(
        Cause.IDENTITY,
        f"{'; '.join(parts)}: {_ended(failure)}.",
        rows,
        remedies,
    )


def _asked_for(failure: Failure) -> Claim | None:
    """Whom an initiator of IKEv2 wants to talk to: IDr in its request (RFC 7296 1.2)."""
    if failure.version != 2 or failure.asked.response:
        return None
    return claim_v2(failure.asked, PayloadType.IDr)


def _ended(failure: Failure) -> str:
    if failure.notify:
        return f"{failure.refuser} answered {failure.notify}"
    if failure.answer is not None and failure.answer.readable:
        return f"{failure.refuser} deleted the SA"
    return f"{failure.refuser} did not go on"


def _parts(text: str) -> list[tuple[str, str]]:
    return list(_split(text))


def _split(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        kind, _, value = part.partition("=")
        word = kind.strip().upper()
        yield _DN_WORDS.get(word, word), " ".join(value.split()).casefold()
