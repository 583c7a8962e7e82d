# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals that were refused: which transform differs, or what else the refusal may mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.ike import payloads_v1 as v1
from harness.ike import payloads_v2 as v2
from harness.verdict.diagnosis.alternatives import (
    ANY,
    ASPECTS,
    NONE,
    Alternative,
    Alternatives,
    Aspect,
    SaKind,
)
from harness.verdict.diagnosis.comparison import Nearest, compare, only_key_length
from harness.verdict.diagnosis.context import Circumstances, address_of
from harness.verdict.diagnosis.failures import Failure, Stage
from harness.verdict.diagnosis.findings import Cause, Diagnosis, Remedy, Row, remedy
from harness.verdict.diagnosis.methods import method_remedies
from harness.verdict.diagnosis.offers import lifetime_text, offered_v1, offered_v2, union
from harness.verdict.diagnosis.strongswan_proposals import write_proposal
from harness.verdict.diagnosis.wishes import Lifetime, Setting, Wishes, proposals_of

KEY_LENGTH = "key length"
UNKNOWN_LIFETIME = Lifetime()
MOST_LISTED = 6
MOST_CHOICES = 5
"""More than so many choices are cut in a cell: a daemon's default has dozens."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What an SA payload offers."""

    kind: SaKind
    alternatives: Alternatives


def offer_of(failure: Failure) -> Offer | None:
    """What was offered in the message that was refused, or None where it had no SA payload."""
    if failure.version == 1:
        payload = failure.asked.one(v1.SecurityAssociation)
        return None if payload is None else Offer(*offered_v1(payload))
    association = failure.asked.one(v2.SecurityAssociation)
    if association is None:
        return None
    later = failure.exchange == "CREATE_CHILD_SA"
    return Offer(*offered_v2(association, later=later))


def explain_proposals(failure: Failure, around: Circumstances) -> Diagnosis:
    """Why proposals were refused with NO_PROPOSAL_CHOSEN (RFC 7296 2.7, RFC 2409 5)."""
    asker, refuser = around.of(failure)
    offer = offer_of(failure)
    if offer is None:
        return _undecided(failure, (), "the message that was refused has no SA payload")
    if refuser is None:
        rows = tuple(_rows(offer, offer.alternatives, (), ()))
        known = f"what {failure.refuser} wants is in no packet, and its configuration is not known"
        return _undecided(failure, rows, known)
    elsewhere = _other_reason(failure, offer, asker, refuser)
    if elsewhere is not None:
        return elsewhere
    wanted = refuser.alternatives(offer.kind)
    aspects = tuple(one for one in ASPECTS[offer.kind] if one is not Aspect.LIFETIME)
    nearest = compare(offer.alternatives, wanted, aspects)
    if nearest is None:
        rows = tuple(_rows(offer, offer.alternatives, (), ()))
        return _undecided(
            failure, rows, f"the configuration of {failure.refuser} names no proposals"
        )
    if nearest.differing:
        return _difference(failure, offer, nearest, asker, refuser)
    lifetime = _lifetime(failure, offer, nearest, asker, refuser)
    if lifetime is not None:
        return lifetime
    rows = tuple(_rows(offer, offer.alternatives, wanted, ()))
    return _undecided(
        failure, rows, f"a proposal is acceptable by the configuration of {failure.refuser}"
    )


def explain_mode(failure: Failure, around: Circumstances) -> Diagnosis | None:
    """Tunnel against transport mode, where a Quick Mode is refused for its identities.

    A responder looks for its connection by both; what it then minds its answer does not say.
    """
    asker, refuser = around.of(failure)
    offer = offer_of(failure)
    if offer is None or refuser is None or refuser.mode is None:
        return None
    offered = union(offer.alternatives, Aspect.MODE)
    if refuser.mode in offered:
        return None
    return failure.diagnosis(
        Cause.MODE,
        f"{failure.asker} asks for {offered[0]} mode, and {failure.refuser} wants "
        f"{refuser.mode} mode: it answered {failure.notify}.",
        (Row(Aspect.MODE.value, offered[0], refuser.mode, True),),
        (
            *remedy(asker, Setting.MODE, refuser.mode),
            *remedy(refuser, Setting.MODE, offered[0]),
        ),
    )


# -- what differs -------------------------------------------------------------------------------


def _difference(
    failure: Failure, offer: Offer, nearest: Nearest, asker: Wishes | None, refuser: Wishes
) -> Diagnosis:
    wanted = refuser.alternatives(offer.kind)
    notes = [*_listed(failure.asker, "offers", offer.alternatives, offer.kind)]
    notes += _listed(failure.refuser, "accepts", wanted, offer.kind)
    if offer.kind in refuser.defaults:
        notes.append(
            f"{failure.refuser} goes by its daemon's default proposals too: "
            "its configuration does not close the list"
        )
    if Aspect.MODE in nearest.differing and len(nearest.differing) == 1:
        cause = Cause.MODE
    elif nearest.differing == (Aspect.AUTHENTICATION,):
        cause = Cause.METHOD
    else:
        cause = Cause.PROPOSAL
    return failure.diagnosis(
        cause,
        f"{failure.refuser} wants {_told(nearest, wanted=True)} for the {offer.kind} and was "
        f"offered {_told(nearest, wanted=False)}: it answered {failure.notify}.",
        _rows(
            offer,
            (nearest.offered,),
            (nearest.wanted,),
            nearest.differing,
            refuser.lifetimes.get(offer.kind, UNKNOWN_LIFETIME),
        ),
        _remedies(offer.kind, nearest, asker, refuser),
        notes,
    )


