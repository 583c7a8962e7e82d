# SPDX-License-Identifier: GPL-2.0-or-later
"""Warm snapshots: a guest that has booted and imported everything, kept to be taken up again.

There are two, one on the other. The *base* has the kernel, its modules and the third-party
packages; making it takes as long as a boot. The *warm* snapshot has the project imported too,
and is made from the base, so that an edit of a scenario does not cost a boot.

The RAM is a file that a restored guest maps privately: it is read only where it is touched,
never written, and shared by all guests that run at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.machine.cache import Cache
from harness.machine.errors import Lost, MachineError
from harness.machine.images import Image, Kernel
from harness.machine.initramfs import agent_source, make_initramfs
from harness.machine.job import decode_answer, encode_order
from harness.machine.microvm import (
    JOB_SIZE,
    OUT_SIZE,
    Accelerator,
    Files,
    Guest,
    MicroVM,
    identity,
    make_hole,
    qemu_version,
)
from harness.machine.progress import Progress, silent
from harness.machine.project import WINDOW

BUILDER = 1
BASE = "base"
WARM = "snapshot"
# Snapshots of a project as it was before the last edits; each takes some 200 MB.
KEPT = 6
# Booting takes some ten seconds; a machine may be that busy.
BOOT_LIMIT_S = 900.0


@dataclass(frozen=True)
class Parts:
    """What a base snapshot is made of."""

    kernel: Kernel
    guest: Image
    site: Path
    peers: tuple[Image, ...]
    accelerator: Accelerator
    cpus: int
    memory_mib: int


@dataclass(frozen=True)
class Snapshot:
    """A frozen guest: the machine it goes on in, and the files of its RAM and its devices."""

    vm: MicroVM
    ram: Path
    state: Path
    key: str


def obtain_base(cache: Cache, parts: Parts, progress: Progress = silent) -> Snapshot:
    """Return the snapshot of the booted guest without a project, made now if it never was.

    Raises MachineError, or Lost if the guest does not boot.
    """
    names = ["guest", "modules", "site", *(image.name for image in parts.peers), "project"]
    assert parts.guest.python is not None
    ramdisk = make_initramfs(
        parts.kernel,
        f"python{parts.guest.python}",
        [*names, "job", "out"],
        [image.name for image in parts.peers],
        agent_source(),
    )
    content = [parts.guest.sha256, parts.kernel.sha256, parts.site.parent.name]
    content += [image.sha256 for image in parts.peers]
    content += [hashlib.sha256(ramdisk).hexdigest(), qemu_version(), str(BUILDER)]

    with cache.run_folder() as folder:
        blank = make_hole(folder / "project", WINDOW)
        paths = [parts.guest.erofs, parts.kernel.modules, parts.site]
        paths += [*(image.erofs for image in parts.peers), blank]
        vm = MicroVM(
            vmlinuz=parts.kernel.vmlinuz,
            initrd=folder / "initrd",
            layers=tuple(zip(names, paths, strict=True)),
            accelerator=parts.accelerator,
            memory_mib=parts.memory_mib,
            cpus=parts.cpus,
        )
        content.append(identity(vm))
        key = hashlib.sha256("\0".join(content).encode()).hexdigest()[:24]

        def build(entry: Path) -> None:
            (entry / "initrd").write_bytes(ramdisk)
            ram = make_hole(entry / "ram", parts.memory_mib << 20)
            files = _files(folder, ram, bytes(JOB_SIZE))
            with Guest(replace(vm, initrd=entry / "initrd"), files, BOOT_LIMIT_S) as guest:
                guest.greet()
                guest.wait_frozen()
                guest.save(entry / "state")

        path = _obtain(cache, BASE, key, build, f"boot of {parts.kernel.name}", progress)
        return Snapshot(replace(vm, initrd=path / "initrd"), path / "ram", path / "state", key)


def obtain_warm(
    cache: Cache,
    base: Snapshot,
    project: tuple[Path, str],
    order: Mapping[str, Any],
    progress: Progress = silent,
) -> Snapshot:
    """Return the snapshot with the project imported, made now from ``base`` if it never was.

    ``project`` is the layer and its key, ``order`` tells the agent how to start pytest.
    Raises MachineError with pytest's own words if it cannot be started.
    """
    layer, tree_key = project
    job = encode_order(order)
    content = f"{BUILDER}\0{base.key}\0{tree_key}\0{hashlib.sha256(job).hexdigest()}"
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    vm = with_project(base.vm, layer)

    def build(entry: Path) -> None:
        copy_sparse(base.ram, entry / "ram")
        with cache.run_folder() as folder:
            files = _files(folder, entry / "ram", job)
            with Guest(vm, files, BOOT_LIMIT_S, restored=True) as guest:
                guest.greet()
                guest.load(base.state)
                guest.go_on()
                try:
                    guest.wait_frozen()
                except Lost as error:
                    raise _no_start(files, error) from error
                guest.save(entry / "state")

    path = _obtain(cache, WARM, key, build, "warm snapshot of the project", progress)
    cache.prune(WARM, KEPT)
    cache.prune(BASE, KEPT)
    return Snapshot(vm, path / "ram", path / "state", key)


def with_project(vm: MicroVM, layer: Path) -> MicroVM:
    """Return the machine with another file in the place of its project layer."""
    layers = tuple((name, layer if name == "project" else path) for name, path in vm.layers)
    return replace(vm, layers=layers)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file with its holes, for this user only."""
    with source.open("rb") as read:
        size = os.fstat(read.fileno()).st_size
        make_hole(target, size)
        with target.open("r+b") as write:
            start = 0
            while start < size:
                try:
                    start = os.lseek(read.fileno(), start, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        return
                    raise
                end = os.lseek(read.fileno(), start, os.SEEK_HOLE)
                while start < end:
                    start += os.sendfile(
                        _at(write.fileno(), start), read.fileno(), start, end - start
                    )


def _at(fd: int, position: int) -> int:
    os.lseek(fd, position, os.SEEK_SET)
    return fd


def _obtain(cache: Cache, kind: str, key: str, build: Any, step: str, progress: Progress) -> Path:
    # QEMU opens the RAM for writing although a private mapping is never written back, so a
    # snapshot in a cache that is only read is no use.
    return replace(cache, shared=()).obtain(kind, key, build, step=step, progress=progress)


def _files(folder: Path, ram: Path, job: bytes) -> Files:
    (folder / "job").write_bytes(job)
    out = make_hole(folder / "out", OUT_SIZE)
    return Files(ram, False, folder / "job", out, folder / "console")


def _no_start(files: Files, lost: Lost) -> MachineError:
    answer = decode_answer(files.out)
    if answer is None:
        return lost
    words = answer.header["output"].strip()
    return Lost(f"pytest cannot start in the lab kernel: {answer.header['lost']}.", words)
