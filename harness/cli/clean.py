# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab clean``: gives back what the cache takes."""

from __future__ import annotations

import argparse
from typing import Any

from harness.machine.cache import locate


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "clean",
        help="remove images, snapshots and what dead runs left",
        description="Remove everything from the project's cache that no run is using; "
        "setup makes it again.",
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Empty the cache and say how much that was."""
    cache = locate()
    freed = cache.clean()
    print(f"{cache.root}: {freed / 1e6:.0f} MB removed")
    return 0
