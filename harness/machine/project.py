# SPDX-License-Identifier: GPL-2.0-or-later
"""The project tree that the guest sees: the harness, and the tests or scenarios of a rootdir."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import harness
from harness.machine.cache import Cache, remove
from harness.machine.erofs import make_erofs
from harness.machine.errors import MachineError
from harness.machine.images import Image
from harness.machine.interpreter import obtain_interpreter
from harness.machine.loader import compile_tree
from harness.machine.progress import Progress, silent

BUILDER = 1
KIND = "project"
KEPT = 16
# The layer's device has one size whatever is in it, so that the snapshot before it fits all.
WINDOW = 64 << 20
# What pytest reads of a rootdir, beside what the caller names.
CONFIGURATION = ("conftest.py", "pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini",
                 "setup.cfg")  # fmt: skip
OWN_PATHS = ("scenarios", "tests")
_SKIPPED = {"__pycache__", "node_modules"}


@dataclass(frozen=True)
class ProjectTree:
    """What of a pytest rootdir goes into the guest: ``paths``, relative to ``rootdir``.

    Files that configure pytest go along, and so does the harness itself. What is below `without`,
    the evidence of runs, stays behind.
    """

    rootdir: Path
    paths: tuple[str, ...] = OWN_PATHS
    without: Path | None = None


def obtain_project(
    cache: Cache, tree: ProjectTree, guest: Image, progress: Progress = silent
) -> tuple[Path, str]:
    """Return the erofs with the project tree, and the key of its content.

    In it are ``project/``, the rootdir, and ``lib/`` with the harness, and with the catalogue where
    the rootdir is another. Raises MachineError if a path of
    the tree is not there or lies outside the rootdir.
    """
    # Read once: what is keyed is what is laid down, whatever an editor saves meanwhile.
    files = {seen: _read(path) for seen, path in _files(tree)}
    key = _key(files, guest)

    def build(folder: Path) -> None:
        copy = folder / "tree"
        for seen, (content, mode) in files.items():
            target = copy / seen
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
        (copy / "project").mkdir(parents=True, exist_ok=True)
        root = obtain_interpreter(cache, guest, progress)
        compile_tree(root, copy / "lib", "/ikelab/lib")
        compile_tree(root, copy / "project", "/project")
        make_erofs(copy, folder / "image.erofs", all_root=True, window=WINDOW)
        remove(copy)

    path = cache.obtain(KIND, key, build, step="project tree", progress=progress)
    cache.prune(KIND, KEPT)
    return path / "image.erofs", key


def _files(tree: ProjectTree) -> Iterator[tuple[str, Path]]:
    """Yield each file as the guest sees it, relative to the layer, and where it is here."""
    package = Path(harness.__file__).parent
    for path in _walk(package):
        yield f"lib/harness/{path.relative_to(package)}", path
    # The harness looks for the images' descriptions beside itself, there as here.
    for path in sorted(package.parent.glob("images/*/image.toml")):
        yield f"lib/{path.relative_to(package.parent)}", path
    rootdir = tree.rootdir.absolute()
    if not rootdir.is_dir():
        raise MachineError(f"{rootdir}: there is no such rootdir to run scenarios of.")
    if rootdir != package.parent:
        # Somebody's own scenarios take connections from the catalogue, as they can here.
        for path in _walk(package.parent / "scenarios"):
            yield f"lib/{path.relative_to(package.parent)}", path
    optional = [*CONFIGURATION, *(OWN_PATHS if tree.paths == OWN_PATHS else ())]
    for name in (*optional, *tree.paths):
        path = Path(os.path.normpath(rootdir / name))
        if not path.is_relative_to(rootdir):
            raise MachineError(f"{name}: this path is outside of the rootdir {rootdir}.")
        if not path.exists():
            if name in optional:
                continue
            raise MachineError(f"{path}: there is no such file or folder to run scenarios of.")
        for file in _walk(path, tree.without) if path.is_dir() else [path]:
            yield f"project/{file.relative_to(rootdir)}", file


def _walk(folder: Path, without: Path | None = None) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _SKIPPED and not path.name.startswith(".") and path != without:
                yield from _walk(path, without)
        elif path.is_file() and path.suffix != ".pyc":
            yield path


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644
    except OSError as error:
        raise MachineError(f"{path}: this file cannot be read: {error.strerror}.") from error


def _key(files: dict[str, tuple[bytes, int]], guest: Image) -> str:
    total = hashlib.sha256(f"{BUILDER} {guest.python} {guest.sha256}".encode())
    for seen, (content, mode) in sorted(files.items()):
        total.update(f"\0{seen}\0{mode:o}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:24]
