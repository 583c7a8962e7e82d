# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin: options, fixtures, and scenarios that run in the kernel that they need.

``harness.plugin`` is the name under which pytest loads it; the hooks are in the modules below.
"""

from harness.plugin.fixtures import background, front_end, lab, moon, roots, seil, spawner, sun
from harness.plugin.items import pytest_pyfunc_call, pytest_runtest_makereport
from harness.plugin.options import pytest_addoption, pytest_configure
from harness.plugin.packing import pytest_collection_modifyitems, pytest_configure_node
from harness.plugin.protocol import pytest_runtest_protocol
from harness.plugin.selection import pytest_generate_tests
from harness.plugin.warming import pytest_addhooks, pytest_ikelab_warm

__all__ = [
    "background",
    "front_end",
    "lab",
    "moon",
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_generate_tests",
    "pytest_ikelab_warm",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "roots",
    "seil",
    "spawner",
    "sun",
]
