# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does ESP for a peer, said with its name: ``ikelabd+userspace``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from harness.network.node import Node
from harness.peers.contract import (
    Configuration,
    Daemon,
    DataPlane,
    Listener,
    Peer,
    Unsupported,
)

MARK = "+"
"""Between the name of a peer and that of its data plane."""


@dataclass(frozen=True)
class OnPlane:
    """A peer with a data plane of its own, whatever the run has for those that say nothing.

    Its name is the peer's: it is the same implementation.
    """

    peer: Peer
    data_plane: DataPlane

    @property
    def name(self) -> str:
        """See `Peer`."""
        return self.peer.name

    @property
    def image(self) -> str:
        """See `Peer`."""
        return self.peer.image

    @property
    def modules(self) -> tuple[str, ...]:
        """See `Peer`."""
        return self.peer.modules

    @property
    def negotiates(self) -> bool:
        """See `Peer`."""
        return self.peer.negotiates

    @property
    def dialects(self) -> tuple[str, ...]:
        """See `Peer`."""
        return self.peer.dialects

    @property
    def data_planes(self) -> tuple[DataPlane, ...]:
        """See `Peer`; there is one."""
        return (self.data_plane,)

    async def start(
        self, node: Node, configuration: Configuration, listener: Listener, logs: Path
    ) -> Daemon:
        """See `Peer`; ESP is done as the peer was asked for, whatever the configuration says."""
        own = dataclasses.replace(configuration, data_plane=self.data_plane)
        return await self.peer.start(node, own, listener, logs)


def on_plane(peer: Peer, data_plane: DataPlane) -> OnPlane:
    """The peer with that data plane, whatever it had before; raises `Unsupported`."""
    plain = peer.peer if isinstance(peer, OnPlane) else peer
    if data_plane not in plain.data_planes:
        has = " and ".join(plain.data_planes)
        raise Unsupported(f"{plain.name} has no ESP of {data_plane}; it has that of {has}")
    return OnPlane(plain, data_plane)


def plane_of(peer: Peer, usual: DataPlane) -> DataPlane:
    """The data plane of a peer in a run whose others have the usual one."""
    return peer.data_plane if isinstance(peer, OnPlane) else usual
