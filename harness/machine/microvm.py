# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that lives in memory: its command line, its start, its snapshot and its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from harness.machine.errors import Lost, MachineError
from harness.machine.guest import FINISHED
from harness.machine.qmp import Qmp, QmpClosed, QmpRefused

Clock = Literal["virtual", "real"]
Accelerator = Literal["icount", "tcg", "kvm"]
QEMU = "qemu-system-x86_64"
JOB_SIZE = 2 << 20
OUT_SIZE = 256 << 20
# isa-debug-exit ends QEMU with the byte that was written, shifted, and the lowest bit set.
_EXIT_STATUS = FINISHED << 1 | 1
_CONSOLE_TAIL = 3000
_CHUNK = 1 << 20
_CMDLINE = (
    "console=ttyS0 quiet loglevel=4 panic=-1 nokaslr mitigations=off cryptomgr.notests "
    "random.trust_cpu=off random.trust_bootloader=off net.ifnames=0 "
    # Nothing watches the clock: it is the host's own, and each look at it costs an idle guest.
    "tsc=reliable nowatchdog psi=0 cgroup_disable=memory"
)


@dataclass(frozen=True)
class MicroVM:
    """What a guest is made of; the same values give the same guest.

    ``layers`` are the names and the files of the read-only devices, in their order, without the
    job and out devices that follow them. ``memory_mib`` is the guest's RAM in MiB.
    """

    vmlinuz: Path
    initrd: Path
    layers: tuple[tuple[str, Path], ...]
    accelerator: Accelerator
    memory_mib: int = 1024
    cpus: int = 1


@dataclass(frozen=True)
class Files:
    """The files of one start of a guest.

    With ``private`` the guest's RAM begins as the content of ``ram`` and is written to nowhere;
    otherwise it is the file.
    """

    ram: Path
    private: bool
    job: Path
    out: Path
    console: Path


def command(vm: MicroVM, files: Files) -> list[str]:
    """Return QEMU's command line for a start of the guest, without what is of one process."""
    line = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    # From QEMU 8 on the HPET, which nobody reads, makes an idle virtual hour ten times as long.
    line += ["-M", "q35,hpet=off,memory-backend=ram", "-m", f"{vm.memory_mib}M,slots=4,maxmem=32G"]
    line += ["-smp", str(vm.cpus), *_ACCELERATORS[vm.accelerator]]
    line += ["-object", _memory("ram", files.ram, vm.memory_mib << 20, private=files.private)]
    line += ["-kernel", str(vm.vmlinuz), "-initrd", str(vm.initrd), "-append", _CMDLINE]
    line += ["-device", "pvpanic", "-action", "panic=pause"]
    line += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    line += ["-chardev", f"file,id=console,path={_escaped(files.console)}"]
    line += ["-serial", "chardev:console"]
    devices = [(path, path.stat().st_size, True) for _, path in vm.layers]
    devices += [(files.job, JOB_SIZE, True), (files.out, OUT_SIZE, False)]
    for number, (path, size, readonly) in enumerate(devices):
        line += ["-object", _memory(f"mem{number}", path, size, readonly=readonly)]
        line += ["-device", f"virtio-pmem-pci,memdev=mem{number},id=pmem{number}"]
    return line


def identity(vm: MicroVM) -> str:
    """Return QEMU's command line with the sizes but without the paths of this machine."""
    nowhere = Path("-")
    files = Files(ram=nowhere, private=True, job=nowhere, out=nowhere, console=nowhere)
    text = "\n".join(command(vm, files))
    for path in (vm.vmlinuz, vm.initrd, *(path for _, path in vm.layers)):
        text = text.replace(_escaped(path), "-").replace(str(path), "-")
    return text


def qemu_version() -> str:
    """Return what the installed QEMU says that it is; raises MachineError if there is none."""
    if shutil.which(QEMU) is None:
        raise MachineError(
            f"{QEMU} is not installed, and the lab kernel runs in it; "
            "have an administrator run: apt-get install qemu-system-x86."
        )
    said = subprocess.run([QEMU, "--version"], check=False, capture_output=True, text=True).stdout
    return said.splitlines()[0] if said else "unknown"


