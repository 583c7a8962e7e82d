# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's console behind a serial line, telnet and ssh: real programs, real terminals."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import harness
from harness.daemon.console.program import PROMPT
from harness.network.node import Node
from tests.daemon.engine_router import EngineRouter, control_socket

USER, PASSWORD = "root", "s3cret"
SEARCH_PATH = os.pathsep.join(dict.fromkeys([str(Path(harness.__file__).parents[1]), *sys.path]))


def console_argv(control: str, *more: str) -> list[str]:
    return [sys.executable, "-P", "-m", "harness.daemon.console", "--control", control, *more]


def login_file(folder: Path) -> Path:
    file = folder / "login"
    file.write_text(f'user = "{USER}"\npassword = "{PASSWORD}"\n')
    return file


@contextmanager
def on_terminal(router: EngineRouter, folder: Path, *more: str) -> Iterator[int]:
    """The other end of the terminal that a console runs on."""
    with control_socket(router, folder / "control") as control, ExitStack() as stack:
        ours, theirs = os.openpty()
        stack.callback(os.close, ours)
        process = subprocess.Popen(
            console_argv(str(control), *more), stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, env={**os.environ, "PYTHONPATH": SEARCH_PATH},
        )  # fmt: skip
        os.close(theirs)
        try:
            yield ours
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def on_serial_line(router: EngineRouter, folder: Path, *more: str) -> Iterator[str]:
    """The device at the near end of a serial line, with a console at the far one."""
    with on_terminal(router, folder, *more) as far, ExitStack() as stack:
        near, device = os.openpty()
        stack.callback(os.close, near)
        stack.callback(os.close, device)
        # A router at a serial line has been waiting for a while.
        seen = b""
        while not seen.endswith((b"login: ", PROMPT.encode())):
            seen += os.read(far, 4096)
        with cable(near, far):
            yield os.ttyname(device)


@contextmanager
def cable(one: int, other: int) -> Iterator[None]:
    """Carry octets between two descriptors, both ways."""
    stop, told = os.pipe()
    thread = threading.Thread(target=carry, args=(one, other, stop))
    thread.start()
    try:
        yield
    finally:
        os.close(told)
        thread.join()
        os.close(stop)


def carry(
    one: int,
    other: int,
    stop: int,
    change: Callable[[bytes], bytes] = lambda octets: octets,
) -> None:
    """Carry until either end or `stop` is closed; `change` is for what comes from `one`."""
    while True:
        ready, _, _ = select.select([one, other, stop], [], [])
        if stop in ready:
            return
        for source, sink in ((one, other), (other, one)):
            if source not in ready:
                continue
            try:
                octets = os.read(source, 4096)
            except OSError:
                return
            if not octets:
                return
            os.write(sink, change(octets) if source == one else octets)


# Telnet (RFC 854): this end echoes and sends character by character, as a router does.
IAC, SB, SE = 0xFF, 0xFA, 0xF0
WILL_ECHO_AND_SUPPRESS_GO_AHEAD = bytes([IAC, 0xFB, 1, IAC, 0xFB, 3])


class TelnetOctets:
    """Takes what a telnet client says about options out of what somebody types."""

    def __init__(self) -> None:
        self._left = 0
        self._within = False

    def __call__(self, octets: bytes) -> bytes:
        typed = bytearray()
        for octet in octets:
            if self._within:
                self._within = octet != SE
            elif self._left == 2:
                self._within = octet == SB
                self._left = 1 if 0xFB <= octet <= 0xFE else 0
            elif self._left == 1:
                self._left = 0
            elif octet == IAC:
                self._left = 2
            elif octet:
                typed.append(octet)
        # One line ends with one key, whichever way a client writes it.
        return bytes(typed).replace(b"\r\n", b"\r")


@contextmanager
def over_telnet(router: EngineRouter, folder: Path, *more: str) -> Iterator[int]:
    """The port of 127.0.0.1 where one telnet client is answered by a console."""
    with on_terminal(router, folder, *more) as terminal, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        stop, told = os.pipe()

        def serve() -> None:
            ready, _, _ = select.select([listening, stop], [], [])
            if stop in ready:
                return
            client, _ = listening.accept()
            with client:
                client.sendall(WILL_ECHO_AND_SUPPRESS_GO_AHEAD)
                carry(client.fileno(), terminal, stop, TelnetOctets())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            os.close(told)
            thread.join()
            os.close(stop)


def archive() -> bytes:
    """The modules of the project, as Python can import them."""
    root = Path(harness.__file__).parents[1]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for module in sorted((root / "harness").rglob("*.py")):
            file.write(module, module.relative_to(root))
    return packed.getvalue()


@asynccontextmanager
async def over_ssh(router: EngineRouter, node: Node) -> AsyncIterator[None]:
    """A node on whose loopback address port 22 leads, with the password, to a console."""
    await node.run(["ip", "link", "set", "lo", "up"])
    await node.run(["dropbearkey", "-t", "ed25519", "-f", "/run/key"])
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD.encode(), capture_output=True,
        check=True,
    ).stdout.decode().strip()  # fmt: skip
    node.write("/run/shadow", f"{USER}:{hashed}:19000:0:99999:7:::\n", 0o600)
    # A node has a /tmp of its own, where the project may be.
    node.write("/run/project.zip", archive())
    path = os.pathsep.join(["/run/project.zip", *sys.path])
    command = f"PYTHONPATH={path} {' '.join(console_argv('/run/control'))}"
    server = ["dropbear", "-i", "-m", "-r", "/run/key", "-c", command]
    hidden = ["sh", "-c", 'mount --bind /run/shadow /etc/shadow && exec "$@"', "-"]
    listening = node.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listening, control_socket(router, node.root / "run/control"):
        listening.bind(("127.0.0.1", 22))
        listening.listen()

        async def serve() -> None:
            while True:
                client, _ = await asyncio.get_running_loop().sock_accept(listening)
                with client:
                    client.setblocking(True)
                    number = client.fileno()
                    await node.spawn([*hidden, *server], stdin=number, stdout=number)

        serving = asyncio.create_task(serve())
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
