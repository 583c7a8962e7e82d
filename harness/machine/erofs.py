# SPDX-License-Identifier: GPL-2.0-or-later
"""One read-only file system image from a directory, the same bytes from the same files."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from harness.machine.debian import EPOCH
from harness.machine.errors import MachineError

# A virtio-pmem device must be a multiple of this size, in bytes.
ALIGNMENT = 2 << 20
_UUID = "00000000-0000-0000-0000-000000000000"


def make_erofs(tree: Path, image: Path, *, all_root: bool = False, window: int = ALIGNMENT) -> str:
    """Write the files of ``tree`` as the erofs ``image`` and return its SHA-256 in hex.

    The image is uncompressed, so that the guest can map it, and padded with a hole to a multiple
    of ``window`` bytes. With ``all_root`` every file belongs to root.
    Raises MachineError if mkfs.erofs is missing or fails.
    """
    command = ["mkfs.erofs", "--quiet", f"-T{EPOCH}", f"-U{_UUID}", "-x-1"]
    if all_root:
        command.append("--all-root")
    try:
        done = subprocess.run(
            [*command, str(image), str(tree)], check=False, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise MachineError(
            "mkfs.erofs is not installed, and images are made with it; "
            "have an administrator run: apt-get install erofs-utils."
        ) from error
    if done.returncode != 0:
        # erofs-utils says "No space left" in its own words only now and then.
        said = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        raise MachineError(f"mkfs.erofs could not write {image}: {said[-1].strip()}.")
    size = -(-image.stat().st_size // window) * window
    os.truncate(image, size)
    return digest(image)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
