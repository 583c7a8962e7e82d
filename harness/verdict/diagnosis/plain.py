# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings spelled for an end whose dialect is not known, in plain words."""

from __future__ import annotations

from harness.verdict.diagnosis.alternatives import Alternative
from harness.verdict.diagnosis.strongswan_proposals import write_proposal
from harness.verdict.diagnosis.wishes import Setting, Spelled, Value, Wishes


class Plain:
    """Names the setting and its value: `proposals for IKE: aes256-sha256-modp1536`."""

    def spell(self, wishes: Wishes, setting: Setting, value: Value) -> tuple[Spelled, ...]:
        """See Spelling."""
        place = wishes.place(setting)
        shown = self._shown(value)
        if place is None:
            return (Spelled(f"{setting}: {shown}"),)
        return (Spelled(f"{setting}: {shown}", place.text, place.where),)

    def _shown(self, value: Value) -> str:
        if not isinstance(value, tuple):
            return str(value)
        return ", ".join(
            write_proposal(one) or str(one) if isinstance(one, Alternative) else str(one)
            for one in value
        )
