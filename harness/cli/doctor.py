# SPDX-License-Identifier: GPL-2.0-or-later
"""``ikelab doctor``: what this machine can do, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.kernel.capabilities import probe
from harness.machine.cache import Cache, locate
from harness.machine.debian import has_user_namespaces
from harness.machine.images import is_built, obtain_kernel
from harness.machine.kvm import real_clock_accelerator
from harness.machine.labkernel import DEFAULT_KERNEL
from harness.machine.spec import ImageSpec, load_specs
from harness.plugin.options import IMAGES

SETUP = "./ci/setup"
FREE_NEEDED = 4 << 30
"""Bytes that images, snapshots and one run take."""

PROGRAMS = (
    ("qemu-system-x86_64", "qemu-system-x86", "the lab kernel"),
    ("mmdebstrap", "mmdebstrap", "building images"),
    ("mkfs.erofs", "erofs-utils", "building images"),
    ("ip", "iproute2", "keying by hand on the host"),
    ("nft", "nftables", "NAT on the host"),
    ("tshark", "tshark", "the second opinion on captures, in the tests"),
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is there, what was found, what mends it."""

    name: str
    good: bool
    found: str
    remedy: str = ""
    needed: bool = True


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser, and return its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="say what this machine can do, and what mends what it cannot",
        description="Exit status 0 if scenarios can be run here, else 1.",
    )
    parser.set_defaults(command=command)
    return parser


def command(options: argparse.Namespace) -> int:
    """Print every check and return 0 when nothing that is needed is missing."""
    checks = list(examine(locate()))
    for check in checks:
        mark = "ok" if check.good else "MISSING" if check.needed else "no"
        remedy = f"; {check.remedy}" if check.remedy and not check.good else ""
        print(f"{mark:<8} {check.name:<28} {check.found}{remedy}")
    missing = [check for check in checks if check.needed and not check.good]
    if missing:
        print(f"\n{len(missing)} missing: scenarios cannot all run here until that is mended.")
        return 1
    print("\nEvery scenario can run here.")
    return 0


def examine(cache: Cache) -> Iterator[Check]:
    """Look at everything that running scenarios needs, cheapest first."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or later")
    yield from _programs(cache)
    yield from _user()
    yield from _host_kernel()
    yield _disk(cache)
    yield from _images(cache)


def _programs(cache: Cache) -> Iterator[Check]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    specs = [spec for spec in load_specs(IMAGES).values() if _is_wanted(spec)]
    # No scenario needs these two: one of them only until there is something to run it on.
    spared = {"tshark"} | ({"mmdebstrap"} if all(is_built(cache, s) for s in specs) else set())
    for program, package, purpose in PROGRAMS:
        where = shutil.which(program, path=path)
        found = where or f"not installed, needed for {purpose}"
        remedy = f"apt-get install {package}"
        yield Check(program, where is not None, found, remedy, needed=program not in spared)


def _user() -> Iterator[Check]:
    root = os.geteuid() == 0
    found = "yes" if root else "no: everything runs in the lab kernel, nothing on the host"
    yield Check("root", root, found, needed=False)
    if root:
        return
    name = _user_name()
    granted = any(
        line.split(":")[0] in (name, str(os.geteuid()))
        for line in _lines(Path("/etc/subuid"))
        if line
    )
    yield Check(
        "subordinate user ids",
        granted and shutil.which("newuidmap") is not None,
        "granted" if granted else "none: images cannot be built by this user",
        f"apt-get install uidmap and usermod --add-subuids 100000-165535 "
        f"--add-subgids 100000-165535 {name}, both as root",
        needed=False,
    )
    if granted:
        allowed = has_user_namespaces()
        yield Check(
            "user namespaces",
            allowed,
            "allowed" if allowed else "refused: images cannot be built by this user",
            "a container allows them by its options, Ubuntu 24.04 by sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0",
            needed=False,
        )


def _host_kernel() -> Iterator[Check]:
    release = os.uname().release
    if os.geteuid() != 0:
        return
    capabilities = probe()
    for name, purpose in (
        ("esp", "kernel ESP on the host; the lab kernel has it"),
        ("tun", "wires on the host; the lab kernel has them"),
        ("overlay", "nodes on the host; the lab kernel has them"),
        ("nat", "NAT on the host"),
    ):
        why = capabilities.missing(name)
        found = f"Linux {release}" if not why else f"{why}: no {purpose}"
        yield Check(f"host kernel: {name}", not why, found, needed=False)


def _disk(cache: Cache) -> Check:
    place = next(path for path in (cache.root, *cache.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB free for {cache.root}"
    return Check("disk", free >= FREE_NEEDED, found, "make room, or set IKELAB_CACHE elsewhere")


def _images(cache: Cache) -> Iterator[Check]:
    specs = load_specs(IMAGES)
    for spec in specs.values():
        wanted = _is_wanted(spec)
        built = is_built(cache, spec)
        later = ", not built yet" if wanted else ", built when --kernel asks for it"
        found = f"{spec.kind}, version {spec.version}" + ("" if built else later)
        yield Check(f"image {spec.name}", built, found, SETUP if wanted else "", needed=wanted)
    kernel = specs[DEFAULT_KERNEL]
    if is_built(cache, kernel) and shutil.which("qemu-system-x86_64"):
        accelerator = real_clock_accelerator(cache, obtain_kernel(cache, kernel))
        found = "a guest runs" if accelerator == "kvm" else "no guest runs; real time is emulated"
        yield Check("KVM", accelerator == "kvm", found, needed=False)


def _is_wanted(spec: ImageSpec) -> bool:
    """Whether scenarios run on an image without being told to."""
    return spec.kind != "kernel" or spec.name == DEFAULT_KERNEL


def _user_name() -> str:
    """What /etc/subuid calls this user: the name, or the number of one that has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
