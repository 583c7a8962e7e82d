# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent in the lab kernel: warms up, freezes, and after the restore runs one pytest item.

This file travels in the initial ramdisk and runs alone: it imports nothing of the project,
because the first snapshot is taken before the project is there.

The host talks to it through memory only: what the agent is to do lies in the job device, what
came out goes to the out device, and two I/O ports stop the guest at an exact instruction.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import fcntl
import gc
import hashlib
import importlib
import io
import json
import mmap
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

RUN = Path("/run/ikelab")
OUT = RUN / "out"
MAGIC = b"IKELABJ1"
RESULT = b"IKELABR1"
FREEZE_PORT = 0x505
EXIT_PORT = 0xF4
FINISHED = 0x10
PAGE = 4096
CHUNK = 1 << 20
EPOCH = 1767225600
SITE = "/site"
PROJECT = "/project"
LIBRARY = "/ikelab/lib"
# Lab seconds that a stuck item gets to write down where each of its threads is.
GRACE = 2.0

_BLKFLSBUF = 0x1261
_RNDADDENTROPY = 0x40085203
_RNDRESEEDCRNG = 0x5207


# Longer than until the next tick of a running kernel, in ticks of the time stamp counter,
# which under the virtual clock are nanoseconds.
_GAP = 6_000_000
# Less than between two ticks, and more than the rough count can be out.
_NEAR = 60_000
_WRITE = bytes.fromhex(
    "89fa"  # mov edx, edi
    "89f0"  # mov eax, esi
    "ee"  # out dx, al
    "c3"  # ret
)
# QEMU, when a guest stops itself, sometimes lets the time jump to the next timer first, and
# sometimes not. So that all the same the guest goes on at one exact instruction, it counts down
# what is left to a point of time that lies after the jump: roughly at first, because ticks of
# the kernel come between, and by the instruction, which is a nanosecond, at last.
_FREEZE = (
    bytes.fromhex(
        "0f31"  # rdtsc
        "48c1e220"  # shl rdx, 32
        "4809d0"  # or rax, rdx
        "4c8d80"  # lea r8, [rax + gap]
    )
    + struct.pack("<i", _GAP)
    + bytes.fromhex("66ba")  # mov dx, port
    + struct.pack("<H", FREEZE_PORT)
    + bytes.fromhex(
        "b001"  # mov al, 1
        "ee"  # out dx, al
        "0f31"  # again: rdtsc
        "48c1e220"  # shl rdx, 32
        "4809d0"  # or rax, rdx
        "4c89c1"  # mov rcx, r8
        "4829c1"  # sub rcx, rax
        "4881f9"  # cmp rcx, gap
    )
    + struct.pack("<i", _GAP)
    + bytes.fromhex(
        "7726"  # ja done
        "4881f9"  # cmp rcx, near
    )
    + struct.pack("<i", _NEAR)
    + bytes.fromhex(
        "760c"  # jbe last
        "b988130000"  # mov ecx, 5000
        "48ffc9"  # spin: dec rcx
        "75fb"  # jnz spin
        "ebd3"  # jmp again
        "4883f902"  # last: cmp rcx, 2
        "720b"  # jb done
        "48d1e9"  # shr rcx, 1
        "7301"  # jnc even
        "90"  # nop, for the odd one
        "48ffc9"  # even: dec rcx
        "75fb"  # jnz even
        "c3"  # done: ret
    )
)


