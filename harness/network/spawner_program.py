# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that owns every node of a lab: started once, it makes nodes and they die with it.

Run as a program (`python -I -S spawner_program.py CONTROL PARENT`), never imported by the harness.
CONTROL is the number of a SOCK_SEQPACKET socket to the harness, PARENT that of a pidfd of the
harness. Only the standard library is used, but for the modules that it is told to load, and there
is one thread, because every node is a fork of this process.

A node is a child that is PID 1 of a PID namespace of its own and has its own network, mount, UTS
and IPC namespace. None of them has a name anywhere: when this process ends, for whatever reason,
the kernel kills each PID 1, each PID 1 takes its programs with it, and the namespaces and mounts
are gone with the last of them.

Messages are JSON objects, one a packet, with file descriptors beside them. Over CONTROL:
`{"id", "lowers"}` with one descriptor, the node's end of a socket pair; the answer is
`{"id", "pid"}`. Also `{"id", "path", "modules"}`, which imports modules, so that nodes made from
then on have their functions; the answer is `{"id"}`. Either may be answered by `{"id", "error"}`.
Over a node's socket: `{"id": -1, "name", "sysctls"}` first, for which a node may wait as long as
it takes; the answer is `{"id": -1}` when it is set up, with `"error": sentence` when it could not
be. Then `{"id", "argv", "env", "cwd", "fds"}` with the descriptors that the program gets under the
numbers in `fds`; with a "function" beside its arguments in "argv", it is a fork of this process
that calls it. The answer is `{"id", "pid"}` (as the node counts) with a pidfd, or
`{"id", "errno"}`, and when the program has ended `{"exit": id, "status": wait status}`.
"""

import array
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import traceback
from typing import Any, NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY = 1
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LARGEST_MESSAGE = 1 << 18
# Descriptors of the folders that modules are loaded from: above all that a program is given.
FIRST_FOLDER = 256

DEVICES = (
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("tty", 5, 0, 0o666),
    ("net/tun", 10, 200, 0o666),
)
KEPT_FLAGS = {"nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}

libc = ctypes.CDLL(None, use_errno=True)


class NodeError(Exception):
    """One sentence that says why a node could not be made."""


def check(result: int, doing: str) -> None:
    """Raise NodeError with the C library's reason when `result` is negative."""
    if result < 0:
        raise NodeError(f"{doing}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount `source` on `target` or raise NodeError."""
    encoded_kind = kind.encode() if kind else None
    result = libc.mount(
        source.encode(), target.encode(), encoded_kind, ctypes.c_ulong(flags), data.encode()
    )
    check(result, f"mounting {kind or source} on {target}")


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message; a harness that is gone is noticed by the next receive, not here."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with contextlib.suppress(OSError):
        sock.sendmsg([json.dumps(message).encode()], rights)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message with its descriptors, or None when the harness is gone."""
    try:
        data, ancillary, _, _ = sock.recvmsg(
            LARGEST_MESSAGE, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC
        )
    except OSError:
        return None
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not data:
        return None
    return json.loads(data), list(fds)


# -- a node's file system ---------------------------------------------------------------------


def make_devices(directory: str) -> None:
    """Fill `directory` with a /dev of a node's own: the plain devices, TUN, pts and shm."""
    mount("tmpfs", directory, "tmpfs", MS_NOSUID, "mode=755,size=64m")
    for name in ("net", "pts", "shm"):
        os.mkdir(f"{directory}/{name}")
    for name, major, minor, mode in DEVICES:
        path = f"{directory}/{name}"
        os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
        os.chmod(path, mode)
    mount("devpts", f"{directory}/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    os.chmod(f"{directory}/shm", 0o1777)
    os.symlink("pts/ptmx", f"{directory}/ptmx")
    os.symlink("/proc/self/fd", f"{directory}/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{directory}/{name}")


def make_system_mounts(root: str) -> None:
    """Give `root` its own /proc, /sys, /dev, /run and /tmp."""
    for name in ("proc", "sys", "dev", "run", "tmp"):
        if not os.path.isdir(f"{root}/{name}"):
            os.mkdir(f"{root}/{name}")
    mount("sysfs", f"{root}/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    make_devices(f"{root}/dev")
    mount("tmpfs", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    mount("tmpfs", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.mkdir(f"{root}/run/lock", 0o1777)
    # Last, because until then /proc/self must be the one of the outer PID namespace.
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def open_lowers(lowers: list[str]) -> list[int]:
    """Open each directory of an image before anything is mounted over it."""
    opened = []
    for lower in lowers:
        try:
            opened.append(os.open(lower, os.O_PATH | os.O_DIRECTORY))
        except OSError as error:
            raise NodeError(f"the image root {lower} cannot be used: {error.strerror}") from error
    return opened


def enter_image(lowers: list[str]) -> None:
    """Make an overlay of the image's directories the root; what is written goes to memory."""
    opened = open_lowers(lowers)
    scratch = "/tmp" if os.path.isdir("/tmp") else "/run"
    mount("tmpfs", scratch, "tmpfs", 0, "mode=755")
    for directory in ("upper", "work", "root"):
        os.mkdir(f"{scratch}/{directory}")
    root = f"{scratch}/root"
    # Descriptors, because an image may lie under the directory that has just been covered, and
    # because a path may hold the characters that separate lower directories.
    layers = ":".join(f"/proc/self/fd/{fd}" for fd in opened)
    options = f"lowerdir={layers},upperdir={scratch}/upper,workdir={scratch}/work"
    mount("overlay", root, "overlay", 0, options)
    for fd in opened:
        os.close(fd)
    make_system_mounts(root)
    os.chdir(root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    check(libc.syscall(ctypes.c_long(number), b".", b"."), "making the image the root")
    check(libc.umount2(b".", MNT_DETACH), "leaving the old root")
    os.chdir("/")


def write_names(name: str) -> None:
    """Write what says in the image's /etc who the node is and whom it knows."""
    os.makedirs("/etc", exist_ok=True)
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n"
    # No name server: a daemon that asks is refused at once, and always in the same way.
    for path, text in (("hosts", hosts), ("hostname", name + "\n"), ("resolv.conf", "")):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/etc/{path}")
        with open(f"/etc/{path}", "w") as file:
            file.write(text)


def keep_the_parents_root() -> None:
    """Keep the parent's file systems, read-only, under a /proc, /sys, /dev, /run, /tmp of its own.

    The mounts are this namespace's, so that the parent's stay as writable as they were.
    """
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    number, size = ctypes.c_long(SYS_MOUNT_SETATTR), ctypes.c_size_t(len(attributes))
    if libc.syscall(number, AT_FDCWD, b"/", AT_RECURSIVE, attributes, size) < 0:
        remount_each()
    make_system_mounts("")


def remount_each() -> None:
    """Make every mount read-only one by one, for kernels before 5.12."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split(" ") for line in file]
    for fields in mounts:
        point = fields[4].encode().decode("unicode_escape")
        flags = MS_REMOUNT | MS_BIND | MS_RDONLY
        for option in fields[5].split(","):
            flags |= KEPT_FLAGS.get(option, 0)
        # A mount that another one covers cannot be reached, by a program of the node neither.
        with contextlib.suppress(NodeError):
            mount("none", point, None, flags)


# -- a node's network -------------------------------------------------------------------------


def set_sysctls(sysctls: dict[str, str]) -> None:
    """Write each sysctl, named with slashes; what IPv6 has is left out where there is no IPv6."""
    for name, value in sysctls.items():
        if name.startswith("net/ipv6/") and not os.path.isdir("/proc/sys/net/ipv6"):
            continue
        try:
            fd = os.open(f"/proc/sys/{name}", os.O_WRONLY)
            os.write(fd, value.encode())
            os.close(fd)
        except OSError as error:
            raise NodeError(f"sysctl {name}={value} was refused: {error.strerror}") from error


def raise_loopback() -> None:
    """Set lo up, which every namespace begins with and which begins down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16xH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


# -- a node's programs ------------------------------------------------------------------------


def become_function(request: dict[str, Any], kept: set[int]) -> NoReturn:
    """Run a function, `module:name`, as a console script does; close all descriptors but `kept`."""
    # Nothing is executed that would close them.
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number not in kept and number < FIRST_FOLDER:
            with contextlib.suppress(OSError):
                os.close(number)
    os.environ.clear()
    os.environ.update(request["env"])
    module, _, name = request["function"].partition(":")
    libc.prctl(PR_SET_NAME, module.rpartition(".")[2].encode()[:15])
    status = 0
    try:
        status = getattr(importlib.import_module(module), name)(request["argv"]) or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        os._exit(status)


def become_program(request: dict[str, Any], fds: list[int], failure: int) -> NoReturn:
    """Turn this process into the program; on failure write errno to `failure` and leave."""
    try:
        os.setsid()
        targets: list[int] = request["fds"]
        # Above every target first, so that no descriptor is overwritten before it is placed.
        floor = max([failure, 2, *targets, *fds]) + 1
        failure = fcntl.fcntl(failure, fcntl.F_DUPFD_CLOEXEC, floor)
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor) for fd in fds]
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            if number not in targets:
                os.dup2(null, number)
        for fd, target in zip(moved, targets, strict=True):
            os.dup2(fd, target)
        os.chdir(request["cwd"])
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if "function" in request:
            become_function(request, {0, 1, 2, *targets})
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(failure, struct.pack("i", error.errno or 0))
    finally:
        os._exit(127)


def start_program(request: dict[str, Any], fds: list[int]) -> tuple[int, int]:
    """Return the new program's pid, and errno when it could not be executed."""
    if "function" not in request and all(target <= 2 for target in request["fds"]):
        return execute(request, dict(zip(request["fds"], fds, strict=True)))
    outcome, failure = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        become_program(request, fds, failure)
    os.close(failure)
    with os.fdopen(outcome, "rb") as pipe:
        reason = pipe.read(4)
    if reason:
        os.waitpid(pid, 0)
    return pid, struct.unpack("i", reason)[0] if reason else 0


def execute(request: dict[str, Any], placed: dict[int, int]) -> tuple[int, int]:
    """Do what a fork that becomes the program would, without the copy of this process.

    The copy costs more than most programs: `subprocess` uses vfork.
    """
    stdin, stdout, stderr = (placed.get(number, subprocess.DEVNULL) for number in (0, 1, 2))
    try:
        program = subprocess.Popen(
            request["argv"],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=request["cwd"],
            env=request["env"],
            start_new_session=True,
        )
    except OSError as error:
        return 0, error.errno or 0
    # Its end is for `reap` to take: what has a status is nobody else's to wait for.
    program.returncode = 0
    return program.pid, 0


def reap(sock: socket.socket, running: dict[int, int]) -> None:
    """Collect every child that has ended; report the ones that the harness asked for."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in running:
            send(sock, {"exit": running.pop(pid), "status": status})


def serve_node(sock: socket.socket) -> None:
    """Start programs as asked and report their ends until the harness closes the socket."""
    running: dict[int, int] = {}
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if wake in ready:
            os.read(wake, 4096)
            reap(sock, running)
        if sock.fileno() not in ready:
            continue
        received = receive(sock)
        if received is None:
            return
        request, fds = received
        pid, error = start_program(request, fds)
        for fd in fds:
            os.close(fd)
        if error:
            send(sock, {"id": request["id"], "errno": error})
            continue
        handle = os.pidfd_open(pid)
        running[pid] = request["id"]
        send(sock, {"id": request["id"], "pid": pid}, (handle,))
        os.close(handle)


def fail_node(sock: socket.socket, sentence: str) -> None:
    """Say why the node cannot be, and stay until the harness has heard it."""
    send(sock, {"id": -1, "error": sentence})
    while receive(sock) is not None:
        pass


def become_node(sock: socket.socket, lowers: list[str]) -> NoReturn:
    """Be PID 1 of a node: set it up, wait to hear who it is, serve until the harness is gone."""
    try:
        check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "asking to die with the spawner")
        namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC
        check(libc.unshare(namespaces), "making namespaces (are you root?)")
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        if lowers:
            enter_image(lowers)
        else:
            keep_the_parents_root()
        raise_loopback()
        received = receive(sock)
        if received is not None:
            spec, _ = received
            socket.sethostname(spec["name"])
            if lowers:
                write_names(spec["name"])
            set_sysctls(spec["sysctls"])
            send(sock, {"id": spec["id"]})
            serve_node(sock)
    except NodeError as error:
        fail_node(sock, str(error))
    except Exception as error:
        # There is nobody else to tell: what this process prints goes nowhere.
        fail_node(sock, f"{type(error).__name__} in its first process: {error}")
    finally:
        os._exit(0)


# -- the spawner ------------------------------------------------------------------------------


def make_node(control: socket.socket, own: int, spec: dict[str, Any], end: int) -> None:
    """Fork a node and tell the harness its pid."""
    if libc.unshare(CLONE_NEWPID) < 0:
        reason = f"making a PID namespace (are you root?): {os.strerror(ctypes.get_errno())}"
        send(control, {"id": spec["id"], "error": reason})
        return
    pid = os.fork()
    if pid == 0:
        # The numbers are free for the taking once the spawner's own ends are closed.
        control.close()
        os.close(own)
        become_node(socket.socket(fileno=end), spec["lowers"])
    # Otherwise the next node would be a child of this one's namespace.
    libc.setns(own, CLONE_NEWPID)
    send(control, {"id": spec["id"], "pid": pid})


def keep_shared() -> None:
    """Leave what there is now to itself: a page that the collector writes to is copied."""
    gc.collect()
    gc.freeze()


def search_path(folder: str) -> str:
    """Name a folder so that forks find it in a node too, where its own path may be covered."""
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    number = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, FIRST_FOLDER)
    os.close(opened)
    return f"/proc/self/fd/{number}"


def load_modules(control: socket.socket, spec: dict[str, Any]) -> None:
    """Import modules and tell the harness."""
    sys.path[:] = [search_path(folder) for folder in spec["path"] if os.path.isdir(folder)]
    try:
        for name in spec["modules"]:
            importlib.import_module(name)
    except Exception as error:
        send(control, {"id": spec["id"], "error": f"{type(error).__name__}: {error}"})
        return
    keep_shared()
    send(control, {"id": spec["id"]})


def main() -> None:
    """Make nodes as asked until the harness closes the control socket or dies."""
    control = socket.socket(fileno=int(sys.argv[1]))
    parent = int(sys.argv[2])
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for fd in (control.fileno(), parent):
        os.set_inheritable(fd, False)
    keep_shared()
    send(control, {"id": 0, "pid": os.getpid()})
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(parent, select.POLLIN)
    while True:
        # Another process may hold a copy of the harness's end of the socket: its pidfd decides.
        if any(fd == parent for fd, _ in poll.poll()):
            return
        received = receive(control)
        if received is None:
            return
        spec, fds = received
        if "modules" in spec:
            load_modules(control, spec)
        else:
            make_node(control, own, spec, fds[0])
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    main()
