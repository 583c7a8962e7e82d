# SPDX-License-Identifier: GPL-2.0-or-later
"""Real charons in nodes of their own, with a wire between them, for the tests of the driver."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.lab.journal import Journal
from harness.lab.lab import Roots
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN
from harness.peers.connection import Child, Connection, End, PreSharedKey
from harness.peers.contract import Configuration, NativeFile
from harness.peers.strongswan import StrongSwan
from harness.peers.strongswan.charon import Charon

PEERS = {
    "5.9.8": StrongSwan("5.9.8", "strongswan-bookworm"),
    "6.0.1": StrongSwan("6.0.1", "strongswan-trixie"),
}
DIALECTS = ("vici", "swanctl.conf", "ipsec.conf")
WITHIN = 10.0
"""Seconds that an event may take on a busy machine."""

MOON = End("moon", "192.168.0.1", "moon.example.org", ("10.1.0.0/16",))
SUN = End("sun", "192.168.0.2", "sun.example.org", ("10.2.0.0/16",))
NET = Connection.between(
    MOON,
    SUN,
    name="net",
    authentication=PreSharedKey("known to both"),
    child=Child("net", proposals=("aes128gcm16",)),
)


@dataclass(frozen=True)
class Pair:
    """Two charons that run, each with the journal of what it told."""

    network: Network
    moon: Charon
    sun: Charon
    journals: Mapping[str, Journal]

    async def told(self, node: str, kind: type, since: int = 0) -> object:
        """The first event of a kind that a charon tells from position `since` on."""
        entry = await self.journals[node].first(kind, lambda _: True, kind.__name__, WITHIN, since)
        return entry.event


def called(connection: Connection, name: str) -> Connection:
    """The connection and its CHILD_SA by another name, at both ends."""
    sides = {
        node: replace(side, name=name, child=replace(side.child, name=name))
        for node, side in connection.sides.items()
    }
    return replace(connection, name=name, sides=sides)


@contextlib.asynccontextmanager
async def pair(
    spawner: Spawner,
    roots: Roots,
    logs: Path,
    *,
    moon: str = "6.0.1",
    sun: str = "6.0.1",
    dialect: str = "vici",
    connection: Connection = NET,
) -> AsyncIterator[Pair]:
    """Start a charon of a version at each end; moon is told in `dialect`, sun over VICI."""
    ends = {"moon": (PEERS[moon], dialect), "sun": (PEERS[sun], "vici")}
    trees = {node: roots(peer.image) for node, (peer, _) in ends.items()}
    journals = {node: Journal(node) for node in ends}
    async with Network.up(MOON_SUN, spawner, trees) as network:
        daemons = {}
        for node, (peer, words) in ends.items():
            folder = logs / node
            folder.mkdir(parents=True)
            told = Configuration(connection.sides[node], words, data_plane="userspace")
            daemons[node] = await peer.start(
                network.node(node), told, journals[node].record, folder
            )
        yield Pair(network, daemons["moon"], daemons["sun"], journals)


async def started_with(
    spawner: Spawner,
    roots: Roots,
    logs: Path,
    version: str,
    dialect: str,
    files: Sequence[NativeFile],
) -> None:
    """Start a charon with files in its own dialect, and end it; raises what the driver does."""
    peer = PEERS[version]
    async with Network.up(MOON_SUN, spawner, {"moon": roots(peer.image)}) as network:
        told = Configuration(None, dialect, tuple(files), data_plane="userspace")
        charon = await peer.start(network.node("moon"), told, Journal("moon").record, logs)
        await charon.crash()
