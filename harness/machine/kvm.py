# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine's KVM really runs a guest, found out by running one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from harness.machine.cache import Cache
from harness.machine.errors import Lost
from harness.machine.images import Kernel
from harness.machine.initramfs import make_probe_initramfs
from harness.machine.microvm import (
    JOB_SIZE,
    OUT_SIZE,
    Accelerator,
    Files,
    Guest,
    MicroVM,
    make_hole,
    qemu_version,
)
from harness.machine.progress import Progress, silent

KIND = "probe"
DEVICE = Path("/dev/kvm")
# A guest that really runs says its word within a second.
LIMIT_S = 8.0
_WORD = "ikelab-probe-ran"


def real_clock_accelerator(
    cache: Cache, kernel: Kernel, progress: Progress = silent
) -> Accelerator:
    """Return what guests with a real clock run on: KVM where it works, else emulation.

    A KVM can open, make a guest and never run it, so a small guest is started once with a short
    limit, and the answer is remembered for this host kernel, QEMU and lab kernel.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    facts = f"{qemu_version()} {os.uname().release} {kernel.sha256}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]

    def build(folder: Path) -> None:
        answer = "yes" if guest_runs(cache, kernel, "kvm", LIMIT_S) else "no"
        (folder / "kvm").write_text(answer)

    path = cache.obtain(KIND, key, build, step="probe of KVM", progress=progress)
    return "kvm" if (path / "kvm").read_text() == "yes" else "tcg"


def guest_runs(
    cache: Cache,
    kernel: Kernel,
    accelerator: Accelerator,
    limit_s: float,
    *,
    ramdisk: Callable[[Kernel, str], bytes] = make_probe_initramfs,
) -> bool:
    """Tell whether a guest reaches its first program within ``limit_s`` seconds of wall time."""
    with cache.run_folder() as folder:
        initrd = folder / "initrd"
        initrd.write_bytes(ramdisk(kernel, _WORD))
        vm = MicroVM(kernel.vmlinuz, initrd, (), accelerator, memory_mib=256)
        files = Files(
            ram=make_hole(folder / "ram", 256 << 20),
            private=False,
            job=make_hole(folder / "job", JOB_SIZE),
            out=make_hole(folder / "out", OUT_SIZE),
            console=folder / "console",
        )
        try:
            with Guest(vm, files, limit_s) as guest:
                guest.wait_ended()
        except Lost:
            return False
        return _WORD in files.console.read_text(errors="replace")
