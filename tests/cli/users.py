# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands as an ordinary user, who may read the project, its Python and root's images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.machine.cache import locate

ROOT = Path(__file__).parents[2]
USER = 54321


def needed() -> list[Path]:
    """Every folder without which the command does not start, the outer ones first."""
    prefixes = {Path(sys.prefix), Path(sys.base_prefix), ROOT, locate().root}
    return sorted(path.resolve() for path in prefixes)


def opened(place: Path) -> str:
    """A script that shows a user what root keeps to itself, in this mount namespace only.

    Over each folder that is closed to others lies an empty one, with nothing but what is needed
    in its place, read-only.
    """
    lines = []
    for number, path in enumerate(needed()):
        lines += [f"mkdir -p {place}/{number}", f"mount --rbind {path} {place}/{number}"]
    for closed in sorted({path for path in map(_closed, needed()) if path is not None}):
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {closed}")
    for number, path in enumerate(needed()):
        if _closed(path) is not None:
            lines.append(
                f"[ -e {path} ] || {{ mkdir -p {path} && mount --rbind {place}/{number} {path}"
                f" && mount -o remount,bind,ro {path}; }}"
            )
    return " && ".join(lines)


def _closed(path: Path) -> Path | None:
    """The outermost folder above a path that is closed to others."""
    closed = [folder for folder in path.parents if not folder.stat().st_mode & 0o001]
    return closed[-1] if closed else None


def as_user(place: Path, home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `ikelab` as an ordinary user with a cache of its own, and root's images to read."""
    drop = f"setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs --"
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{opened(place)} && exec {drop} "$@"', "sh", *command],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(home),
            "IKELAB_CACHE": str(home / "cache"),
            "IKELAB_CACHE_SHARED": str(locate().root),
        },
    )
