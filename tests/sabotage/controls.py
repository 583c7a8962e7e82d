# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of a sabotage control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.capture.recording import FrameNotSeen
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.contract import Configuration

PLAIN = bytes.fromhex(
    "ffffffffffff 020000000001 0800"  # Ethernet, to all
    "45000024 00010000 40110000 0a01000a 0a02000a"  # IPv4, UDP, alice to bob
    "9c419c41 00100000 70 6c 61 69 6e 21 21 21"  # "plain!!!"
)
STRAY_SA = (
    "state add src {0} dst {1} proto esp spi 0x5abc reqid 1 mode transport"
    " auth sha256 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    " enc aes 0x000102030405060708090a0b0c0d0e0f"
)


def turns_red(lab: Lab, scenario: Callable[..., None], *peers: Any, because: str) -> None:
    """Run a scenario and its oracles, which must fail for this reason (a regular expression)."""

    def judged() -> None:
        scenario(lab, *peers)
        lab.verify()

    with pytest.raises((AssertionError, FrameNotSeen), match=because):
        judged()


def in_clear(net: Net) -> None:
    """Let one packet from alice to bob onto the wan in clear."""
    net.wire("wan").inject("moon", PLAIN)


def with_side(**changes: Any) -> Callable[[str, Configuration], Configuration]:
    """A rewrite that gives every node these values in its `child` or `ike` part."""

    def rewrite(node: str, configuration: Configuration) -> Configuration:
        side = configuration.side
        assert side is not None
        for part, values in changes.items():
            side = replace(side, **{part: replace(getattr(side, part), **values)})
        return replace(configuration, side=side)

    return rewrite


def with_options(node: str, **options: str | int) -> Callable[[str, Configuration], Configuration]:
    """A rewrite that changes a daemon's own settings on one node; __ stands for a dot."""

    def rewrite(name: str, configuration: Configuration) -> Configuration:
        if name != node:
            return configuration
        named = {key.replace("__", "."): value for key, value in options.items()}
        return replace(configuration, options={**configuration.options, **named})

    return rewrite
