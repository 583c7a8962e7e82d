# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces without a name, for the tests' own thread to go in and out of."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """A network namespace that lasts until its descriptor is closed."""

    descriptor: int

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it with the calling thread."""
        with _coming_back():
            _check(LIBC.setns(self.descriptor, CLONE_NEWNET))
            yield

    def ip(self, command: str) -> str:
        """Run `ip COMMAND` in it and return what it printed; each argument is one word."""
        with self.entered():
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
        assert done.returncode == 0, f"ip {command}: {done.stderr}"
        return done.stdout

    @property
    def path(self) -> str:
        """A path that `ip link set … netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"


@contextlib.contextmanager
def new_namespace() -> Iterator[Namespace]:
    with _coming_back():
        _check(LIBC.unshare(CLONE_NEWNET))
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Namespace(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _coming_back() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _check(LIBC.setns(home, CLONE_NEWNET))
        os.close(home)


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