class Ports:
    """The guest's side of QEMU's I/O ports, without a compiler: machine code in a page."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.iopl(3) != 0:
            raise OSError(ctypes.get_errno(), "iopl")
        self._page = mmap.mmap(-1, PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page[: len(_WRITE)] = _WRITE
        self._page[64 : 64 + len(_FREEZE)] = _FREEZE
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._out = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(address)
        self._freeze = ctypes.CFUNCTYPE(None)(address + 64)

    def out(self, port: int, value: int) -> None:
        """Write one byte to an I/O port."""
        self._out(port, value)

    def freeze(self) -> None:
        """Stop the guest; each of its copies goes on with the same instruction at the same time."""
        self._freeze()


def _pages(size: int) -> int:
    """Return the size in bytes of the whole pages that hold ``size`` bytes."""
    return -(-size // PAGE) * PAGE


class Devices:
    """The pmem devices by the names that the host gave them."""

    def __init__(self, names: list[str]) -> None:
        self._paths = {name: f"/dev/pmem{number}" for number, name in enumerate(names)}

    def path(self, name: str) -> str:
        """Return the block device of a layer."""
        return self._paths[name]

    def read_job(self) -> dict[str, Any]:
        """Return what the host left in the job device; it is read past every cache."""
        fd = os.open(self._paths["job"], os.O_RDONLY | os.O_DIRECT)
        try:
            # Memory is touched page by page, so no more is read than was written.
            page = mmap.mmap(-1, PAGE)
            os.preadv(fd, [page], 0)
            if page[:8] != MAGIC:
                raise RuntimeError("the job device holds no job")
            (length,) = struct.unpack_from("<Q", page, 8)
            whole = mmap.mmap(-1, _pages(16 + length))
            os.preadv(fd, [whole], 0)
        finally:
            os.close(fd)
        job: dict[str, Any] = json.loads(whole[16 : 16 + length])
        return job

    def write_result(self, header: bytes, archive: bytes) -> bool:
        """Leave a result in the out device; return False if it does not fit."""
        data = memoryview(RESULT + struct.pack("<QQ", len(header), len(archive)) + header + archive)
        # Past every cache and without a flush: a flush would wait for the host.
        fd = os.open(self._paths["out"], os.O_RDWR | os.O_DIRECT)
        if len(data) > os.lseek(fd, 0, os.SEEK_END):
            os.close(fd)
            return False
        block = mmap.mmap(-1, min(CHUNK, _pages(len(data))))
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            block[: len(part)] = part
            whole = _pages(len(part))
            block[len(part) : whole] = bytes(whole - len(part))
            os.pwritev(fd, [memoryview(block)[:whole]], start)
        os.close(fd)
        return True


class Agent:
    """A pytest plugin that freezes the guest before the collection and reports after the run."""

    def __init__(self, devices: Devices, ports: Ports, kernel: str, tell: int) -> None:
        self._devices = devices
        self._ports = ports
        self._kernel = kernel
        # The pipe to the process that watches the item.
        self._tell = tell
        self._config: Any = None
        self._reports: list[Any] = []
        self.warming = True

    def freeze(self) -> dict[str, Any]:
        """Stop the guest for a snapshot; return, in each restored copy, its own orders."""
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()
        self._ports.freeze()
        return self._devices.read_job()

    def pytest_configure(self, config: Any) -> None:
        """Tell the project's plugin that this is the inside of a lab kernel."""
        self._config = config
        config.option.ikelab_inside = self._kernel
        config.option.ikelab_out = str(OUT)

    def pytest_collection(self, session: Any) -> bool | None:
        """Collect, freeze, and in a restored guest let pytest run only what the job names."""
        if self.warming:
            return None
        modules = collect(session)
        self._reports.clear()
        warm = getattr(session.config.hook, "pytest_ikelab_warm", None)
        if warm is not None:
            warm(config=session.config)
        job = self.freeze()
        began = time.monotonic()
        stir(job["seed"])
        for name, value in job["options"].items():
            setattr(session.config.option, name, value)
        OUT.mkdir(parents=True, exist_ok=True)
        faulthandler.register(
            signal.SIGUSR1,
            file=(RUN / "stuck").open("w"),
            all_threads=True,
        )
        os.write(self._tell, json.dumps([began, job["limit_s"]]).encode())
        item = find_item(modules, job["nodeid"])
        if item is None:
            # It is no plain function of a module that was there: as pytest does it, then.
            session.config.args = [job["nodeid"]]
            return None
        session.items = [item]
        session.testscollected = 1
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep each report of the item."""
        self._keep(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Keep a report of a collection that failed."""
        if not self.warming and report.failed:
            self._keep(report)

    def _keep(self, report: Any) -> None:
        self._reports.append(
            self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        )

    def save(self, status: int) -> None:
        """Leave the reports where the watching process looks for them."""
        text = json.dumps({"status": status, "reports": self._reports}, sort_keys=True)
        (RUN / "reports.json").write_text(text)


