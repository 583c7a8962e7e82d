# SPDX-License-Identifier: GPL-2.0-or-later
"""What an SA payload must be like in either phase, whatever it offers."""

from __future__ import annotations

from collections.abc import Container, Iterable

from harness.ike.attributes import Attribute
from harness.ike.constants_v1 import NotifyType, Situation
from harness.ike.payloads_v1 import SecurityAssociation, Transform
from harness.ike.v1.configuration import Lifetime
from harness.ike.v1.reasons import Reason
from harness.ike.v1.refusal import Refusal, Unacceptable


def check_situation(sa: SecurityAssociation) -> None:
    """Raise `Refusal` for another situation than SIT_IDENTITY_ONLY (RFC 2407 4.2)."""
    if sa.situation != Situation.IDENTITY_ONLY:
        raise Refusal(
            Reason.NO_PROPOSAL_CHOSEN,
            NotifyType.SITUATION_NOT_SUPPORTED,
            f"situation 0x{sa.situation or 0:x}, and only SIT_IDENTITY_ONLY is supported",
        )


def check_conflicts(attributes: Iterable[Attribute], several: Container[int]) -> None:
    """Raise `Unacceptable` where a type has two values (RFC 2407 4.5.2).

    Those in `several` may.
    """
    values: dict[int, int] = {}
    for one in attributes:
        if one.type not in several and values.setdefault(one.type, one.number) != one.number:
            raise Unacceptable(f"attribute {one.type} with two values")


def check_attributes(offered: Transform, answered: Transform) -> None:
    """Raise `Unacceptable` where an answer has other attributes than the offer (RFC 2409 5)."""
    here, there = (sorted(one.type for one in each.attributes) for each in (offered, answered))
    if here != there:
        raise Unacceptable(f"attributes {there} instead of {here}")


def check_lifetime(offered: Lifetime, answered: Lifetime) -> None:
    """Raise `Unacceptable` where an answer has another lifetime than the offer (RFC 2409 5)."""
    if answered != offered:
        raise Unacceptable(f"a lifetime of {answered} instead of {offered}")
