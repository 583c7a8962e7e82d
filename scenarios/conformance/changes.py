# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of a message for a script, beside those of `harness.ike.v2.script`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.ike.payload import Payload, first
from harness.ike.proposals import Proposal
from harness.ike.sa_v2 import SecurityAssociation, Transform
from harness.ike.v2.message import Plain
from harness.ike.v2.script import Change

Proposals = tuple[Proposal[Transform], ...]


def reordered(plain: Plain) -> Plain:
    """The message with its payloads in the opposite order."""
    return with_all(lambda payloads: payloads[::-1])(plain)


def with_all(change: Callable[[tuple[Payload, ...]], tuple[Payload, ...]]) -> Change:
    """A change of all payloads at once."""
    return lambda plain: replace(
        plain, message=replace(plain.message, payloads=change(plain.payloads))
    )


def with_each(kind: type, change: Callable[..., Payload]) -> Change:
    """A change of each payload of one type."""
    return with_all(
        lambda payloads: tuple(change(one) if isinstance(one, kind) else one for one in payloads)
    )


def with_proposals(change: Callable[[Proposals], Proposals]) -> Change:
    """A change of the proposals of the SA payload; they are numbered anew, from 1."""

    def renumbered(payload: SecurityAssociation) -> SecurityAssociation:
        proposals = (
            replace(one, number=number) for number, one in enumerate(change(payload.proposals), 1)
        )
        return replace(payload, proposals=tuple(proposals))

    return with_each(SecurityAssociation, renumbered)


def with_numbers(*numbers: int) -> Change:
    """A change of the proposals' numbers, in their order."""
    return with_each(
        SecurityAssociation,
        lambda own: replace(
            own,
            proposals=tuple(
                replace(one, number=number)
                for one, number in zip(own.proposals, numbers, strict=True)
            ),
        ),
    )


def reserved(payload: SecurityAssociation) -> SecurityAssociation:
    """The SA payload with every reserved octet of its proposals and transforms set."""
    return replace(
        payload,
        proposals=tuple(
            replace(
                one,
                reserved=0xFF,
                transforms=tuple(
                    replace(each, reserved=0xFF, reserved_type=0xFF) for each in one.transforms
                ),
            )
            for one in payload.proposals
        ),
    )


def unknown(proposal: Proposal[Transform], kind: int) -> Proposal[Transform]:
    """The proposal with its transforms of one type being some that nobody knows."""
    transforms = tuple(
        replace(one, id=1_023) if one.type == kind else one for one in proposal.transforms
    )
    return replace(proposal, transforms=transforms)


def chosen(payloads: tuple[Payload, ...]) -> Proposal[Transform]:
    """The proposal that a response took."""
    found = first(payloads, SecurityAssociation)
    assert found is not None, "there is no SA payload in the answer"
    (proposal,) = found.proposals
    return proposal
