# SPDX-License-Identifier: GPL-2.0-or-later
"""How IKE SAs with one peer follow each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lineage:
    """The IKE SAs before and behind one, by this end's SPIs.

    Rekeying made it out of its `predecessor`, and its `successor` out of it (RFC 7296 2.18);
    `replaces` is the one whose place it takes by reauthentication (2.8.3).
    """

    predecessor: bytes | None = None
    successor: bytes | None = None
    replaces: bytes | None = None
