# SPDX-License-Identifier: GPL-2.0-or-later
"""The secrets of a run while it runs: what its daemons have told so far, and its kernels' SAs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.capture.gathering import secrets_in
from harness.capture.kernel_sas import read_sas
from harness.capture.secrets import Secrets
from harness.kernel.events import SaAdded, SaUpdated
from harness.lab.background import Background
from harness.lab.station import Station


@dataclass(frozen=True)
class RunSecrets:
    """Reads the secrets of a run anew each time that it is asked."""

    folder: Path
    stations: Mapping[str, Station]
    background: Background

    def told(self) -> Secrets:
        """What the daemons have written about their SAs: all that IKE needs."""
        return secrets_in(self.folder).secrets

    def all(self) -> Secrets:
        """The same, and the SAs of every kernel, those too that are gone again."""
        kernels = [
            read_sas(self.background.call(_installed, station), name).secrets
            for name, station in self.stations.items()
        ]
        return self.told().joined(*kernels)


def _installed(station: Station) -> list[Mapping[str, Any]]:
    """Every SA that the kernel was given: it tells of each, whoever made it."""
    return [
        entry.event.sa.as_json()
        for entry in station.journal.entries
        if isinstance(entry.event, SaAdded | SaUpdated)
    ]
