# SPDX-License-Identifier: GPL-2.0-or-later
"""What is offered against what is wanted: where two lists of alternatives come nearest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from harness.ike.transforms import UnknownAlgorithm, encryption
from harness.verdict.diagnosis.alternatives import ANY, Alternative, Alternatives, Aspect


@dataclass(frozen=True, slots=True)
class Nearest:
    """The offered and the wanted alternative that differ least, and where they differ.

    `differing` is empty where they can be agreed on.
    """

    offered: Alternative
    wanted: Alternative
    differing: tuple[Aspect, ...]


def compare(
    offered: Alternatives, wanted: Alternatives, aspects: Iterable[Aspect]
) -> Nearest | None:
    """The pair that differs in the fewest aspects, the most preferred of those that are alike.

    An algorithm with another key length differs less than another algorithm. None where either
    side has nothing.
    """
    listed = tuple(aspects)
    pairs = [
        Nearest(one, other, tuple(a for a in listed if differs(one, other, a)))
        for one, other in product(offered, wanted)
    ]
    return min(pairs, key=_distance, default=None)


def differs(one: Alternative, other: Alternative, aspect: Aspect) -> bool:
    """Whether the two have no choice of an aspect in common."""
    ours, theirs = one[aspect], other[aspect]
    return ANY not in ours and ANY not in theirs and not set(ours) & set(theirs)


def only_key_length(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether two sets of encryption algorithms differ in nothing but the length of the key."""
    here, there = ({_without_length(name) for name in names} for names in (ours, theirs))
    return bool(here & there)


def _distance(pair: Nearest) -> tuple[int, int]:
    other = sum(
        1
        for aspect in pair.differing
        if aspect is not Aspect.ENCRYPTION
        or not only_key_length(pair.offered[aspect], pair.wanted[aspect])
    )
    return len(pair.differing), other


def _without_length(name: str) -> str:
    try:
        return encryption(name).rfc_name
    except UnknownAlgorithm:
        return name
