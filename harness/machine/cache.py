# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that is made once and used again: images, layers, snapshots, and the runs' folders.

An entry is a directory ``ROOT/KIND/KEY``. It is built beside its place, under a lock that the
kernel releases when the builder dies, and renamed when complete: an entry that exists is whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.machine.errors import MachineError
from harness.machine.progress import Progress, silent, timed

RUNS = "runs"
# The Python environment that ci/setup makes: the one that is running this, as a rule.
ENVIRONMENT = "venv"
# A snapshot is pruned only when nobody took it for this long: a process that has just
# looked it up must still find it when it starts its guest.
IDLE_BEFORE_PRUNE_S = 3600.0
# Locked by who runs from the cache, so that it is not cleaned away under them.
IN_USE = ".in-use"


@dataclass(frozen=True)
class Cache:
    """The project's cache directory, and caches of others that are only read.

    ``shared`` holds caches, say of an administrator, in which an entry is looked up when
    ``root`` has none; nothing is ever written there.
    """

    root: Path
    shared: tuple[Path, ...] = ()

    def find(self, kind: str, key: str) -> Path | None:
        """Return the directory of a complete entry, or None."""
        for base in (self.root, *self.shared):
            path = base / kind / key
            # A shared cache may be closed to this user: that is the same as not there.
            with suppress(OSError):
                if path.is_dir():
                    return path
        return None

    def obtain(
        self,
        kind: str,
        key: str,
        build: Callable[[Path], None],
        *,
        step: str | None = None,
        progress: Progress = silent,
    ) -> Path:
        """Return the directory of the entry, which ``build`` has filled if there was none.

        Safe between processes: one builds, the others wait for it. What ``build`` raises goes
        through, and then nothing is left behind.
        Raises MachineError if the cache cannot be written.
        """
        found = self.find(kind, key)
        if found is None:
            with _sentences(self.root), self._locked(kind, key, step or key, progress):
                found = self.find(kind, key)
                if found is None:
                    found = self._build(kind, key, build, step or key, progress)
        # The time stamp says when the entry was last wanted; see prune().
        with suppress(OSError):
            os.utime(found)
        return found

    def _build(
        self, kind: str, key: str, build: Callable[[Path], None], step: str, progress: Progress
    ) -> Path:
        final = self.root / kind / key
        part = self.root / kind / f".part-{key}"
        remove(part)
        part.mkdir()
        try:
            with timed(progress, step):
                build(part)
        except BaseException:
            remove(part)
            raise
        os.rename(part, final)
        return final

    @contextmanager
    def _locked(self, kind: str, key: str, step: str, progress: Progress) -> Iterator[None]:
        folder = self.root / kind
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / f".lock-{key}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _try_lock(fd):
                began = time.monotonic()
                progress(step, "waiting", 0.0)
                fcntl.flock(fd, fcntl.LOCK_EX)
                progress(step, "done", time.monotonic() - began)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def run_folder(self) -> Iterator[Path]:
        """Yield a new private folder that goes away at the end, or with the next run after a kill.

        Raises MachineError if the cache cannot be written.
        """
        with _sentences(self.root):
            runs = self.root / RUNS
            runs.mkdir(parents=True, exist_ok=True)
            sweep(runs)
            name = secrets.token_hex(8)
            young = runs / f".new-{name}"
            young.mkdir(mode=0o700)
            fd = os.open(young, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # Locked before it has the name that another process's sweep looks at.
            fcntl.flock(fd, fcntl.LOCK_SH)
            path = runs / name
            os.rename(young, path)
        try:
            yield path
        finally:
            remove(path)
            os.close(fd)

    def prune(self, kind: str, keep: int) -> list[Path]:
        """Remove the entries of a kind that were wanted longest ago, but for the last ``keep``.

        An entry that was wanted within the last hour stays. Returns what was removed.
        """
        folder = self.root / kind
        if not folder.is_dir():
            return []
        entries = []
        for path in _entries(folder):
            # Another process may prune at the same time.
            with suppress(FileNotFoundError):
                entries.append((path.stat().st_mtime, path))
        entries.sort(reverse=True)
        limit = time.time() - IDLE_BEFORE_PRUNE_S
        gone = [path for wanted, path in entries[keep:] if wanted < limit]
        for path in gone:
            self._discard(path)
        return gone

    def hold(self) -> int:
        """Keep `clean` off until the descriptor that this returns is closed, or the process ends.

        Raises MachineError if the cache cannot be written.
        """
        with _sentences(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.root / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        return fd

    def clean(self) -> int:
        """Remove everything that no living process is building; return the bytes freed.

        Raises MachineError if a run is under way, or something cannot be removed.
        """
        if not self.root.is_dir():
            return 0
        with _sentences(self.root):
            fd = os.open(self.root / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not _try_lock(fd):
                    raise MachineError(
                        f"Runs are under way that use the cache {self.root}; "
                        "wait for their end, or end them, and clean it then."
                    )
                return self._clean()
            finally:
                os.close(fd)

    def _clean(self) -> int:
        freed = 0
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir()):
            if folder.name == ENVIRONMENT:
                continue
            if folder.name == RUNS:
                before = _size(folder)
                sweep(folder)
                freed += before - _size(folder)
                continue
            for path in _entries(folder):
                freed += _size(path)
                self._discard(path)
            for lock in folder.glob(".lock-*"):
                freed += self._clean_part(folder, lock)
        return freed

    def _clean_part(self, folder: Path, lock: Path) -> int:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not _try_lock(fd):
                return 0
            part = folder / lock.name.replace(".lock-", ".part-", 1)
            freed = _size(part)
            remove(part)
            return freed
        finally:
            os.close(fd)

    def _discard(self, path: Path) -> None:
        # Renamed first, so that nobody finds half of it.
        trash = path.with_name(f".trash-{secrets.token_hex(4)}")
        try:
            os.rename(path, trash)
        except FileNotFoundError:
            return
        remove(trash)


def locate(environment: Mapping[str, str] = os.environ) -> Cache:
    """Return the cache that the environment names.

    That is ``$IKELAB_CACHE``, else ``$XDG_CACHE_HOME/ikelab``, else ``~/.cache/ikelab``; with
    ``$IKELAB_CACHE_SHARED`` (directories separated by colons) as caches that are only read.
    """
    if environment.get("IKELAB_CACHE"):
        root = Path(environment["IKELAB_CACHE"])
    elif environment.get("XDG_CACHE_HOME"):
        root = Path(environment["XDG_CACHE_HOME"]) / "ikelab"
    else:
        root = Path(environment.get("HOME") or Path.home()) / ".cache" / "ikelab"
    shared = environment.get("IKELAB_CACHE_SHARED", "").split(":")
    return Cache(root.absolute(), tuple(Path(item).absolute() for item in shared if item))


def sweep(runs: Path) -> None:
    """Remove the run folders under ``runs`` whose process is dead."""
    for path in runs.iterdir():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            young = path.name.startswith(".new-") and time.time() - os.fstat(fd).st_mtime < 60
            if not young and _try_lock(fd):
                remove(path)
        finally:
            os.close(fd)


def remove(path: Path) -> None:
    """Remove a tree, also one with files of a user's subordinate ids, if it is there."""
    if not os.path.lexists(path):
        return
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path) and not path.is_dir():
        path.unlink(missing_ok=True)
    if os.path.lexists(path) and os.geteuid() != 0:
        # Files of an unpacked image belong to ids that only a user namespace may touch.
        command = ["unshare", "--map-root-user", "--map-auto", "rm", "-rf", "--", str(path)]
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)
    if os.path.lexists(path):
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def _entries(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".part-") and not path.name.startswith(".lock-")
    )


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _sentences(root: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence that names the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"No space is left for the cache {root}; free some, or set IKELAB_CACHE "
                "to a directory with 2 GB of room."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                f"The cache {root} cannot be written ({error.strerror}: {error.filename}); "
                "set IKELAB_CACHE to a directory of your own."
            ) from error
        raise
