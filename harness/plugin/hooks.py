# SPDX-License-Identifier: GPL-2.0-or-later
"""The hooks that the project adds to pytest's own."""

import pytest


def pytest_ikelab_warm(config: pytest.Config) -> None:
    """Do ahead what every run needs; called once in a lab kernel, before its snapshot is taken."""