def _told(nearest: Nearest, *, wanted: bool) -> str:
    """The differing choices of one side in a sentence: `the DH group MODP 1536`."""
    parts = []
    for aspect in nearest.differing:
        ours = (nearest.wanted if wanted else nearest.offered)[aspect]
        theirs = (nearest.offered if wanted else nearest.wanted)[aspect]
        label = _label(aspect, ours, theirs)
        name = shown(ours)
        if ours == (NONE,):
            parts.append(f"no {label}")
        elif not wanted and len(nearest.differing) == 1 and theirs != (NONE,):
            parts.append(name)
        else:
            parts.append(f"the {label} {name}")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _label(aspect: Aspect, ours: Iterable[str], theirs: Iterable[str]) -> str:
    if aspect is Aspect.ENCRYPTION and only_key_length(ours, theirs):
        return f"{KEY_LENGTH} of"
    return aspect.value


def shown(choices: Iterable[str]) -> str:
    """Choices in a cell or sentence; groups as people write them: `MODP 1536`."""
    named = [
        one.replace("_", " ") if one.startswith(("MODP_", "ECP_", "BRAINPOOL_")) else one
        for one in choices
    ]
    more = len(named) - MOST_CHOICES
    if more > 0:
        return f"{', '.join(named[:MOST_CHOICES])} or {more} more"
    return " or ".join(named)


def _rows(
    offer: Offer,
    offered: Alternatives,
    wanted: Alternatives,
    differing: Iterable[Aspect],
    lifetime: Lifetime = UNKNOWN_LIFETIME,
) -> Iterator[Row]:
    different = frozenset(differing)
    for aspect in ASPECTS[offer.kind]:
        if not any(aspect in one for one in (*offered, *wanted)):
            continue
        cells = (_cell(offered, aspect), _cell(wanted, aspect))
        if aspect is Aspect.LIFETIME and not cells[1]:
            cells = (cells[0], lifetime_text(lifetime.seconds, lifetime.kilobytes))
        what = aspect.value
        if aspect is Aspect.ENCRYPTION and aspect in different:
            same = only_key_length(union(offered, aspect), union(wanted, aspect))
            what = KEY_LENGTH if same else what
        yield Row(what, *cells, aspect in different)


def _cell(alternatives: Alternatives, aspect: Aspect) -> str:
    if not alternatives:
        return ""
    choices = union(alternatives, aspect)
    return "" if aspect is Aspect.LIFETIME and choices == (NONE,) else shown(choices)


def _listed(node: str, verb: str, alternatives: Alternatives, kind: SaKind) -> Iterator[str]:
    """A note with all alternatives of a side that has more than the one in the table."""
    if len(alternatives) < 2:
        return
    written = [write_proposal(one.only(ASPECTS[kind])) or "?" for one in alternatives]
    more = len(written) - MOST_LISTED
    rest = f" and {more} more" if more > 0 else ""
    listed = ", ".join(dict.fromkeys(written[:MOST_LISTED]))
    yield f"{node} {verb} {len(written)} alternatives, the nearest is shown: {listed}{rest}"


# -- how to mend it -----------------------------------------------------------------------------


def _remedies(
    kind: SaKind,
    nearest: Nearest,
    asker: Wishes | None,
    refuser: Wishes,
) -> Iterator[Remedy]:
    """Let each side take what the other one has, where it differs."""
    if Aspect.AUTHENTICATION in nearest.differing:
        yield from _methods(nearest, asker, refuser)
    if asker is not None:
        own = asker.alternatives(kind)
        mine = compare(own, (nearest.offered,), ASPECTS[kind][:-1])
        place = own.index(mine.offered) if mine is not None else 0
        changes = {one: nearest.wanted[one] for one in nearest.differing}
        yield from _changed(asker, kind, place, changes, nearest.wanted)
    place = refuser.alternatives(kind).index(nearest.wanted)
    changes = {one: nearest.offered[one] for one in nearest.differing}
    yield from _changed(refuser, kind, place, changes, nearest.offered)


def _methods(nearest: Nearest, asker: Wishes | None, refuser: Wishes) -> Iterator[Remedy]:
    for wishes, other, chosen in (
        (asker, refuser, nearest.wanted),
        (refuser, asker, nearest.offered),
    ):
        method = "psk" if chosen[Aspect.AUTHENTICATION][0] == "pre-shared key" else "pubkey"
        name = "the other end" if other is None else other.node
        yield from method_remedies(wishes, method, name, other)


