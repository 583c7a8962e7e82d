# SPDX-License-Identifier: GPL-2.0-or-later
"""A NAT router as a scenario sees it; blocks the scenario, not the lab."""

from __future__ import annotations

from dataclasses import dataclass

from harness.lab.background import Background
from harness.network.nat import Mapping, Napt


@dataclass(frozen=True)
class Router:
    """The translation in one node; every method raises NetworkError."""

    _napt: Napt
    _background: Background

    def forward(self, inside: str, *ports: int) -> None:
        """Let what comes to UDP ports of the outside through to an address inside from now on."""
        self._background.run(self._napt.forward(inside, *ports))

    def remap(self, ports: tuple[int, int]) -> None:
        """Forget every mapping and give `ports`, first and last, to the next ones."""
        self._background.run(self._napt.remap(ports))

    def expire(self) -> None:
        """Forget every mapping, as when they have been idle for too long."""
        self._background.run(self._napt.expire())

    def timeouts(self, unreplied: int, stream: int) -> None:
        """Set after how many idle seconds a UDP mapping is forgotten, before and after a reply."""
        self._background.call(self._napt.timeouts, unreplied, stream)

    def mappings(self) -> list[Mapping]:
        """The mappings of TCP and UDP that there are now."""
        return self._background.run(self._napt.mappings())
