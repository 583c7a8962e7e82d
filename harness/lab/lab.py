# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab of one run: builds what a scenario asks for, judges it, keeps the evidence."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from harness.capture.configured import CONFIGURATION
from harness.capture.recording import Recording
from harness.lab.background import Background
from harness.lab.event_log import EventLog
from harness.lab.judge import Judge
from harness.lab.net import Net
from harness.lab.station import Station
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topology import Subnet, Topology, TopologyError
from harness.peers.connection import Connection
from harness.peers.contract import Configuration, DataPlane, NativeFile, Peer, Unsupported
from harness.peers.planes import plane_of
from harness.verdict.oracles import OracleName

Clock = Literal["real", "virtual"]

_ENCODE = json.JSONEncoder(sort_keys=True).encode


class Roots(Protocol):
    """Where the root file systems of images are."""

    def __call__(self, image: str) -> Path:
        """The directory of an image, ready to be the lower layer of a node."""
        ...


class Lab:
    """What the fixture `lab` gives to a scenario; `up` is its one verb.

    `folder` is the run's folder; under a virtual `clock` nothing takes longer than it must.
    Sabotage controls break on purpose what a scenario claims: with `rewrite`, given a node and its
    configuration, and with `disturb`, given the network when it is up. `rules` are those that the
    scenario looks at one by one, each with what came of it.
    `data_plane` is that of every peer which says nothing else; `data_planes` tells it by node.
    `front_end` is the dialect of the files that a strongSwan gets where a scenario has several.
    With `keep_nodes` its nodes are left to the end of the spawner, which ends soon.
    """

    def __init__(
        self,
        folder: Path,
        background: Background,
        spawner: Spawner,
        roots: Roots,
        data_plane: DataPlane,
        clock: Clock = "real",
        *,
        keep_nodes: bool = False,
    ) -> None:
        self.folder = folder
        self.data_plane = data_plane
        self.clock = clock
        self.front_end = "ipsec.conf"
        self.excused: dict[OracleName, str] = {}
        self.rules: dict[str, str] = {}
        self.peers: dict[str, str] = {}
        self.data_planes: dict[str, DataPlane] = {}
        self.rewrite: Callable[[str, Configuration], Configuration] = lambda node, as_asked: (
            as_asked
        )
        self.disturb: Callable[[Net], None] = lambda net: None
        self._background = background
        self._spawner = spawner
        self._roots = roots
        self._keep_nodes = keep_nodes
        self._nets: list[Net] = []
        self._logs: list[EventLog] = []
        self._networks = 0
        self._stack = contextlib.AsyncExitStack()

    def up(
        self,
        topology: Topology,
        *,
        connection: Connection | None = None,
        dialect: str | Mapping[str, str] | None = None,
        native: Mapping[str, Sequence[NativeFile]] | None = None,
        options: Mapping[str, Mapping[str, str | int]] | None = None,
        without: Mapping[OracleName, str] | None = None,
        **peers: Peer,
    ) -> Net:
        """Build the topology with a peer on each named node, and return it when all can negotiate.

        Both ends get their side of `connection`, in `dialect` where a peer has it, else in the one
        that it prefers; a mapping has a dialect for each node that needs one. `native` has files in
        it for a node instead, `options` a daemon's own settings by node. Every oracle watches, but
        for those in `without`, each with the reason that the report shows. Raises NetworkError,
        `PeerError` and what comes under them, TopologyError for a name that nothing has, and
        ValueError for an oracle that there is not. The evidence of a second network, also of one
        after a failure, is in the folder `network-2` of the run's.
        """
        named = {"a native file": native or {}, "an option": options or {}}
        if isinstance(dialect, Mapping):
            named["a dialect"] = dialect
        _check_nodes(topology, peers, named)
        _check_oracles(without or {})
        if connection is not None:
            _check_ends(connection, [name for name, peer in peers.items() if peer.negotiates])
        self.excused.update(without or {})
        self.peers.update((node, peer.name) for node, peer in peers.items())
        planes = {node: plane_of(peer, self.data_plane) for node, peer in peers.items()}
        self.data_planes.update(planes)
        net = self._background.run(
            self._up(topology, connection, dialect, native or {}, options or {}, peers)
        )
        self._nets.append(net)
        self.disturb(net)
        return net

    def verify(self) -> None:
        """Return when every oracle agrees with a pass; raises `OraclesDisagree`."""
        for net in self._nets:
            self._background.run(net.judge.verify())

    def keep_evidence(self) -> None:
        """Write what is known of the run's SAs and events into its folder, keys included."""
        # What is told from here on is told of the end of the lab, not of the run.
        for log in self._logs:
            self._background.call(log.close)
        for net in self._nets:
            state = self._background.run(_state(net))
            _write_secret(net.folder / "sad.json", _json(state) + "\n")

    def close(self) -> None:
        """Take everything down; nothing of it is left, but for nodes that are to be kept."""
        self._background.run(self._stack.aclose())

    def _next_folder(self) -> Path:
        self._networks += 1
        if self._networks == 1:
            return self.folder
        folder = self.folder / f"network-{self._networks}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    async def _up(
        self,
        topology: Topology,
        connection: Connection | None,
        dialect: str | Mapping[str, str] | None,
        native: Mapping[str, Sequence[NativeFile]],
        options: Mapping[str, Mapping[str, str | int]],
        peers: Mapping[str, Peer],
    ) -> Net:
        folder = self._next_folder()
        recording = self._stack.enter_context(Recording(folder / "capture.pcapng"))
        log = self._stack.enter_context(contextlib.closing(EventLog(folder / "events.jsonl")))
        self._logs.append(log)
        await self._spawner.load(name for peer in peers.values() for name in peer.modules)
        roots = {node: self._roots(peer.image) for node, peer in peers.items() if peer.image}
        if isinstance(dialect, str) and not any(
            dialect in peer.dialects for peer in peers.values()
        ):
            names = ", ".join(sorted({peer.name for peer in peers.values()}))
            raise Unsupported(f"the dialect {dialect!r} is not one of {names}")
        network = await self._stack.enter_async_context(
            Network.up(topology, self._spawner, roots, recording, keep_nodes=self._keep_nodes)
        )
        stations = {}
        for name, peer in peers.items():
            station = Station(network.node(name), peer, self.data_planes[name], log)
            self._stack.push_async_callback(station.close)
            stations[name] = station
        for name, station in stations.items():
            configuration = Configuration(
                side=connection.sides.get(name) if connection else None,
                dialect=_dialect(name, station.peer, dialect),
                files=tuple(native.get(name, ())),
                options=options.get(name, {}),
                data_plane=station.data_plane,
            )
            logs = folder / name
            logs.mkdir(mode=0o700, exist_ok=True)
            # What an earlier run in this folder was configured with explains nothing of this one.
            shutil.rmtree(logs / CONFIGURATION, ignore_errors=True)
            await station.start(self.rewrite(name, configuration), logs)
        judge = Judge(network, stations, _inner(connection), self.excused)
        return Net(network, stations, judge, self._background, folder)


