# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be agreed on for an SA, in neither IKE version's numbers: the words of a comparison.

An `Alternative` is one set of choices for an SA, as a proposal of IKEv2 is and as a transform of
IKEv1 is with one choice of each. Algorithms are the names of `harness.ike.transforms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

NONE = "none"
"""What an alternative that leaves an aspect out chooses there (RFC 7296 3.3.3)."""

ANY = "any"
"""What somebody wants who takes whatever is offered."""


class SaKind(StrEnum):
    """What is negotiated, by the name that its RFC gives it."""

    ISAKMP_SA = "ISAKMP SA"
    IPSEC_SA = "IPsec SA"
    IKE_SA = "IKE SA"
    CHILD_SA = "CHILD_SA"
    """The CHILD_SA that IKE_AUTH makes: its keys are the IKE SA's (RFC 7296 1.2)."""
    LATER_CHILD_SA = "CHILD_SA of CREATE_CHILD_SA"

    @property
    def protects_ike(self) -> bool:
        """Whether IKE messages travel in it, not packets."""
        return self in (SaKind.ISAKMP_SA, SaKind.IKE_SA)


class Aspect(StrEnum):
    """One thing that both ends must choose alike."""

    PROTOCOL = "protocol"
    ENCRYPTION = "encryption"
    INTEGRITY = "integrity"
    HASH = "hash"
    PRF = "PRF"
    GROUP = "DH group"
    PFS = "PFS group"
    ADDITIONAL_1 = "additional key exchange 1"
    ADDITIONAL_2 = "additional key exchange 2"
    ADDITIONAL_3 = "additional key exchange 3"
    ADDITIONAL_4 = "additional key exchange 4"
    ADDITIONAL_5 = "additional key exchange 5"
    ADDITIONAL_6 = "additional key exchange 6"
    ADDITIONAL_7 = "additional key exchange 7"
    SEQUENCE_NUMBERS = "sequence numbers"
    AUTHENTICATION = "authentication"
    MODE = "mode"
    LIFETIME = "lifetime"


ADDITIONAL = tuple(one for one in Aspect if one.name.startswith("ADDITIONAL"))
EXTENDED, NOT_EXTENDED = "64 bits", "32 bits"

_CHILD = (Aspect.PROTOCOL, Aspect.ENCRYPTION, Aspect.INTEGRITY)
ASPECTS: Mapping[SaKind, tuple[Aspect, ...]] = MappingProxyType(
    {
        SaKind.ISAKMP_SA: (
            Aspect.ENCRYPTION,
            Aspect.HASH,
            Aspect.GROUP,
            Aspect.AUTHENTICATION,
            Aspect.LIFETIME,
        ),
        SaKind.IPSEC_SA: (*_CHILD, Aspect.PFS, Aspect.MODE, Aspect.LIFETIME),
        SaKind.IKE_SA: (
            Aspect.ENCRYPTION,
            Aspect.INTEGRITY,
            Aspect.PRF,
            Aspect.GROUP,
            *ADDITIONAL,
        ),
        SaKind.CHILD_SA: (*_CHILD, Aspect.SEQUENCE_NUMBERS),
        SaKind.LATER_CHILD_SA: (*_CHILD, Aspect.PFS, *ADDITIONAL, Aspect.SEQUENCE_NUMBERS),
    }
)
"""What counts for each kind of SA, in the order of a table."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Choices by aspect, each in order of preference; an aspect that is left out means none."""

    choices: tuple[tuple[Aspect, tuple[str, ...]], ...]

    @classmethod
    def of(cls, choices: Mapping[Aspect, Iterable[str]]) -> Alternative:
        """The alternative with these choices, each once; those with nothing are left out."""
        found = {aspect: tuple(dict.fromkeys(values)) for aspect, values in choices.items()}
        return cls(tuple((aspect, found[aspect]) for aspect in Aspect if found.get(aspect)))

    def __getitem__(self, aspect: Aspect) -> tuple[str, ...]:
        """The choices of an aspect, one or more."""
        return next((values for one, values in self.choices if one is aspect), (NONE,))

    def __contains__(self, aspect: Aspect) -> bool:
        """Whether it says anything of an aspect."""
        return any(one is aspect for one, _ in self.choices)

    def with_choices(self, changes: Mapping[Aspect, Iterable[str]]) -> Alternative:
        """The same with other choices; `(NONE,)` leaves an aspect out."""
        found = {
            aspect: tuple(values) for aspect, values in {**dict(self.choices), **changes}.items()
        }
        return Alternative.of({one: () if it == (NONE,) else it for one, it in found.items()})

    def only(self, aspects: Iterable[Aspect]) -> Alternative:
        """The same with nothing but these aspects."""
        wanted = frozenset(aspects)
        return Alternative(tuple(one for one in self.choices if one[0] in wanted))


Alternatives = tuple[Alternative, ...]
"""In order of preference."""
