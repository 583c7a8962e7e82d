# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m harness.daemon`` is ``ikelabd``."""

import sys

from harness.daemon.main import main

sys.exit(main())