def _check_nodes(
    topology: Topology, peers: Mapping[str, Peer], named: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise TopologyError when something is meant for a node that is not there or has no peer."""
    nodes = [node.name for node in topology.nodes]
    for name in peers:
        if name not in nodes:
            raise TopologyError(
                f"topology {topology.name!r} has no node {name!r} to put a peer on;"
                f" it has {_list(nodes)}"
            )
    for what, given in named.items():
        for name in given:
            if name not in peers:
                raise TopologyError(
                    f"{what} is given for {name!r}, which has no peer;"
                    f" there is one on {_list(peers)}"
                )


def _check_oracles(without: Iterable[str]) -> None:
    known = get_args(OracleName)
    for name in without:
        if name not in known:
            raise ValueError(f"there is no oracle {name!r} to opt out of; there is {_list(known)}")


def _check_ends(connection: Connection, nodes: Iterable[str]) -> None:
    for name in nodes:
        if name not in connection.sides:
            raise TopologyError(
                f"connection {connection.name!r} has no end on {name!r};"
                f" it has {_list(connection.sides)}"
            )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _dialect(node: str, peer: Peer, wanted: str | Mapping[str, str] | None) -> str:
    """A peer refuses a dialect by itself that is meant for its node alone."""
    if isinstance(wanted, Mapping):
        return wanted.get(node, peer.dialects[0])
    return wanted if wanted in peer.dialects else peer.dialects[0]


def _inner(connection: Connection | None) -> tuple[Subnet, ...]:
    if connection is None:
        return ()
    return tuple(
        ip_network(subnet) for side in connection.sides.values() for subnet in side.local.subnets
    )


async def _state(net: Net) -> dict[str, Any]:
    return {
        name: {
            "sad": (await station.sad()).as_json(),
            "spd": (await station.spd()).as_json(),
            "children": [str(child) for child in await station.children()],
            "xfrm_stat": {k: v for k, v in station.statistics().items() if v},
        }
        for name, station in net.stations.items()
    }


def _json(value: Any, depth: int = 3) -> str:
    """A line for each SA, policy and counter: with lines for all that they hold JSON is slow."""
    if not depth or not value or not isinstance(value, dict | list):
        return _ENCODE(value)
    if isinstance(value, list):
        return "[\n" + ",\n".join(_json(one, depth - 1) for one in value) + "\n]"
    named = (f"{_ENCODE(name)}: {_json(one, depth - 1)}" for name, one in sorted(value.items()))
    return "{\n" + ",\n".join(named) + "\n}"


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
