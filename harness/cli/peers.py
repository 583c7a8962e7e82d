# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab peers``: what can be put on a gateway."""

from __future__ import annotations

import argparse
from typing import Any

from harness.machine.cache import locate
from harness.machine.images import is_built
from harness.machine.spec import load_specs
from harness.peers.registry import known_peers
from harness.plugin.options import IMAGES


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "peers", help="list the peers, and which are built"
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Print one line a peer."""
    specs = load_specs(IMAGES, "peer")
    cache = locate()
    print(f"{'peer':<20} {'image':<22} {'built':<6} {'dialects':<34} ESP")
    for peer in known_peers((spec.name, spec.version) for spec in specs.values()).values():
        built = "-" if not peer.image else "yes" if is_built(cache, specs[peer.image]) else "no"
        dialects, planes = ", ".join(peer.dialects), ", ".join(peer.data_planes)
        print(f"{peer.name:<20} {peer.image or '-':<22} {built:<6} {dialects:<34} {planes}")
    return 0
