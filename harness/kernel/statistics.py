# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's XFRM counters of a network namespace (/proc/net/xfrm_stat)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def parse_statistics(text: str) -> Mapping[str, int]:
    """The counters by name, ``XfrmInTmplMismatch``, in the kernel's order.

    Raises ValueError for a line that is not a name and a number.
    """
    counters = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if not value.strip().isdecimal():
            raise ValueError(f"{line!r} is not a name and a number: no XFRM counter")
        counters[name] = int(value)
    return counters


def read_statistics(pid: int) -> Mapping[str, int]:
    """The counters of the network namespace that a process is in.

    Raises FileNotFoundError when there is no such process, or when the kernel was built without
    XFRM_STATISTICS.
    """
    return parse_statistics(Path(f"/proc/{pid}/net/xfrm_stat").read_text(encoding="ascii"))
