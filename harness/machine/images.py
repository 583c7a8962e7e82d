# SPDX-License-Identifier: GPL-2.0-or-later
"""The images of peers, of the guest and of kernels: built once from their ``image.toml``."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.machine.cache import Cache
from harness.machine.debian import bootstrap
from harness.machine.errors import MachineError
from harness.machine.progress import Progress, silent
from harness.machine.spec import ImageSpec

# Raised whenever the same image.toml must give another image: then all are built anew.
BUILDER = 1
KIND = "image"


@dataclass(frozen=True)
class Image:
    """A built image: a read-only file system for a guest, and as root also a directory.

    ``root`` is the unpacked root file system for namespaces of the host; only an image built
    by root has one. ``sha256`` is of the file system.
    """

    name: str
    erofs: Path
    root: Path | None
    packages: Mapping[str, str]
    python: str | None
    sha256: str


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: what boots, its modules as a file system, and what the ramdisk needs."""

    name: str
    release: str
    vmlinuz: Path
    busybox: Path
    boot_modules: tuple[Path, ...]
    modules: Path
    sha256: str


def obtain_image(cache: Cache, spec: ImageSpec, progress: Progress = silent) -> Image:
    """Return the image of a peer or of the guest, built now if it was never built.

    Raises MachineError if it cannot be built, or if another version came out.
    """
    path, facts = _obtain(cache, spec, progress)
    root = path / "root"
    return Image(
        name=spec.name,
        erofs=path / "image.erofs",
        root=root if root.is_dir() else None,
        packages=facts["packages"],
        python=facts.get("python"),
        sha256=facts["sha256"],
    )


def obtain_kernel(cache: Cache, spec: ImageSpec, progress: Progress = silent) -> Kernel:
    """Return the kernel, fetched and unpacked now if it never was.

    Raises MachineError if it cannot be had, or if another release came out.
    """
    path, facts = _obtain(cache, spec, progress)
    return Kernel(
        name=spec.name,
        release=facts["release"],
        vmlinuz=path / "vmlinuz",
        busybox=path / "busybox",
        boot_modules=tuple(sorted((path / "boot").iterdir())),
        modules=path / "image.erofs",
        sha256=hashlib.sha256((facts["sha256"] + facts["vmlinuz"]).encode()).hexdigest(),
    )


def is_built(cache: Cache, spec: ImageSpec) -> bool:
    """Tell whether the image is in the cache."""
    return cache.find(KIND, key_of(spec)) is not None


def key_of(spec: ImageSpec) -> str:
    """Return the name under which the image of exactly this description is kept."""
    facts = asdict(spec) | {"builder": BUILDER}
    # Where the file lies says nothing about the image.
    del facts["source"]
    text = json.dumps(facts, sort_keys=True)
    return f"{spec.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _obtain(cache: Cache, spec: ImageSpec, progress: Progress) -> tuple[Path, dict[str, Any]]:
    def build(folder: Path) -> None:
        root = os.geteuid() == 0
        bootstrap(spec, folder / ("root" if root else "root.tar"))
        facts = _finish(spec, folder)
        _check_version(spec, facts)
        (folder / "image.json").write_text(json.dumps(facts, indent=1, sort_keys=True))

    path = cache.obtain(KIND, key_of(spec), build, step=f"image {spec.name}", progress=progress)
    return path, json.loads((path / "image.json").read_text())


def _finish(spec: ImageSpec, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "harness.machine.finish", spec.kind, spec.name, str(folder)]
    if os.geteuid() != 0:
        command = ["unshare", "--map-root-user", "--map-auto", "--", *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MachineError(f"{spec.source}: this image could not be finished: {last}.") from error
    if "error" in facts:
        raise MachineError(f"{spec.source}: {facts['error']}")
    return facts


def _check_version(spec: ImageSpec, facts: Mapping[str, Any]) -> None:
    if spec.kind == "kernel":
        out = facts["release"]
        right = out == spec.version or out.startswith((spec.version + ".", spec.version + "-"))
    else:
        out = upstream(facts["packages"].get(spec.version_of, "nothing"))
        right = out == spec.version
    if not right:
        raise MachineError(
            f"{spec.source}: version: {spec.version_of} of Debian {spec.suite} is {out}, "
            f"not {spec.version}; correct the version or the suite."
        )


def upstream(version: str) -> str:
    """Return the upstream part of a Debian version: "5.9.8" of "1:5.9.8-5+deb12u1"."""
    without_epoch = version.split(":", 1)[-1]
    without_revision = without_epoch.rsplit("-", 1)[0]
    return re.sub(r"\+(dfsg|ds|really).*$", "", without_revision)
