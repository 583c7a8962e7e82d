# SPDX-License-Identifier: GPL-2.0-or-later
"""Files below a directory as a process would see them whose root that directory is."""

import ctypes
import errno
import os
import posixpath
import struct

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10
MOST_TRIES = 1000

libc = ctypes.CDLL(None, use_errno=True)


def open_in_root(root: int, path: str, flags: int, mode: int = 0, *, parents: bool = False) -> int:
    """Return a descriptor of `path`, resolved with the directory `root` as the root.

    Symbolic links, absolute ones too, stay inside. With `parents` missing directories are made.
    Raises OSError.
    """
    if parents:
        _make_directory(root, posixpath.dirname(path))
    creating = mode if flags & os.O_CREAT else 0
    how = struct.pack(
        "QQQ", flags | os.O_CLOEXEC, creating, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    )
    number, size = ctypes.c_long(SYS_OPENAT2), ctypes.c_size_t(len(how))
    error = errno.EAGAIN
    for _ in range(MOST_TRIES):
        fd: int = libc.syscall(number, root, os.fsencode(path), how, size)
        if fd >= 0:
            return fd
        error = ctypes.get_errno()
        # The kernel asks to be asked again when something was mounted or renamed anywhere on the
        # machine while it followed a "..".
        if error != errno.EAGAIN:
            break
    raise OSError(error, os.strerror(error), path)


def _make_directory(root: int, path: str) -> None:
    if path in ("", "/"):
        return
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
        return
    except FileNotFoundError:
        pass
    parent, name = posixpath.split(path)
    _make_directory(root, parent)
    above = open_in_root(root, parent or "/", os.O_PATH | os.O_DIRECTORY)
    try:
        os.mkdir(name, 0o755, dir_fd=above)
    finally:
        os.close(above)