def collect(session: Any) -> list[Any]:
    """Return the modules of test functions, collected: of each, pytest knows the fixtures."""
    import pytest

    # What cannot be collected fails again, and is reported, when it is asked for.
    with contextlib.suppress(pytest.UsageError):
        session.perform_collect()
    session.testsfailed = 0
    parents = (item.getparent(pytest.Module) for item in session.items)
    return list(dict.fromkeys(module for module in parents if module is not None))


def find_item(modules: Iterable[Any], nodeid: str) -> Any:
    """Return the item of a node id, made anew: the job says with which peers; or None."""
    for module in modules:
        if not nodeid.startswith(f"{module.nodeid}::"):
            continue
        name = nodeid[len(module.nodeid) + 2 :].partition("[")[0]
        function = getattr(module.obj, name, None)
        made = module.ihook.pytest_pycollect_makeitem(collector=module, name=name, obj=function)
        for item in made if isinstance(made, list) else []:
            if item.nodeid == nodeid:
                return item
    return None


def stir(seed: int) -> None:
    """Make every random number from here on hang on the seed."""
    entropy = hashlib.sha256(f"ikelab {seed}".encode()).digest()
    fd = os.open("/dev/urandom", os.O_WRONLY)
    fcntl.ioctl(fd, _RNDADDENTROPY, struct.pack("=ii32s", 256, 32, entropy))
    fcntl.ioctl(fd, _RNDRESEEDCRNG)
    os.close(fd)
    random.seed(seed)


def watch(child: int, told: int, limit: float) -> str | None:
    """Wait for the item's process; return None, or what happened to it, in words.

    It says over the pipe ``told`` that it is done, since its end takes longer. ``limit`` is in
    seconds of lab time.
    """
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([told, handle], [], [], limit)
    if not ready:
        os.kill(child, signal.SIGUSR1)
        select.select([handle], [], [], GRACE)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return f"it was still running after {limit:g} s of lab time"
    if told in ready and os.read(told, PAGE):
        return None
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"its process was killed by {name}"
    return f"its process ended with status {os.waitstatus_to_exitcode(status)} and no report"


def oversee(child: int, told: int, devices: Devices, ports: Ports) -> None:
    """Wait until an item begins in the child, then until it is done, and send its result."""
    begun = os.read(told, PAGE)
    if not begun:
        os.waitpid(child, 0)
        sys.exit("ikelab: the agent ended before it could take a job")
    began, limit = json.loads(begun)
    finish(devices, ports, began, watch(child, told, limit))


def finish(devices: Devices, ports: Ports, began: float, lost: str | None) -> None:
    """Send the result and end the guest; does not return."""
    lab_s = time.monotonic() - began
    header: dict[str, Any] = {"lab_s": lab_s, "lost": lost, "reports": [], "status": None}
    if lost is None:
        header |= json.loads((RUN / "reports.json").read_text())
    header["output"] = tail(RUN / "output")
    header["stuck"] = tail(RUN / "stuck")
    if not devices.write_result(encode(header), pack(OUT)):
        header["lost"] = "its artifacts are larger than the out device"
        devices.write_result(encode(header), b"")
    ports.out(EXIT_PORT, FINISHED)


def fail(devices: Devices, ports: Ports, why: str) -> None:
    """Tell the host that no item can be run at all, and end the guest."""
    header = {"lab_s": 0.0, "lost": why, "reports": [], "status": None}
    header |= {"output": tail(RUN / "output"), "stuck": ""}
    devices.write_result(encode(header), b"")
    ports.out(EXIT_PORT, FINISHED)


