# SPDX-License-Identifier: GPL-2.0-or-later
"""`ikelab` as its users start it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def command(*arguments: str | Path) -> list[str]:
    """The command line of `ikelab` with these arguments."""
    return [sys.executable, "-m", "harness.cli", *map(str, arguments)]


def ikelab(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `ikelab` to its end; output and errors are in `stdout`, as on a terminal.

    `environment` is what differs from that of the tests.
    """
    return subprocess.run(
        command(*arguments),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
