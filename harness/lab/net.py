# SPDX-License-Identifier: GPL-2.0-or-later
"""A running network with daemons in it: what `lab.up` gives to a scenario."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.capture.captured import of_recording
from harness.capture.decryption import decrypt
from harness.capture.gathering import secrets_in
from harness.capture.secrets import Secrets
from harness.lab.background import Background
from harness.lab.gateway import Gateway
from harness.lab.judge import Judge
from harness.lab.router import Router
from harness.lab.station import Station
from harness.lab.wire import WireView, may_explain
from harness.network.network import Network
from harness.network.ping import Pings, ping
from harness.network.process import Completed
from harness.network.topology import TopologyError
from harness.network.traffic import PORT, Flow, Place, flow
from harness.peers.contract import Exited
from harness.verdict.diagnosis.configurations import wishes_in
from harness.verdict.diagnosis.context import Circumstances, Exit
from harness.verdict.diagnosis.explanation import diagnose
from harness.verdict.diagnosis.findings import Diagnosis


@dataclass(frozen=True)
class TrafficView:
    """A flow as a scenario sees it, while it runs and after."""

    flow: Flow
    _background: Background

    @property
    def lost(self) -> int:
        """How many datagrams did not arrive, both ways together."""
        return self.flow.lost

    def await_crossed(self, count: int = 1, within: float = 5.0) -> None:
        """Return when so many more datagrams have arrived each way; raises TrafficStopped."""
        self._background.run(self.flow.crossed(count, within))


class Net:
    """Nodes, wires and daemons that run; gateways are attributes by their node's name.

    `folder` is the run's, or that of the second and each later network of a run.
    """

    def __init__(
        self,
        network: Network,
        stations: Mapping[str, Station],
        judge: Judge,
        background: Background,
        folder: Path,
    ) -> None:
        self.network = network
        self.stations = stations
        self.judge = judge
        self.folder = folder
        self._background = background
        self._gateways = {name: Gateway(name, at, background) for name, at in stations.items()}
        self._flows = 0

    @property
    def secrets(self) -> Secrets:
        """What the daemons and the kernels have told so far of the keys of their SAs."""
        return secrets_in(self.folder).secrets

    def __getattr__(self, name: str) -> Gateway:
        return self.gateway(name)

    def gateway(self, name: str) -> Gateway:
        """The gateway on a node; raises AttributeError, so that it reads as `net.moon` too."""
        try:
            return self._gateways[name]
        except KeyError:
            known = ", ".join(self._gateways) or "none"
            raise AttributeError(f"this network has no gateway {name!r}; it has {known}") from None

    def wire(self, name: str) -> WireView:
        """A carried wire by its name; raises NetworkError when there is none."""
        return WireView(self.network.wire(name), self._background, self.folder)

    def router(self, name: str) -> Router:
        """A NAT router by its node's name; raises NetworkError when there is none."""
        return Router(self.network.router(name), self._background)

    def run(self, node: str, *argv: str, check: bool = True) -> Completed:
        """Run a program in any node and return what it printed; raises CommandFailed."""
        return self._background.run(self.network.node(node).run(argv, check=check))

    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """Why negotiations have failed so far, from decrypted packets and both configurations."""
        frames = sorted(
            (frame for wire in self.network.wires.values() for frame in wire.frames),
            key=lambda frame: frame.number,
        )
        secrets = self.secrets
        found = decrypt(of_recording(one for one in frames if may_explain(one)), secrets)
        return diagnose(
            Circumstances(
                found.entries,
                secrets.joined(found.secrets),
                wishes_in(self.folder),
                self._background.call(_exits, self.stations),
            )
        )

    def diagnosis(self) -> Diagnosis:
        """Why the one negotiation that failed did; raises AssertionError for none or several."""
        found = self.diagnoses()
        if len(found) != 1:
            told = "; ".join(one.sentence for one in found) or "none is seen in the packets"
            raise AssertionError(f"one failed negotiation is to be explained: {told}")
        return found[0]

    @contextlib.contextmanager
    def traffic(
        self,
        first: str,
        second: str,
        *,
        every: float = 0.05,
        size: int = 64,
        may_lose: str = "",
        seen: Mapping[str, str] | None = None,
    ) -> Iterator[TrafficView]:
        """Numbered datagrams both ways, one each way `every` seconds, during the block.

        None of them may be lost, doubled or changed, unless `may_lose` says why; none may be seen
        in clear between the gateways. `size` is in bytes. `seen` has the address to which one is
        sent, by node, where a NAT makes that another than its own.
        """
        self._flows += 1
        places = [
            dataclasses.replace(self._place(name), seen=(seen or {}).get(name, ""))
            for name in (first, second)
        ]
        entered = flow(
            *places,
            every=every,
            size=size,
            port=PORT + self._flows,
        )
        running = self._background.run(entered.__aenter__())
        self.judge.follow(running, may_lose)
        try:
            yield TrafficView(running, self._background)
        except BaseException:
            self._background.call(running.close)
            raise
        self._background.run(entered.__aexit__(None, None, None))

    def remap(self, router: str, ports: tuple[int, int]) -> None:
        """Let a NAT router forget its mappings, as a restart does; new ones get these ports."""
        self._background.run(self.network.router(router).remap(ports))

    def readdress(self, node: str, wire: str, *addresses: str) -> None:
        """Give a node's end of a wire other addresses, as in `192.168.0.3/24`, or none at all.

        Its routes over that wire are made anew where an address leads to their neighbour. Raises
        NetworkError and TopologyError.
        """
        self._background.run(self.network.readdress(node, wire, *addresses))

    def ping(self, source: str, destination: str, count: int = 1, within: float = 5.0) -> Pings:
        """Echo requests from one node to another's address, and what came back."""
        place = self._place(source)
        target = self._place(destination).address
        return self._background.run(ping(place.node, target, count=count, deadline=within))

    def _place(self, name: str) -> Place:
        node = self.network.node(name)
        ends = self.network.topology.interfaces(name)
        addresses = [address for end in ends for address in end.addresses]
        if not addresses:
            raise TopologyError(f"node {name!r} has no address that traffic could go to")
        return Place(node, str(addresses[0].ip))


def _exits(stations: Mapping[str, Station]) -> dict[str, Exit]:
    """The daemons that have ended."""
    return {
        name: Exit(entry.event.status, entry.time_ns)
        for name, station in stations.items()
        for entry in station.journal.of(Exited)
    }
