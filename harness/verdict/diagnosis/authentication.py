# SPDX-License-Identifier: GPL-2.0-or-later
"""Proofs of identity that were not accepted: who, with which secret, by which method."""

from __future__ import annotations

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.ike.constants_v1 import ExchangeType
from harness.ike.constants_v2 import AuthMethod
from harness.verdict.diagnosis.certificates import certificates_in, explain_certificate
from harness.verdict.diagnosis.context import Circumstances
from harness.verdict.diagnosis.failures import Failure
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Row, remedy
from harness.verdict.diagnosis.identities import claimed, explain_identity
from harness.verdict.diagnosis.methods import method_remedies
from harness.verdict.diagnosis.wishes import Setting, Wishes

PSK = "pre-shared key"


def explain_authentication(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """What packets and configurations decide of a failed authentication, None where nothing."""
    for explain in (
        explain_identity,
        _explain_method,
        _explain_secret,
        explain_certificate,
        _explain_signature,
        _explain_own_key,
    ):
        found = explain(failure, around)
        if found is not None:
            return found
    return None


def undecided(failure: Failure, around: Circumstances) -> Diagnosis:
    """What is known of a failed authentication that nothing explains."""
    _, refuser = around.of(failure)
    claim = claimed(failure)
    who = f", which says that it is {claim.text}," if claim else ""
    known = ["the packets do not say why"]
    if refuser is None:
        known.append(f"the configuration of {failure.refuser} is not known")
    if _by_the_secret_of(failure, refuser):
        known = [f"the proof is good by the secret of {failure.refuser}", *known]
    return failure.diagnosis(
        Cause.AUTHENTICATION,
        f"{failure.refuser} did not authenticate {failure.asker}{who} in {failure.exchange}"
        f"{f': it answered {failure.notify}' if failure.notify else ''}; {', and '.join(known)}.",
        (Row(f"identity of {failure.asker}", claim.text, ""),) if claim else (),
        proved=False,
    )


# -- the method ---------------------------------------------------------------------------------


def _explain_method(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A pre-shared key where a signature is expected, or the other way round."""
    asker, refuser = around.of(failure)
    used = _method_used(failure)
    if not used or refuser is None or refuser.method in (None, used):
        return None
    words = {"psk": f"a {PSK}", "pubkey": "a signature"}
    wanted = words[refuser.method or ""]
    return failure.diagnosis(
        Cause.METHOD,
        f"{failure.asker} authenticates with {words[used]}, and {failure.refuser} expects "
        f"{wanted}: it answered {failure.notify or 'nothing'}.",
        (Row("authentication", words[used], wanted, True),),
        (
            *method_remedies(asker, refuser.method or "", failure.refuser, refuser),
            *method_remedies(refuser, used, failure.asker, asker),
        ),
    )


def _method_used(failure: Failure) -> str:
    """How the message proves who sent it: `psk`, `pubkey`, or nothing where it does not."""
    if failure.version == 1:
        if failure.asked.one(v1.Signature) is not None:
            return "pubkey"
        return "psk" if failure.asked.one(v1.Hash) is not None else ""
    proof = failure.asked.one(v2.Authentication)
    if proof is None:
        return ""
    return "psk" if proof.method == AuthMethod.SHARED_KEY_MESSAGE_INTEGRITY_CODE else "pubkey"


# -- the secret ---------------------------------------------------------------------------------


def _explain_secret(failure: Failure, around: Circumstances) -> Diagnosis | None:
    asker, refuser = around.of(failure)
    if certificates_in(failure) or (refuser is not None and refuser.method == "pubkey"):
        return None
    theirs = refuser.secret if refuser else None
    ours = asker.secret if asker else None
    verified = _by_the_secret_of(failure, refuser)
    if verified is True:
        return None
    if verified is False:
        payload = "HASH" if failure.version == 1 else "AUTH"
        return _secret(
            failure,
            asker,
            refuser,
            f"{payload} of {failure.asker} does not verify under the secret of {failure.refuser}",
        )
    if ours is None or theirs is None or ours == theirs:
        return None
    return _secret(
        failure,
        asker,
        refuser,
        f"{failure.asker} and {failure.refuser} have different secrets in their configurations",
    )


def _by_the_secret_of(failure: Failure, wishes: Wishes | None) -> bool | None:
    """Whether the proof was made with the secret of a side; None where nothing can tell."""
    proof = failure.asked.ike.proof
    if proof is None or wishes is None:
        return None
    if wishes.node in proof.by:
        return True
    return False if wishes.node in proof.not_by else None


def _secret(
    failure: Failure, asker: Wishes | None, refuser: Wishes | None, evidence: str
) -> Diagnosis:
    notes = []
    if failure.exchange == "Main Mode" and not failure.notify:
        # The keys of IKEv1 are made with the secret, so that the other end sees garbage.
        notes.append(
            f"{failure.refuser} cannot even decrypt the message: in Main Mode its keys depend on "
            "the secret"
        )
    if failure.answer is not None and not failure.answer.readable:
        notes.append(
            f"the answer in frame {failure.answer.number} is encrypted with other keys than "
            f"those of {failure.asker}"
        )
    return failure.diagnosis(
        Cause.SECRET,
        f"{failure.asker} and {failure.refuser} do not have the same pre-shared key: {evidence}; "
        f"{failure.refuser} {failure.reaction}.",
        (
            Row(
                PSK,
                f"the secret of {failure.asker}",
                f"another one, that of {failure.refuser}",
                True,
            ),
        ),
        (
            *remedy(asker, Setting.SECRET, f"the secret of {failure.refuser}"),
            *remedy(refuser, Setting.SECRET, f"the secret of {failure.asker}"),
        ),
        notes,
    )


# -- the signature ------------------------------------------------------------------------------


def _explain_signature(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A signature that the key of the sender's own certificate did not make."""
    proof = failure.asked.ike.proof
    if proof is None or proof.verified is not False or not certificates_in(failure):
        return None
    return failure.diagnosis(
        Cause.AUTHENTICATION,
        f"{failure.refuser} cannot take the proof of {failure.asker}: its {proof}; "
        f"{failure.refuser} {failure.reaction}.",
        (Row("signature", "by another key", "by the key of the certificate", True),),
    )


# -- an end that cannot sign --------------------------------------------------------------------


def _explain_own_key(failure: Failure, around: Circumstances) -> Diagnosis | None:
    # Keys take longer to import than all the rest, and most failures are of something else.
    if not any(one.private_keys is not None for one in around.wishes):
        return None
    from harness.verdict.diagnosis.own_keys import explain_own_key

    return explain_own_key(failure, around)


# -- Aggressive Mode ----------------------------------------------------------------------------


def explain_aggressive(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """A refusal of Aggressive Mode itself: its first message proves nothing yet (RFC 2409 5.4)."""
    first = failure.negotiation.messages[0]
    if failure.asked is not first or first.exchange != ExchangeType.AGGRESSIVE:
        return None
    asker, refuser = around.of(failure)
    if refuser is not None and refuser.accepts_aggressive:
        return None
    # An end that is configured for Aggressive Mode takes no Main Mode either.
    both = refuser is not None and refuser.aggressive
    return failure.diagnosis(
        Cause.EXCHANGE_MODE,
        f"{failure.refuser} refuses Aggressive Mode: it answered {failure.notify} to the first "
        f"message of {failure.asker}, which proves nothing yet.",
        (Row("exchange mode", "Aggressive Mode", "Main Mode", True),),
        (
            *(() if both else remedy(asker, Setting.EXCHANGE, "main")),
            *remedy(refuser, Setting.EXCHANGE, "aggressive"),
            *remedy(refuser, Setting.AGGRESSIVE_PSK, True),
        ),
        (
            *(["Main Mode would have to be configured on both sides"] if both else ()),
            f"in Aggressive Mode the answer would show a hash made with the {PSK}: whoever sees "
            "the first two messages can try secrets offline",
        ),
        proved=refuser is not None and refuser.accepts_aggressive is False,
    )