def _changed(
    wishes: Wishes,
    kind: SaKind,
    place: int,
    changes: Mapping[Aspect, tuple[str, ...]],
    other: Alternative,
) -> Iterator[Remedy]:
    """The settings of one side that give it these choices; `other` is what the other side has."""
    # One choice is enough to agree on: the one that the other side likes best.
    changes = {aspect: values[:1] for aspect, values in changes.items() if ANY not in values}
    if Aspect.MODE in changes:
        yield from remedy(wishes, Setting.MODE, changes[Aspect.MODE][0])
    algorithms: dict[Aspect, tuple[str, ...]] = {
        aspect: values
        for aspect, values in changes.items()
        if aspect not in (Aspect.MODE, Aspect.AUTHENTICATION)
    }
    if not algorithms:
        return
    # A CHILD_SA of IKE_AUTH has no group, but its configuration may have one for later ones.
    full = SaKind.LATER_CHILD_SA if kind is SaKind.CHILD_SA else kind
    own = wishes.alternatives(full)
    if kind in wishes.defaults or len(own) <= place:
        # Nothing is closed yet: what is named from now on takes the place of the default.
        yield from remedy(wishes, proposals_of(kind), (other,))
        return
    changed = own[place].with_choices(algorithms)
    value = (*own[:place], changed, *own[place + 1 :])
    yield from remedy(wishes, proposals_of(kind), tuple(dict.fromkeys(value)))


# -- what else the refusal may mean -------------------------------------------------------------


def _other_reason(
    failure: Failure, offer: Offer, asker: Wishes | None, refuser: Wishes
) -> Diagnosis | None:
    """A refusal of the whole peer: strongSwan says NO_PROPOSAL_CHOSEN for these too."""
    if failure.stage is not Stage.IKE or not offer.kind.protects_ike:
        return None
    if refuser.versions and failure.version not in refuser.versions:
        return _version(failure, asker, refuser)
    address = address_of(failure, failure.asker)
    if refuser.peer_addresses and address not in refuser.peer_addresses:
        return _no_connection(failure, address, refuser)
    return None


def _version(failure: Failure, asker: Wishes | None, refuser: Wishes) -> Diagnosis:
    wanted = " or ".join(f"IKEv{one}" for one in refuser.versions)
    remedies = [
        *remedy(asker, Setting.VERSION, refuser.versions[0]),
        *remedy(refuser, Setting.VERSION, failure.version),
    ]
    return failure.diagnosis(
        Cause.VERSION,
        f"{failure.asker} speaks IKEv{failure.version}, and {failure.refuser} is configured for "
        f"{wanted} only: it answered {failure.notify}.",
        (Row("IKE version", f"IKEv{failure.version}", wanted, True),),
        remedies,
    )


def _no_connection(failure: Failure, address: str, refuser: Wishes) -> Diagnosis:
    wanted = " or ".join(refuser.peer_addresses)
    return failure.diagnosis(
        Cause.NO_CONNECTION,
        f"{failure.refuser} has no connection for the address {address}, from which "
        f"{failure.asker} asks; its connection is for {wanted}: it answered {failure.notify}.",
        (Row("initiator's address", address, wanted, True),),
        tuple(remedy(refuser, Setting.PEER_ADDRESS, address)),
    )


def _lifetime(
    failure: Failure, offer: Offer, nearest: Nearest, asker: Wishes | None, refuser: Wishes
) -> Diagnosis | None:
    """A lifetime that a responder minds, as racoon's strict and exact do (IKEv1 only)."""
    own = refuser.lifetimes.get(offer.kind)
    check = refuser.checks.get(offer.kind)
    if own is None or check not in ("strict", "exact") or failure.version != 1:
        return None
    wanted = lifetime_text(own.seconds, own.kilobytes) or "unlimited"
    offered = shown(nearest.offered[Aspect.LIFETIME])
    if offered == wanted:
        return None
    rows = [
        Row(one.what, one.offered, wanted, True) if one.what == Aspect.LIFETIME.value else one
        for one in _rows(offer, (nearest.offered,), (nearest.wanted,), ())
    ]
    words = "exactly" if check == "exact" else "at most"
    setting = Setting.IKE_LIFETIME if offer.kind is SaKind.ISAKMP_SA else Setting.CHILD_LIFETIME
    seconds = offered.partition(" s")[0]
    remedies = [*remedy(asker, setting, own.seconds)]
    if seconds.isdigit():
        remedies += remedy(refuser, setting, int(seconds))
    return failure.diagnosis(
        Cause.LIFETIME,
        f"{failure.refuser} wants {words} the lifetime {wanted} for the {offer.kind} and was "
        f"offered {offered}: it answered {failure.notify}.",
        rows,
        remedies,
    )


def _undecided(failure: Failure, rows: tuple[Row, ...], known: str) -> Diagnosis:
    return failure.diagnosis(
        Cause.PROPOSAL,
        f"{failure.refuser} refused the proposals of {failure.asker} with {failure.notify}; which "
        f"transform it minds the packets do not say: {known}.",
        rows,
        proved=False,
    )
