# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m harness.daemon.console``: see harness.daemon.console.program."""

import sys

from harness.daemon.console.program import main

if __name__ == "__main__":
    sys.exit(main())
