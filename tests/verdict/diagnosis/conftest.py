# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of real negotiations share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lab.background import Background
from harness.lab.lab import Lab, Roots
from harness.network.spawner import Spawner


@pytest.fixture
def another_lab(
    lab: Lab, background: Background, spawner: Spawner, roots: Roots, tmp_path: Path
) -> Iterator[Lab]:
    """A lab beside the first one, for the two when they are mended."""
    running = Lab(tmp_path, background, spawner, roots, lab.data_plane)
    try:
        yield running
    finally:
        running.close()
