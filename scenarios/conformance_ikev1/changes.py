# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of the transforms and attributes of an SA payload, beside those for either version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.ike.attributes import Attribute
from harness.ike.payload import Payload, first
from harness.ike.payloads_v1 import Proposal, SecurityAssociation, Transform
from harness.ike.v1.script import Change
from scenarios.conformance.changes import with_each

UNKNOWN = 240
"""A number for private use that nobody gave a meaning to, of a transform or a payload."""

Proposals = tuple[Proposal[Transform], ...]
Transforms = tuple[Transform, ...]
Attributes = tuple[Attribute, ...]


def with_sa(**fields: object) -> Change:
    """A change of fields of the SA payload, by their names."""
    return with_each(SecurityAssociation, lambda own: replace(own, **fields))


def with_proposals(change: Callable[[Proposals], Proposals]) -> Change:
    """A change of the proposals, which keep the numbers that they are given."""
    return with_each(SecurityAssociation, lambda own: replace(own, proposals=change(own.proposals)))


def with_transforms(change: Callable[[Transforms], Transforms]) -> Change:
    """A change of the transforms of each proposal, which keep the numbers that they are given."""
    return with_proposals(
        lambda own: tuple(replace(one, transforms=change(one.transforms)) for one in own)
    )


def with_attributes(change: Callable[[Attributes], Attributes]) -> Change:
    """A change of the attributes of each transform."""
    return with_transforms(
        lambda own: tuple(replace(one, attributes=change(one.attributes)) for one in own)
    )


def numbered(*transforms: Transform) -> Transforms:
    """The transforms numbered from 1."""
    return tuple(replace(one, number=number) for number, one in enumerate(transforms, 1))


def chosen(payloads: tuple[Payload, ...]) -> Transform:
    """The transform that an answer took."""
    found = first(payloads, SecurityAssociation)
    assert found is not None, "there is no SA payload in the answer"
    (proposal,) = found.proposals
    (transform,) = proposal.transforms
    return transform
