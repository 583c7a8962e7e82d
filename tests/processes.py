# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes there are below one, and whether they are there still."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 30.0
"""Seconds of the host's time that a busy machine is given."""
Process = tuple[int, str]
"""A process by its number and the time that it started at: numbers come again."""


def processes() -> dict[int, tuple[int, str]]:
    """Every process: its parent and the time that it started at."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            found[int(entry.name)] = (int(fields[1]), fields[19])
        except (OSError, ValueError):
            continue
    return found


def descendants(root: int) -> set[Process]:
    """All processes below one, each with the time that it started at."""
    known = processes()
    family = {root}
    while True:
        more = {pid for pid, (parent, _) in known.items() if parent in family} - family
        if not more:
            return {(pid, known[pid][1]) for pid in family if pid in known}
        family |= more


def alive(family: set[Process]) -> set[Process]:
    """Those of a family that are there still."""
    now = processes()
    return {(pid, began) for pid, began in family if pid in now and now[pid][1] == began}


def until(true: Callable[[], bool], what: str) -> None:
    """Look again and again until it is true; else fail and say what was to be."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)
