# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that owns every node of a lab, as the harness sees it; see `spawner_program`."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from harness.network.channel import Channel, ChannelClosed
from harness.network.errors import NetworkError
from harness.network.node import Node
from harness.network.waiting import readable

PROGRAM = Path(__file__).with_name("spawner_program.py")


class Spawner:
    """The process that owns every node; start it once a session, nodes cost milliseconds then.

    It ends, and every node with it, when the harness closes it or dies in any way.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", channel: Channel) -> None:
        self._process = process
        self._loaded: set[str] = set()
        self._channel = channel
        self._nodes: list[Node] = []
        # Nodes by their image that are nobody yet: the pid and our end of the socket.
        self._stock: dict[tuple[str, ...], list[tuple[int, socket.socket]]] = {}

    @classmethod
    async def start(cls) -> Self:
        """Return a spawner that is ready to make nodes; raises NetworkError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.pidfd_open(os.getpid())
        channel = Channel(ours, "the spawner", lambda _: None)
        started = channel.expect(0)
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno()), str(parent)]
        try:
            # A session of its own, so that Ctrl-C in a terminal reaches the harness alone, which
            # then takes down the nodes in order.
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), parent),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(parent)
        try:
            await started
        except ChannelClosed as error:
            raise NetworkError(f"the spawner ended with {process.wait()} at its start") from error
        finally:
            channel.forget(0)
        return cls(process, channel)

    @property
    def pid(self) -> int:
        """The spawner's process id."""
        return self._process.pid

    async def load(self, modules: Iterable[str]) -> None:
        """Import Python modules once, for `Node.spawn_function` in nodes made from now on.

        The search path is the harness's. A stock of nodes, which would not have them, is gone
        then. Raises NetworkError.
        """
        wanted = [name for name in modules if name not in self._loaded]
        if not wanted:
            return
        self._clear_stock()
        path = [os.path.abspath(entry) for entry in sys.path if entry]
        answer = await self._channel.request({"path": path, "modules": wanted})
        if "error" in answer.message:
            raise NetworkError(f"the spawner could not load a module: {answer.message['error']}")
        self._loaded.update(wanted)

    async def node(
        self,
        name: str,
        lowers: Sequence[Path] = (),
        sysctls: Mapping[str, str] | None = None,
    ) -> Node:
        """Return a new node; raises NetworkError.

        `lowers` are the directories of its image, the uppermost first; without any it sees the
        harness's own file systems, read-only. `sysctls` are written in its namespaces before it
        has any interface but lo; names have slashes (`net/ipv4/ip_forward`).
        """
        image = _image(lowers)
        stock = self._stock.get(image)
        pid, sock = stock.pop(0) if stock else await self._make(image, f"node {name!r}")
        try:
            node = Node(name, pid, sock)
        except ProcessLookupError as error:
            sock.close()
            raise NetworkError(f"node {name!r} ended before it was set up") from error
        try:
            await node.ready(sysctls or {})
        except BaseException:
            await node.close()
            raise
        self._nodes = [*(other for other in self._nodes if not other.closed), node]
        return node

    async def stock(self, count: int, lowers: Sequence[Path] = ()) -> None:
        """Make nodes of an image ahead: who asks `node` for one gets it in half the time then.

        Raises NetworkError.
        """
        image = _image(lowers)
        for _ in range(count):
            made = await self._make(image, "a node for the stock")
            self._stock.setdefault(image, []).append(made)

    async def _make(self, image: Sequence[str], what: str) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            answer = await self._channel.request({"lowers": image}, [theirs.fileno()])
        except ChannelClosed as error:
            ours.close()
            raise NetworkError(f"{what} was not made: the spawner has ended") from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        if "error" in answer.message:
            ours.close()
            raise NetworkError(f"{what} was not made: {answer.message['error']}")
        return answer.message["pid"], ours

    def _clear_stock(self) -> None:
        for _, sock in [made for stock in self._stock.values() for made in stock]:
            # The node's first process ends with the socket.
            sock.close()
        self._stock.clear()

    async def close(self) -> None:
        """Close every node that is left and end the spawner."""
        self._clear_stock()
        await asyncio.gather(*(node.close() for node in self._nodes))
        self._channel.close()
        try:
            handle = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            return
        try:
            await readable(handle)
        finally:
            os.close(handle)
        self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _image(lowers: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(Path(lower).absolute()) for lower in lowers)
