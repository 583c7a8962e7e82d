# SPDX-License-Identifier: GPL-2.0-or-later
"""What every run in a lab kernel finds done: the lab's loop and spawner run, networks were built.

A restored guest goes on from here, so that no run pays for it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.capture.recording import Recording
from harness.lab.background import Background
from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import MOON_SUN
from harness.plugin import hooks
from harness.plugin.options import PEERS

IMAGES_IN_GUEST = Path("/images")


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
    """Start the loop and the spawner, and build a network once: the kernel then has what it needs.

    Both go on running in the guest, and end with it.
    """
    background = Background()
    background.__enter__()
    spawner = background.run(Spawner.start())
    peers = config.stash[PEERS].values()
    background.run(spawner.load(name for peer in peers for name in peer.modules))
    for image in sorted(IMAGES_IN_GUEST.iterdir()) if IMAGES_IN_GUEST.is_dir() else ():
        background.run(_build(spawner, image))
    config.stash[WARMED] = Warmed(background, spawner)


async def _build(spawner: Spawner, image: Path) -> None:
    roots = {"moon": image, "sun": image}
    async with Network.up(MOON_SUN, spawner, roots, Recording()) as network:
        await network.ping("alice", "moon")
