# SPDX-License-Identifier: GPL-2.0-or-later
import subprocess
from pathlib import Path

from harness.machine.finish import in_load_order, installed
from harness.machine.images import Kernel
from harness.machine.initramfs import cpio, make_initramfs


def kernel(folder: Path) -> Kernel:
    (folder / "boot").mkdir(parents=True)
    (folder / "boot/00-virtio.ko").write_bytes(b"module")
    (folder / "busybox").write_bytes(b"box")
    return Kernel(
        name="debian-6.1",
        release="6.1.0-1-cloud-amd64",
        vmlinuz=folder / "vmlinuz",
        busybox=folder / "busybox",
        boot_modules=(folder / "boot/00-virtio.ko",),
        modules=folder / "image.erofs",
        sha256="0",
    )


def test_the_archive_is_one_that_others_can_read(tmp_path: Path) -> None:
    data = cpio(("bin",), {"bin/tool": b"12345", "init": b""}, {"bin/sh": "tool"})
    subprocess.run(["cpio", "-i", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "bin/sh").read_bytes() == b"12345"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_the_ramdisk_is_the_same_wherever_the_cache_is(tmp_path: Path) -> None:
    layers = ["guest", "modules", "site", "a-peer", "project", "job", "out"]
    one = make_initramfs(kernel(tmp_path / "one"), "python3.11", layers, ["a-peer"], b"agent")
    two = make_initramfs(kernel(tmp_path / "two"), "python3.11", layers, ["a-peer"], b"agent")
    assert one == two
    assert b"layer 3 /new/images/a-peer\n" in one
    assert b"@" not in one.split(b"#!/bin/sh")[1].split(b"switch_root")[0]
    assert str(tmp_path).encode() not in one


def test_a_module_is_loaded_after_all_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "a/virtio.ko: a/virtio_ring.ko\n"
        "a/virtio_ring.ko:\n"
        "n/nd_pmem.ko.xz: n/nd_btt.ko.xz n/libnvdimm.ko.xz\n"
        "n/nd_btt.ko.xz: n/libnvdimm.ko.xz\n"
        "n/libnvdimm.ko.xz:\n"
    )
    paths = in_load_order(tmp_path, ("nd_pmem", "virtio", "built_in"))
    assert [path.name.split(".")[0] for path in paths] == [
        "libnvdimm", "nd_btt", "nd_pmem", "virtio_ring", "virtio",
    ]  # fmt: skip


def test_the_installed_versions_are_read_from_dpkg(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(
        "Package: a\nStatus: install ok installed\nVersion: 1.0-1\n\nPackage: b\nVersion: 2:3\n"
    )
    assert installed(tmp_path / "status") == {"a": "1.0-1", "b": "2:3"}