def make_hole(path: Path, size: int) -> Path:
    """Make a file of ``size`` bytes that takes no room yet, for this user only; return it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.ftruncate(fd, size)
    os.close(fd)
    return path


class Guest:
    """A running QEMU, which ends with the ``with`` block or with this process.

    Every method raises Lost if the guest dies first, or when ``deadline_s`` seconds of wall time
    have passed since the start.
    """

    def __init__(
        self, vm: MicroVM, files: Files, deadline_s: float, *, restored: bool = False
    ) -> None:
        self._files = files
        self._limit = deadline_s
        self._deadline = time.monotonic() + deadline_s
        own, theirs = socket.socketpair()
        line = command(vm, files)
        line += ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}"]
        line += ["-mon", "chardev=qmp,mode=control"]
        if restored:
            line += ["-S", "-incoming", "defer"]
        # A guest must not outlive a harness that is killed.
        guarded = ["setpriv", "--pdeathsig", "KILL", "--", *line]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    guarded,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            except FileNotFoundError as error:
                own.close()
                raise MachineError(
                    "setpriv is not installed, and guests are started with it; "
                    "have an administrator run: apt-get install util-linux."
                ) from error
        self._connection = own
        self._qmp = Qmp(own, self._deadline)

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def greet(self) -> None:
        """Wait until QEMU takes commands."""
        self._guarded(self._qmp.greet)
        self.execute(
            "migrate-set-capabilities",
            {
                "capabilities": [
                    # RAM lies in files, and is neither written to nor read from the stream.
                    {"capability": "x-ignore-shared", "state": True},
                    {"capability": "events", "state": True},
                ]
            },
        )

    def wait_frozen(self) -> None:
        """Wait until the guest has stopped itself."""
        self._guarded(lambda: self._qmp.wait_event("GUEST_PANICKED"))

    def save(self, state: Path) -> None:
        """Write the state of the stopped guest's devices to a file, and end QEMU."""

        def receive(stream: socket.socket) -> None:
            with open(state, "wb", opener=_for_this_user) as file:
                while data := stream.recv(_CHUNK):
                    file.write(data)

        self._migrate("migrate", receive)
        self.execute("quit")
        self._guarded(self._await_end)

    def load(self, state: Path) -> None:
        """Take the state of the guest's devices from a file; it stays stopped."""
        self._migrate("migrate-incoming", lambda stream: stream.sendall(state.read_bytes()))

    def go_on(self) -> None:
        """Let the stopped guest run."""
        self.execute("cont")

    def wait_finished(self) -> None:
        """Wait until the guest's agent has left a result and ended the guest."""
        self._guarded(self._await_end)
        if self._process.returncode != _EXIT_STATUS:
            raise self._lost("The guest died before it gave a result")

    def wait_ended(self) -> None:
        """Wait until QEMU has ended, however it did."""
        self._guarded(self._await_end)

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        """Have QEMU execute a command."""
        self._guarded(lambda: self._qmp.execute(command, arguments))

    def _migrate(self, verb: str, carry: Callable[[socket.socket], None]) -> None:
        def migrate() -> None:
            # Through a socket: later QEMUs take no file that was opened elsewhere, and earlier
            # ones cannot open it themselves.
            own, theirs = socket.socketpair()
            with own:
                with theirs:
                    self._qmp.execute("getfd", {"fdname": "state"}, [theirs.fileno()])
                self._qmp.execute(verb, {"uri": "fd:state"})
                own.settimeout(max(0.001, self._deadline - time.monotonic()))
                # QEMU says itself why it hung up.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    carry(own)
            while True:
                status = self._qmp.wait_event("MIGRATION")["data"]["status"]
                if status == "completed":
                    return
                if status == "failed":
                    raise QmpRefused(f"{verb}: the state could not be carried over")

        self._guarded(migrate)

    def _await_end(self) -> None:
        try:
            self._process.wait(max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def _guarded(self, act: Any) -> None:
        try:
            act()
        except TimeoutError as error:
            raise self._lost(
                f"The guest gave no result within {self._limit:g} s of wall time"
            ) from error
        except QmpClosed as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            raise self._lost("The guest died before it gave a result") from error
        except QmpRefused as error:
            raise self._lost(f"QEMU refused a command ({error})") from error

    def _lost(self, what: str) -> Lost:
        self._end()
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip()
        tail = b""
        with contextlib.suppress(OSError):
            tail = self._files.console.read_bytes()[-_CONSOLE_TAIL:]
        status = self._process.returncode
        how = "" if status in (None, -signal.SIGKILL, 0) else f", QEMU ended with {status}"
        reasons = [line for line in said.splitlines() if "warning:" not in line]
        why = f": {reasons[-1]}" if reasons else how
        text = f"{what}{why}; the end of its console is kept with this error."
        return Lost(text, tail.decode(errors="replace"))

    def _end(self) -> None:
        self._connection.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _for_this_user(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _memory(
    name: str, path: Path, size: int, *, private: bool = False, readonly: bool = False
) -> str:
    share = "off" if private else "on"
    line = f"memory-backend-file,id={name},mem-path={_escaped(path)},size={size},share={share}"
    return line + (",readonly=on" if readonly else "")


def _escaped(path: Path) -> str:
    # QEMU splits its options at commas, and takes two for one that is meant.
    return str(path).replace(",", ",,")


# The clock's guest has no randomness of its own, and nothing that emulation is slow at: fast string
# moves go byte by byte there, and guarding user memory ends every block of translated code.
CPU = "max,-rdrand,-rdseed,-la57,-erms,-fsrm,-smap,-smep,-pku,-avx,-avx2,-adx,-bmi2"
_VIRTUAL = [
    # The time stands still while the host works, and jumps to the next timer when all is idle.
    # QEMU would else hand the guest's kernel a random seed at each boot.
    *("-accel", "tcg", "-icount", "shift=0,sleep=off", "-seed", "1"),
    *("-rtc", "base=2026-01-01T00:00:00,clock=vm", "-cpu", CPU),
]
_ACCELERATORS: dict[Accelerator, list[str]] = {
    "icount": _VIRTUAL,
    "tcg": [*("-accel", "tcg,thread=multi"), *("-cpu", "max,-la57")],
    # Never the host's own model: some nested hosts refuse its registers and QEMU aborts.
    "kvm": [*("-accel", "kvm"), *("-cpu", "Westmere")],
}
