# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of a root file system, run on the host through its own dynamic loader.

Byte code fits only the interpreter that made it, and compiling in the guest is slow, so the
host runs the guest's interpreter; through the loader any user can, without a chroot.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.machine.errors import MachineError

_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")


def loader(root: Path) -> list[str]:
    """Return the command that starts a program of ``root`` with the libraries of ``root``.

    Raises MachineError if the file system has no loader for this machine.
    """
    for folder in _LIBRARIES:
        path = root / folder / "ld-linux-x86-64.so.2"
        if path.exists():
            libraries = ":".join(str(root / item) for item in _LIBRARIES)
            return [str(path), "--library-path", libraries]
    raise MachineError(f"{root}: this root file system is not one of Debian amd64.")


def python_version(root: Path) -> str:
    """Return the version of the Python in ``root`` as "3.11".

    Raises MachineError if it has none.
    """
    for path in sorted((root / "usr/bin").glob("python3.*")):
        version = path.name.removeprefix("python")
        if version.replace(".", "").isdigit():
            return version
    raise MachineError(f"{root}: no Python is in this root file system.")


def compile_tree(root: Path, tree: Path, seen_as: str) -> None:
    """Put byte code beside each module under ``tree``, for the Python of ``root``.

    The byte code is never checked against its source again, because in an image neither
    changes, and carries ``seen_as`` for the path of ``tree``. A module that does not compile
    is left to fail where it is imported.
    """
    version = python_version(root)
    arguments = ["-s", "-S", "-P", "-m", "compileall", "-q", "-q", "-f"]
    arguments += ["--invalidation-mode", "unchecked-hash"]
    arguments += ["-s", str(tree), "-p", seen_as, str(tree)]
    subprocess.run(
        [*loader(root), str(root / "usr/bin" / f"python{version}"), *arguments],
        check=False,
        capture_output=True,
        # Nothing of the host's own set-up of Python may reach the guest's; the order of a set
        # in the byte code hangs on the hash seed.
        env={"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
    )
