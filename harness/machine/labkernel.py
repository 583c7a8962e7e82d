# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab kernel as its callers see it: opened once, then one pytest item a call."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import harness
from harness.machine.cache import Cache
from harness.machine.errors import Lost, MachineError
from harness.machine.images import obtain_image, obtain_kernel
from harness.machine.job import Job, Result, decode_answer, encode_job
from harness.machine.kvm import real_clock_accelerator
from harness.machine.microvm import OUT_SIZE, Clock, Files, Guest, make_hole
from harness.machine.progress import Progress, silent
from harness.machine.project import ProjectTree, obtain_project
from harness.machine.snapshot import Parts, Snapshot, obtain_base, obtain_warm
from harness.machine.spec import ImageSpec, load_specs
from harness.machine.wheels import obtain_site

DEFAULT_KERNEL = "debian-6.1"
MEMORY_MIB = 1024
# By name only: the plugin is above this package, and is imported in the guest.
PLUGIN = "harness.plugin"
_HERE = Path(harness.__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """Which lab kernel, with which peers, and how pytest is started in it.

    ``peers`` are the images to be seen under /images, by name, or None for all there are.
    ``plugins`` are loaded into pytest by name and ``arguments`` are given to it; ``warm`` are the
    paths, relative to the rootdir, that are imported before the snapshot is taken.
    """

    tree: ProjectTree
    kernel: str = DEFAULT_KERNEL
    clock: Clock = "virtual"
    peers: tuple[str, ...] | None = None
    plugins: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    warm: tuple[str, ...] = ("scenarios",)
    images: Path = field(default=_HERE / "images")
    lock: Path = field(default=_HERE / "requirements-guest.lock")


def own_settings(kernel: str = DEFAULT_KERNEL, clock: Clock = "virtual") -> Settings:
    """Return the settings with which this project runs its own scenarios."""
    return Settings(tree=ProjectTree(_HERE), kernel=kernel, clock=clock, plugins=(PLUGIN,))


@dataclass(frozen=True)
class LabKernel:
    """A warm snapshot, ready to run items; any number of processes may do so at once."""

    cache: Cache
    snapshot: Snapshot

    def run(self, job: Job, deadline_s: float = 600.0) -> Result:
        """Run one item in a fresh guest and return its result.

        Blocks for as long as the item runs; ``deadline_s`` is in seconds of wall time. Call it
        from a thread that lives as long: QEMU ends with the thread that started it.
        Raises Lost if the guest, or the item's process in it, gave no result, and MachineError
        if pytest found no such item.
        """
        began = time.monotonic()
        # Keeps the snapshot from being pruned while it is in use.
        for path in (self.snapshot.ram.parent, dict(self.snapshot.vm.layers)["project"].parent):
            # A layer of a shared cache is not this user's to mark, nor to prune.
            with suppress(OSError):
                os.utime(path)
        with self.cache.run_folder() as folder:
            files = Files(
                ram=self.snapshot.ram,
                private=True,
                job=folder / "job",
                out=make_hole(folder / "out", OUT_SIZE),
                console=folder / "console",
            )
            files.job.write_bytes(encode_job(job))
            with Guest(self.snapshot.vm, files, deadline_s, restored=True) as guest:
                guest.greet()
                guest.load(self.snapshot.state)
                guest.go_on()
                restore_s = time.monotonic() - began
                guest.wait_finished()
            return _result(job, files, began, restore_s)


def open_lab_kernel(settings: Settings, cache: Cache, progress: Progress = silent) -> LabKernel:
    """Return the lab kernel of these settings; what it needs and was never made is made now.

    Raises MachineError, one sentence, if something cannot be made, and Lost if the guest does
    not start.
    """
    specs = load_specs(settings.images)
    guest = obtain_image(cache, _one(settings, specs, "guest", "guest"), progress)
    kernel = obtain_kernel(cache, _one(settings, specs, settings.kernel, "kernel"), progress)
    names = settings.peers
    if names is None:
        names = tuple(name for name, spec in specs.items() if spec.kind == "peer")
    peers = [obtain_image(cache, _one(settings, specs, name, "peer"), progress) for name in names]
    virtual = settings.clock == "virtual"
    parts = Parts(
        kernel=kernel,
        guest=guest,
        site=obtain_site(cache, settings.lock, guest, progress),
        peers=tuple(peers),
        accelerator="icount" if virtual else real_clock_accelerator(cache, kernel, progress),
        cpus=1 if virtual else min(4, os.cpu_count() or 1),
        memory_mib=MEMORY_MIB,
    )
    base = obtain_base(cache, parts, progress)
    project = obtain_project(cache, settings.tree, guest, progress)
    order = {
        "plugins": list(settings.plugins),
        "arguments": list(settings.arguments),
        "warm": [path for path in settings.warm if (settings.tree.rootdir / path).exists()],
    }
    return LabKernel(cache, obtain_warm(cache, base, project, order, progress))


def _one(settings: Settings, specs: dict[str, ImageSpec], name: str, kind: str) -> ImageSpec:
    known = sorted(spec.name for spec in specs.values() if spec.kind == kind)
    if name not in known:
        raise MachineError(
            f"{settings.images}: there is no {kind} {name!r}; there are {', '.join(known)}."
        )
    return specs[name]


def _result(job: Job, files: Files, began: float, restore_s: float) -> Result:
    answer = decode_answer(files.out)
    if answer is None:
        raise Lost(f"{job.nodeid}: the guest ended without a result.", _console(files))
    header = answer.header
    if header["lost"]:
        words = "\n".join(text for text in (header["output"], header["stuck"]) if text)
        raise Lost(f"{job.nodeid}: the item was lost: {header['lost']}.", words)
    if not header["reports"]:
        said = [line for line in header["output"].splitlines() if line.startswith("ERROR: ")]
        why = said[0].removeprefix("ERROR: ") if said else f"status {header['status']}"
        raise MachineError(f"{job.nodeid}: pytest in the lab kernel ran no such item: {why}.")
    return Result(
        reports=tuple(header["reports"]),
        artifacts=answer.artifacts,
        status=header["status"],
        output=header["output"],
        wall_s=time.monotonic() - began,
        restore_s=restore_s,
        lab_s=header["lab_s"],
    )


def _console(files: Files) -> str:
    return files.console.read_bytes()[-3000:].decode(errors="replace")
