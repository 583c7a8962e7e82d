# SPDX-License-Identifier: GPL-2.0-or-later
"""The instants in the life of an IKE SA."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Times:
    """When the peer was last heard and last spoken to, and what is due when; None is never.

    What is closed or rekeyed is forgotten at `expires_at`, what lives is deleted then.
    """

    heard: float
    spoke: float
    rekey_at: float | None = None
    reauthenticate_at: float | None = None
    expires_at: float | None = None
