# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory with the guest's Python that the host can run, for whoever asks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.machine.cache import Cache, remove
from harness.machine.errors import MachineError
from harness.machine.images import Image
from harness.machine.progress import Progress, silent

KIND = "interpreter"
_KEPT = ("usr/lib/python3*", "usr/bin/python3*", "usr/lib/x86_64-linux-gnu")


def obtain_interpreter(cache: Cache, guest: Image, progress: Progress = silent) -> Path:
    """Return a directory with the Python of the image ``guest`` that this user can run.

    It is the image's own root file system where there is one, else an extract of the image.
    Raises MachineError if the image cannot be read.
    """
    if guest.root is not None and os.access(guest.root / "usr/bin", os.R_OK | os.X_OK):
        return guest.root

    def build(folder: Path) -> None:
        whole = folder / "whole"
        command = ["fsck.erofs", f"--extract={whole}", "--no-preserve", str(guest.erofs)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise MachineError(f"{guest.erofs}: fsck.erofs could not extract it: {last}.")
        for pattern in _KEPT:
            for path in whole.glob(pattern):
                kept = folder / path.relative_to(whole)
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.rename(kept)
        remove(whole)

    key = guest.sha256[:24]
    return cache.obtain(KIND, key, build, step="Python of the guest", progress=progress)
