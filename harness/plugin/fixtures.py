# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixtures of a scenario: the lab, and the peers that play moon and sun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lab.background import Background
from harness.lab.lab import Lab, Roots
from harness.machine.cache import locate
from harness.machine.images import obtain_image
from harness.machine.spec import load_specs
from harness.network.spawner import Spawner
from harness.peers.contract import Peer
from harness.peers.registry import find_peer
from harness.plugin.guests import hold_cache
from harness.plugin.options import IMAGES, PEERS, options_of
from harness.plugin.progress import shown
from harness.plugin.runs import DIAGNOSIS, plan_of, run_folder, tell
from harness.plugin.selection import SEIL, data_plane
from harness.plugin.warming import IMAGES_IN_GUEST, WARMED

LAB = pytest.StashKey[Lab]()


@pytest.fixture(scope="session")
def background(pytestconfig: pytest.Config) -> Iterator[Background]:
    """The loop that everything of the lab lives on, in a thread of its own."""
    warmed = pytestconfig.stash.get(WARMED, None)
    if warmed is not None:
        yield warmed.background
        return
    with Background() as running:
        yield running


@pytest.fixture(scope="session")
def spawner(pytestconfig: pytest.Config, background: Background) -> Iterator[Spawner]:
    """The process that owns all nodes; started once, since a node then costs milliseconds."""
    warmed = pytestconfig.stash.get(WARMED, None)
    if warmed is not None:
        yield warmed.spawner
        return
    running = background.run(Spawner.start())
    yield running
    background.run(running.close())


@pytest.fixture(scope="session")
def roots(pytestconfig: pytest.Config) -> Roots:
    """Where the root file systems of the peers' images are, here or in a guest."""
    return _in_guest if options_of(pytestconfig).inside else _on_host(pytestconfig)


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, background: Background, spawner: Spawner, roots: Roots
) -> Iterator[Lab]:
    """The lab of one run; its evidence is in the run's folder afterwards, pass or fail."""
    folder = run_folder(request.node)
    folder.mkdir(parents=True, exist_ok=True)
    plane, clock = data_plane(request.config), plan_of(request.node).clock
    # In a guest nodes end with it, which is much faster than to take them down before.
    inside = options_of(request.config).inside is not None
    running = Lab(folder, background, spawner, roots, plane, clock, keep_nodes=inside)
    request.node.stash[LAB] = running
    try:
        yield running
        running.keep_evidence()
    finally:
        running.close()
        # What a guest recorded is told by its host, which is much faster.
        if not inside:
            request.node.user_properties += [(DIAGNOSIS, one) for one in tell(request.node)]


@pytest.fixture
def front_end(request: pytest.FixtureRequest, lab: Lab) -> None:
    """For a scenario that has files for each front end: the lab says which are to be taken."""
    lab.front_end = request.param


@pytest.fixture
def moon(request: pytest.FixtureRequest) -> Peer:
    """The peer in the role of moon."""
    return find_peer(request.param, request.config.stash[PEERS])


@pytest.fixture
def seil(request: pytest.FixtureRequest) -> Peer:
    """The peer that is configured as a SEIL router: always ikelabd, whoever sun is."""
    return find_peer(SEIL, request.config.stash[PEERS])


@pytest.fixture
def sun(request: pytest.FixtureRequest) -> Peer:
    """The peer in the role of sun."""
    return find_peer(request.param, request.config.stash[PEERS])


def _in_guest(image: str) -> Path:
    return IMAGES_IN_GUEST / image


def _on_host(config: pytest.Config) -> Roots:
    def root(image: str) -> Path:
        hold_cache(config)
        specs = load_specs(IMAGES, "peer")
        built = obtain_image(locate(), specs[image], shown(config))
        assert built.root is not None, "root builds images with their directories"
        return built.root

    return root
