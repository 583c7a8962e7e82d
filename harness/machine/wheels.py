# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's Python packages: the pinned wheels of a lock file as one layer."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.machine.cache import Cache, remove
from harness.machine.erofs import make_erofs
from harness.machine.errors import MachineError
from harness.machine.images import Image
from harness.machine.interpreter import obtain_interpreter
from harness.machine.loader import compile_tree
from harness.machine.progress import Progress, silent

BUILDER = 1
KIND = "site"
# The oldest first, down from the C library of the guest's suite.
_PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 37)))


def obtain_site(cache: Cache, lock: Path, guest: Image, progress: Progress = silent) -> Path:
    """Return the erofs with the packages of ``lock``, made now if it never was.

    It is a layer to be seen at /site by the Python of ``guest``. Raises MachineError if a
    package cannot be had or has not the hash that the lock says.
    """
    if guest.python is None:
        raise MachineError(f"The image {guest.name} has no Python; the lab kernel needs one.")
    try:
        text = lock.read_bytes()
    except OSError as error:
        raise MachineError(
            f"{lock} cannot be read ({error.strerror}); the guest's packages are named there."
        ) from error
    python = guest.python

    def build(folder: Path) -> None:
        tree = folder / "site"
        _install(lock, tree, python)
        for path in tree.glob("**/__pycache__"):
            shutil.rmtree(path)
        # pip notes here which files it wrote, in an order and with paths of its own.
        for path in tree.glob("*.dist-info/RECORD"):
            path.unlink()
        remove(tree / "bin")
        compile_tree(obtain_interpreter(cache, guest, progress), tree, "/site")
        make_erofs(tree, folder / "image.erofs", all_root=True)
        remove(tree)

    facts = f"{BUILDER} {python} {guest.sha256} ".encode() + text
    key = hashlib.sha256(facts).hexdigest()[:24]
    path = cache.obtain(KIND, key, build, step="Python packages of the guest", progress=progress)
    return path / "image.erofs"


def _install(lock: Path, tree: Path, python: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    command += ["--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [option for item in _PLATFORMS for option in ("--platform", item)]
    command += ["--target", str(tree), "-r", str(lock)]
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise MachineError(explain(lock, done.stderr))


def explain(lock: Path, log: str) -> str:
    """Return the one sentence that says why pip failed, from what it wrote."""
    if "No module named pip" in log:
        return (
            f"{sys.executable} has no pip, and the guest's packages are fetched with it; "
            "run ci/setup, which makes an environment that has it."
        )
    if "HASHES" in log or "hashes are required" in log:
        return f"{lock}: a package has not the hash that is written there; run ci/lock anew."
    if re.search(r"Temporary failure in name|Connection|NewConnectionError|timed out", log):
        return f"{lock}: the package index cannot be reached; the network is needed once, for it."
    match = re.search(r"No matching distribution found for (\S+)", log)
    if match:
        return f"{lock}: the package index has no wheel of {match[1]} for the guest's Python."
    if "No space left" in log:
        return f"{lock}: no space is left on the disk to install the guest's packages."
    errors = [line for line in log.splitlines() if line.startswith("ERROR: ")]
    last = (errors or log.splitlines() or ["no message"])[-1].removeprefix("ERROR: ").strip()
    return f"{lock}: pip could not install the guest's packages: {last}"