def encode(header: dict[str, Any]) -> bytes:
    """Return a result's header as bytes."""
    return json.dumps(header, sort_keys=True).encode()


def tail(path: Path, limit: int = 16384) -> str:
    """Return the end of a text file, or nothing."""
    with contextlib.suppress(OSError):
        return path.read_bytes()[-limit:].decode(errors="replace")
    return ""


def pack(folder: Path) -> bytes:
    """Return a tar of ``folder``: the same bytes from the same files, whoever wrote them when."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, str(path.relative_to(folder)))
            if entry is None or not (entry.isfile() or entry.isdir() or entry.issym()):
                continue
            entry.mtime = EPOCH
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if entry.isfile():
                with path.open("rb") as file:
                    archive.addfile(entry, file)
            else:
                archive.addfile(entry)
    return buffer.getvalue()


def mount(devices: Devices, layer: str, where: str) -> None:
    """Mount the erofs of a layer, whose device is read anew."""
    fd = os.open(devices.path(layer), os.O_RDONLY)
    fcntl.ioctl(fd, _BLKFLSBUF, 0)
    os.close(fd)
    Path(where).mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "erofs", "-o", "ro", devices.path(layer), where]
    if subprocess.run([*command, "-o", "dax=always"], stderr=subprocess.DEVNULL).returncode:
        subprocess.run(command, check=True)


def warm(modules: list[str]) -> None:
    """Import what every scenario imports; what is not there is not needed."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def warm_kernel(algorithms: Iterable[tuple[str, str]]) -> None:
    """Have the kernel make and test each algorithm, which it does when one is first asked for."""
    for kind, name in algorithms:
        with contextlib.suppress(OSError), socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as s:
            s.bind((kind, name))


def run_pytest(agent: Agent, order: dict[str, Any]) -> int:
    """Import all that the order names by collecting it, then start the session that freezes."""
    import pytest

    os.chdir(PROJECT)
    sys.path.insert(0, LIBRARY)
    os.environ["PYTHONPATH"] = f"{LIBRARY}:{SITE}"
    common = ["--rootdir", PROJECT, "-p", "no:cacheprovider"]
    # The second session finds every plugin imported by the first.
    common += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    common += [option for name in order["plugins"] for option in ("-p", name)]
    common += order["arguments"]
    # What cannot be collected here cannot be run either, and says so when it is asked for.
    pytest.main([*common, "--collect-only", "-q", *order["warm"]], plugins=[agent])
    os.truncate(RUN / "output", 0)
    agent.warming = False
    return int(pytest.main([*common, *order["warm"]], plugins=[agent]))


def main() -> None:
    """Fork a process for the item, which is reported by this one whatever becomes of it.

    The fork comes first, while there is little to share: a page that two processes share costs a
    copy when either writes to it.
    """
    setup = json.loads((RUN / "guest.json").read_text())
    ports = Ports()
    devices = Devices(setup["layers"])
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        oversee(child, told, devices, ports)
    os.close(told)
    work(setup, devices, ports, tell)


def work(setup: dict[str, Any], devices: Devices, ports: Ports, tell: int) -> NoReturn:
    """Warm up, freeze twice, run the job."""
    agent = Agent(devices, ports, setup["kernel"], tell)
    sys.path.append(SITE)
    warm(setup["warm"])
    warm_kernel(setup["algorithms"])
    order = agent.freeze()
    try:
        mount(devices, "project", "/ikelab")
        subprocess.run(["mount", "--bind", "/ikelab/project", PROJECT], check=True)
        status = run_pytest(agent, order)
    except BaseException:
        fail(devices, ports, f"its Python failed: {traceback.format_exc(limit=-3)}")
        raise
    if agent.warming or not OUT.exists():
        fail(devices, ports, "pytest ended before it could take a job")
    agent.save(status)
    sys.stdout.flush()
    os.write(tell, b"done")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
