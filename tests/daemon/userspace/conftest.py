# SPDX-License-Identifier: GPL-2.0-or-later
from tests.network.conftest import lab

__all__ = ["lab"]
