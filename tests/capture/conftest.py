# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from tests.capture.runs import RECORDED, Runs, made


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every worker of the session sees."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def runs(shared: Path) -> Runs:
    """Real runs of IKEv1 and IKEv2, with a pre-shared key and with certificates."""
    return Runs(made(shared, "recorded", "--folder", RECORDED))
