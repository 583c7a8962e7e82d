# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes: namespaces of a host of their own, in which programs are started and sockets made."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.network.channel import Answer, Channel, ChannelClosed
from harness.network.errors import CommandFailed, NetworkError
from harness.network.files import open_in_root
from harness.network.process import Completed, Process
from harness.network.waiting import readable

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


class Node:
    """A host of the lab: its own network, mounts, processes and name.

    `root` is its file system as the harness sees it; absolute symbolic links below it lead the
    harness out of the node, so use `read` and `write` for files. Belongs to one asyncio loop.
    """

    def __init__(self, name: str, pid: int, sock: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._net: int | None = None
        self._handle = os.pidfd_open(pid)
        self._channel = Channel(sock, f"node {name!r}", self._on_event)
        self._channel.closed.add_done_callback(lambda _: self._end_all())

    @property
    def closed(self) -> bool:
        """Whether the node has been closed."""
        return self._handle < 0

    async def ready(self, sysctls: Mapping[str, str]) -> None:
        """Tell the node who it is, and return when it is set up; raises NetworkError."""
        who = {"name": self.name, "sysctls": dict(sysctls)}
        try:
            message = (await self._channel.request(who, number=-1)).message
        except ChannelClosed as error:
            raise NetworkError(f"node {self.name!r} ended before it was set up") from error
        if "error" in message:
            raise NetworkError(f"node {self.name!r} could not be set up: {message['error']}")
        self._net = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def net(self) -> int:
        """The descriptor of the node's network namespace, the node's own; raises NetworkError."""
        if self._net is None:
            raise NetworkError(f"node {self.name!r} has been closed")
        return self._net

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread into the node's network namespace; no await may be inside.

        Sockets and devices opened meanwhile belong to the node for as long as they are open.
        """
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(self.net, self.name)
            try:
                yield
            finally:
                _set_namespace(own, "the harness")
        finally:
            os.close(own)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a non-blocking socket that lives in the node's network."""
        with self.entered():
            sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        return sock

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        fds: Mapping[int, int] | None = None,
    ) -> Process:
        """Start a program of the node's file system and return once it has been executed.

        `env` is added to a small fixed environment; nothing of the harness's own is passed on.
        `stdin`, `stdout`, `stderr` are descriptors of the harness, /dev/null without; `fds` maps
        further numbers in the program to descriptors of the harness. Raises CommandFailed.
        """
        placed = _placed(stdin, stdout, stderr, fds)
        return await self._start({"argv": list(argv)}, argv, env or {}, cwd, placed)

    async def spawn_function(
        self,
        function: str,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        fds: Mapping[int, int] | None = None,
    ) -> Process:
        """Start a function of a module as a program, which is a fork of the spawner.

        `function` is written as an entry point, `package.module:main`; it takes the arguments and
        returns the exit status. What `Spawner.load` had loaded before the node was made need not
        be loaded again; for the rest the node's files must have it. Otherwise like `spawn`.
        """
        program = {"function": function, "argv": list(arguments)}
        placed = _placed(stdin, stdout, stderr, fds)
        return await self._start(program, [function, *arguments], env or {}, "/", placed)

    async def _start(
        self,
        program: Mapping[str, Any],
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        placed: Mapping[int, int],
    ) -> Process:
        number = self._channel.next_id()
        ended = self._exits[number] = asyncio.get_running_loop().create_future()
        message = {**program, "env": {**ENVIRONMENT, **env}, "cwd": cwd, "fds": list(placed)}
        try:
            answer = await self._channel.request(message, list(placed.values()), number)
        except ChannelClosed as error:
            self._exits.pop(number, None)
            raise CommandFailed(f"{argv[0]} was not started: node {self.name!r} is gone") from error
        if "errno" in answer.message:
            self._exits.pop(number)
            reason = os.strerror(answer.message["errno"])
            raise CommandFailed(f"{argv[0]} could not be started in node {self.name!r}: {reason}")
        return Process(argv, _pid_of(answer.fds[0]), answer.fds[0], ended)

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: bytes = b"",
        deadline: float = 30.0,
        check: bool = True,
    ) -> Completed:
        """Run a program to its end and return what it printed.

        Raises CommandFailed when it cannot be started, when it is not done after `deadline`
        seconds (it is killed then), and, unless `check` is False, when it returns other than 0.
        """
        with contextlib.ExitStack() as stack:
            # Files in memory instead of pipes: nothing to pump, and a daemon that the program
            # leaves behind with its output open holds nobody up.
            given, out, err = (
                stack.enter_context(os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b", 0))
                for name in ("stdin", "stdout", "stderr")
            )
            given.write(stdin)
            given.seek(0)
            process = await self.spawn(
                argv,
                env=env,
                cwd=cwd,
                stdin=given.fileno(),
                stdout=out.fileno(),
                stderr=err.fileno(),
            )
            late = False
            try:
                await asyncio.wait_for(process.wait(), deadline)
            except TimeoutError:
                late = True
            finally:
                process.kill()
            returncode = await process.wait()
            out.seek(0)
            err.seek(0)
            completed = Completed(out.read(), err.read(), returncode)
        if late:
            raise CommandFailed(
                f"{argv[0]} in node {self.name!r} was killed: not done after {deadline:g} s"
            )
        if check and returncode != 0:
            raise CommandFailed(
                f"{' '.join(argv)} in node {self.name!r} returned {returncode}: "
                f"{_last_line(completed)}"
            )
        return completed

    def write(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Write a file of the node, with its directories; raises NetworkError."""
        try:
            with self._root() as root:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                with os.fdopen(open_in_root(root, path, flags, mode, parents=True), "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(data.encode() if isinstance(data, str) else data)
        except OSError as error:
            raise NetworkError(
                f"{path} of node {self.name!r} cannot be written: {error.strerror}"
            ) from error

    def read(self, path: str) -> bytes:
        """Return the contents of a file of the node; raises NetworkError."""
        try:
            with self._root() as root, os.fdopen(open_in_root(root, path, os.O_RDONLY), "rb") as f:
                return f.read()
        except OSError as error:
            raise NetworkError(
                f"{path} of node {self.name!r} cannot be read: {error.strerror}"
            ) from error

    def sysctl(self, name: str, value: str | int) -> None:
        """Set a sysctl of the node's network, named with slashes; raises NetworkError."""
        try:
            # /proc/sys/net is that of the network which the writer is in, whatever the path.
            with self.entered(), open(f"/proc/sys/{name}", "w") as file:
                file.write(str(value))
        except OSError as error:
            raise NetworkError(
                f"sysctl {name}={value} was refused in node {self.name!r}: {error.strerror}"
            ) from error

    async def close(self) -> None:
        """Kill every program of the node and return when none of them is left."""
        if self._net is not None:
            os.close(self._net)
            self._net = None
        if self.closed:
            return
        handle, self._handle = self._handle, -1
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            await readable(handle)
        finally:
            os.close(handle)
            self._channel.close()

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def _on_event(self, answer: Answer) -> None:
        future = self._exits.pop(answer.message.get("exit", -1), None)
        if future is not None and not future.done():
            future.set_result(os.waitstatus_to_exitcode(answer.message["status"]))

    def _end_all(self) -> None:
        # PID 1 went and took them with it, so nobody is left to say how they ended.
        for future in self._exits.values():
            if not future.done():
                future.set_result(-signal.SIGKILL)
        self._exits.clear()


def _placed(
    stdin: int | None, stdout: int | None, stderr: int | None, fds: Mapping[int, int] | None
) -> dict[int, int]:
    """The harness's descriptors by the number that they have in a program."""
    standard = {0: stdin, 1: stdout, 2: stderr}
    return {number: fd for number, fd in standard.items() if fd is not None} | dict(fds or {})


def _set_namespace(fd: int, name: str) -> None:
    if libc.setns(fd, CLONE_NEWNET) < 0:
        reason = os.strerror(ctypes.get_errno())
        raise NetworkError(f"the network namespace of {name} cannot be entered: {reason}")


def _pid_of(handle: int) -> int:
    """Return the harness's number for the process of a pidfd, -1 when it has been reaped."""
    for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    return -1


def _last_line(completed: Completed) -> str:
    printed = (completed.stderr.strip() or completed.stdout.strip()).decode(errors="replace")
    return printed.splitlines()[-1] if printed else "it printed nothing"
