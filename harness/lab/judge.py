# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of a run: asks every oracle, and lets a verdict stand only when they agree."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.lab.station import Station
from harness.network.faults import FaultNotUsed
from harness.network.network import Network
from harness.network.topology import Role, Subnet
from harness.network.traffic import Flow
from harness.verdict import oracles
from harness.verdict.oracles import Finding, OracleName

LOOK, SELDOM = 0.25, 1.0
"""Seconds between the first looks at the SAs of both ends, and the most between later ones."""
SETTLE = 12.0
"""Seconds of lab time for the SAs of both ends to come to rest: a rekeyed one lives on for 5."""


class OraclesDisagree(AssertionError):
    """The scenario's own assertions held, but an independent look at the run says otherwise."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("; ".join(str(finding) for finding in findings))


@dataclass
class Judge:
    """What the oracles of one network look at. Belongs to the lab's loop.

    `excused` names the oracles that the scenario opted out of, each with its reason.
    """

    network: Network
    stations: Mapping[str, Station]
    inner: tuple[Subnet, ...]
    excused: Mapping[OracleName, str]
    flows: list[tuple[Flow, str]] = field(default_factory=list)

    def follow(self, flow: Flow, may_lose: str) -> None:
        """Judge a flow at the end; a reason why it may lose is an excuse for this one alone."""
        self.flows.append((flow, may_lose))

    async def verify(self) -> None:
        """Return when all oracles agree; raises `OraclesDisagree`.

        SAs may still be on their way out when a scenario ends: they have `SETTLE` seconds.
        """
        self.network.check()
        unused = [name for wire in self.network.wires.values() for name in wire.unused]
        if unused:
            raise FaultNotUsed(f"no frame ever met the rule {', '.join(unused)}")
        findings = [*self._clear(), *self._loss(), *await self._settled()]
        findings = [finding for finding in findings if finding.oracle not in self.excused]
        if findings:
            raise OraclesDisagree(findings)

    async def _settled(self) -> list[Finding]:
        end = time.monotonic() + SETTLE
        pause = LOOK
        while True:
            findings = [f for f in await self._associations() if f.oracle not in self.excused]
            left = end - time.monotonic()
            if not findings or left <= 0:
                return findings
            first = next(iter(self.stations.values()))
            await first.journal.changed(min(left, pause))
            pause = min(2 * pause, SELDOM)

    async def _associations(self) -> list[Finding]:
        children = {name: await station.children() for name, station in self.stations.items()}
        findings = [f for name, listed in children.items() for f in oracles.one_sa(name, listed)]
        if len(children) == 2:
            findings += oracles.mirrored_children(children)
        kernels = {n: s for n, s in self.stations.items() if s.data_plane == "kernel"}
        sads = {name: await station.sad() for name, station in kernels.items()}
        for name, sad in sads.items():
            if self.stations[name].peer.negotiates:
                findings += oracles.agreement(name, children[name], sad)
        if len(sads) == 2:
            findings += oracles.mirror(sads, translated=bool(self.network.routers))
        return findings

    def _loss(self) -> Iterator[Finding]:
        for flow, may_lose in self.flows:
            if not may_lose:
                yield from oracles.loss(flow.reports)

    def _clear(self) -> Iterator[Finding]:
        markers = [marker for flow, _ in self.flows for marker in flow.markers]
        for name, wire in self.network.wires.items():
            if self._between_gateways(wire.ends):
                yield from oracles.clear(name, wire.frames, markers, self.inner)

    def _between_gateways(self, ends: tuple[str, str]) -> bool:
        """Whether only protected traffic may use a wire: no unprotected host is on it."""
        return all(
            end in self.stations or self.network.topology.node(end).role is not Role.HOST
            for end in ends
        )
