# SPDX-License-Identifier: GPL-2.0-or-later
"""What every run in a lab kernel finds done: the lab's loop and spawner run, networks were built.

Nodes are made ahead, so that of a network the links are left. A restored guest goes on from here,
and no run pays for it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.capture.recording import Recording
from harness.lab.background import Background
from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN
from harness.peers.contract import Configuration, Peer
from harness.plugin import hooks
from harness.plugin.options import PEERS

IMAGES_IN_GUEST = Path("/images")
PLAIN_NODES = 6
"""Nodes without an image that are made ahead: as many as the largest topologies have."""
SETTLE = 1.0
"""Seconds of lab time for what the kernel does in the background with networks that are gone."""


@dataclass(frozen=True)
class Warmed:
    """What a run takes over; it ends with the guest."""

    background: Background
    spawner: Spawner


WARMED = pytest.StashKey[Warmed]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the project's hooks known."""
    pluginmanager.add_hookspecs(hooks)


def pytest_ikelab_warm(config: pytest.Config) -> None:
    """Start the loop and the spawner, and each daemon once in a network: the kernel is ready then.

    The first two go on running in the guest, and end with it.
    """
    background = Background()
    background.__enter__()
    spawner = background.run(Spawner.start())
    peers = tuple(config.stash[PEERS].values())
    background.run(spawner.load(name for peer in peers for name in peer.modules))
    images = sorted(IMAGES_IN_GUEST.iterdir()) if IMAGES_IN_GUEST.is_dir() else []
    for image in images:
        background.run(_build(spawner, image, [p for p in peers if p.image == image.name]))
    background.run(spawner.stock(PLAIN_NODES))
    for image in images:
        # One peer may be at both ends.
        background.run(spawner.stock(2, [image]))
    # Nothing tells when it has done, and under the virtual clock the time is gone at once.
    background.run(asyncio.sleep(SETTLE))
    config.stash[WARMED] = Warmed(background, spawner)


async def _build(spawner: Spawner, image: Path, peers: Iterable[Peer]) -> None:
    roots = {"moon": image, "sun": image}
    async with Network.up(MOON_SUN, spawner, roots, Recording()) as network:
        await network.ping("alice", "moon")
        for peer in peers:
            await _start(peer, network.node("moon"))


async def _start(peer: Peer, node: Node) -> None:
    """Start a daemon and end it again: the kernel finds its files at once from then on."""
    nothing = Configuration(None, next(iter(peer.dialects), ""))
    # One that cannot be without a connection is not ready, and that is all.
    with contextlib.suppress(Exception), tempfile.TemporaryDirectory() as logs:
        daemon = await peer.start(node, nothing, lambda event: None, Path(logs))
        await daemon.crash()
