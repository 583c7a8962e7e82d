# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn what mmdebstrap made into what the lab uses; run as ``python -m harness.machine.finish``.

It is a program of its own because the files of an image belong to many ids: an ordinary user
may touch them only inside a user namespace, in which this program is started then.
"""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.machine.erofs import digest, make_erofs
from harness.machine.errors import MachineError
from harness.machine.loader import compile_tree, loader, python_version
from harness.machine.spec import Kind

# What differs from one build to the next, or is never read in the lab.
UNWANTED = (
    "dev", "run", "tmp", "var/log", "var/cache", "var/lib/apt", "var/tmp",
    "var/lib/dpkg/info", "var/lib/dpkg/status-old", "var/lib/dpkg/available-old",
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale",
    "usr/share/lintian", "usr/share/bash-completion", "boot",
)  # fmt: skip
UNWANTED_FILES = ("etc/machine-id", "etc/resolv.conf", "etc/hostname", "etc/.pwd.lock")
# These must be there, empty, as mount points.
MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "var/log", "var/cache", "var/tmp", "images",
                "site", "project", "lib/modules")  # fmt: skip
# What the initial ramdisk needs to find the root file system, with all that they need.
BOOT_MODULES = ("virtio_pci", "virtio_pmem", "nd_pmem", "erofs", "overlay")


def finish(kind: Kind, name: str, folder: Path) -> dict[str, Any]:
    """Make the image in ``folder`` out of its ``root`` directory or its ``root.tar``.

    Leaves ``image.erofs`` and for a kernel ``vmlinuz``, ``busybox`` and ``boot/``; returns what
    is to be known of it. Raises MachineError.
    """
    root = folder / "root"
    tar = folder / "root.tar"
    if tar.exists():
        _unpack(tar, root)
    facts = _finish_kernel(root, folder) if kind == "kernel" else _finish_root(kind, root, folder)
    if tar.exists() or kind == "kernel":
        # A user's unpacked root file system is no use for namespaces: its ids are not real.
        shutil.rmtree(root)
        tar.unlink(missing_ok=True)
    return {"name": name, "kind": kind, **facts}


def _unpack(tar: Path, root: Path) -> None:
    root.mkdir()
    command = ["tar", "-x", "--numeric-owner", "--exclude=./dev/*", "-f", str(tar), "-C", str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MachineError(f"The root file system could not be unpacked at {root}: {last}.")


def _finish_root(kind: Kind, root: Path, folder: Path) -> dict[str, Any]:
    packages = installed(root / "var/lib/dpkg/status")
    for item in UNWANTED:
        shutil.rmtree(root / item, ignore_errors=True)
        if (root / item).is_file():
            (root / item).unlink()
    for item in UNWANTED_FILES:
        (root / item).unlink(missing_ok=True)
    for path in root.glob("etc/ssh/ssh_host_*"):
        path.unlink()
    for path in root.glob("usr/**/__pycache__"):
        shutil.rmtree(path)
    for item in MOUNT_POINTS:
        (root / item).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/tmp").chmod(0o1777)
    facts: dict[str, Any] = {"packages": packages}
    if kind == "guest":
        version = python_version(root)
        library = root / "usr/lib" / f"python{version}"
        compile_tree(root, library, f"/usr/lib/python{version}")
        facts["python"] = version
    facts["sha256"] = make_erofs(root, folder / "image.erofs")
    return facts


def _finish_kernel(root: Path, folder: Path) -> dict[str, Any]:
    modules = root / "lib/modules"
    if not modules.exists() and (root / "usr/lib/modules").is_dir():
        # Since Debian 13 packages name the merged place, which nothing has merged here.
        (root / "lib").mkdir(exist_ok=True)
        (root / "usr/lib/modules").rename(modules)
    releases = sorted(path.name for path in modules.iterdir()) if modules.is_dir() else []
    if not releases:
        raise MachineError("No kernel came out of these packages; name one with its modules.")
    release = releases[-1]
    for link in ("build", "source"):
        (modules / release / link).unlink(missing_ok=True)
    _depmod(root, release)
    shutil.copy(_boot_image(root, release), folder / "vmlinuz")
    busybox = next(
        path for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists()
    )
    shutil.copy(busybox, folder / "busybox")
    boot = folder / "boot"
    boot.mkdir()
    for number, path in enumerate(in_load_order(modules / release, BOOT_MODULES)):
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        name = path.name.split(".")[0]
        (boot / f"{number:02}-{name}.ko").write_bytes(data)
    return {
        "release": release,
        "vmlinuz": digest(folder / "vmlinuz"),
        "sha256": make_erofs(modules, folder / "image.erofs"),
    }


def _boot_image(root: Path, release: str) -> Path:
    places = (
        root / "boot" / f"vmlinuz-{release}",
        root / "lib/modules" / release / "vmlinuz",
        root / "usr/lib/modules" / release / "vmlinuz",
        root / "usr/lib/linux" / f"vmlinuz-{release}",
    )
    for path in places:
        if path.is_file():
            return path
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*vmlinu*"))
    raise MachineError(f"The kernel {release} has no boot image where one is looked for: {found}.")


def _depmod(root: Path, release: str) -> None:
    # depmod is kmod under another name, which is an absolute link in the image.
    kmod = next(path for path in (root / "bin/kmod", root / "usr/bin/kmod") if path.exists())
    alias = root / "depmod"
    alias.symlink_to(kmod)
    command = [*loader(root), str(alias), "-b", str(root), release]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    alias.unlink()
    if done.returncode != 0:
        raise MachineError(f"depmod failed for the kernel {release}: {done.stderr.strip()}.")


def in_load_order(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """Return the files of the ``wanted`` modules and of all that they need, needed ones first.

    What is built into the kernel is left out.
    """
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    by_name = {Path(file).name.split(".")[0].replace("-", "_"): file for file in needs}
    order: list[str] = []

    def visit(file: str) -> None:
        for needed in needs[file]:
            if needed not in order:
                visit(needed)
        if file not in order:
            order.append(file)

    for name in wanted:
        if name in by_name:
            visit(by_name[name])
    return [modules / file for file in order]


def installed(status: Path) -> dict[str, str]:
    """Return the version of each package in a dpkg ``status`` file."""
    return dict(_paragraphs(status.read_text(encoding="utf-8")))


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    for paragraph in text.split("\n\n"):
        name = re.search(r"^Package: (.+)$", paragraph, re.MULTILINE)
        version = re.search(r"^Version: (.+)$", paragraph, re.MULTILINE)
        if name and version:
            yield name[1], version[1]


def main(arguments: list[str]) -> int:
    """Do it for ``KIND NAME FOLDER``; the facts, or the sentence, go to standard output."""
    kind, name, folder = arguments
    try:
        facts = finish(kind, name, Path(folder))  # type: ignore[arg-type]
    except MachineError as error:
        print(json.dumps({"error": str(error)}))
        return 1
    except OSError as error:
        print(json.dumps({"error": f"{error.filename}: {error.strerror}."}))
        return 1
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
