# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and answers with file descriptors over a SOCK_SEQPACKET socket, for one asyncio loop."""

import array
import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST_MESSAGE = 1 << 18
MOST_DESCRIPTORS = 64

Message = dict[str, Any]


class ChannelClosed(Exception):
    """The process at the other end has gone; one sentence says which."""


@dataclass(frozen=True)
class Answer:
    """What came back for a request: the message and the descriptors, which are now the caller's."""

    message: Message
    fds: tuple[int, ...]


class Channel:
    """One end of a control socket: `request` waits for the answer with the same id.

    Messages without an id that waits go to `on_event`, in the order in which they came. `name`
    says in errors what is at the other end. Belongs to the loop that runs when it is made.
    """

    def __init__(self, sock: socket.socket, name: str, on_event: Callable[[Answer], None]) -> None:
        self._sock = sock
        self._name = name
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0
        # One sender at a time waits for room: the loop has one waiter for each descriptor.
        self._sending = asyncio.Lock()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._receive)

    def next_id(self) -> int:
        """Return an id that no earlier request had."""
        self._last_id += 1
        return self._last_id

    def expect(self, number: int) -> "asyncio.Future[Answer]":
        """Return a future for the message with id `number`, which nobody needs to have asked."""
        if self.closed.done():
            raise ChannelClosed(f"{self._name} has ended")
        future = self._waiting[number] = self._loop.create_future()
        return future

    def forget(self, number: int) -> None:
        """Stop waiting for the message with id `number`."""
        self._waiting.pop(number, None)

    async def request(
        self, message: Message, fds: Sequence[int] = (), number: int | None = None
    ) -> Answer:
        """Send `message` with an id, and `fds` beside it, and return the answer.

        Raises ChannelClosed when the other end goes before it has answered.
        """
        number = self.next_id() if number is None else number
        future = self.expect(number)
        try:
            async with self._sending:
                await self._send(json.dumps({"id": number, **message}).encode(), fds)
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _send(self, data: bytes, fds: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while True:
            try:
                self._sock.sendmsg([data], rights)
                return
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise ChannelClosed(f"{self._name} has ended") from error

    async def _writable(self) -> None:
        fd = self._sock.fileno()
        ready: asyncio.Future[None] = self._loop.create_future()

        def report() -> None:
            if not ready.done():
                ready.set_result(None)

        self._loop.add_writer(fd, report)
        try:
            await asyncio.wait((ready, self.closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self.closed.done():
                self._loop.remove_writer(fd)

    def _receive(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(
                LARGEST_MESSAGE, socket.CMSG_SPACE(MOST_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            self.close()
            return
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        answer = Answer(json.loads(data), tuple(fds))
        future = self._waiting.get(answer.message.get("id", -1))
        if future is None:
            self._on_event(answer)
        elif not future.done():
            future.set_result(answer)
        else:
            for fd in answer.fds:
                os.close(fd)

    def close(self) -> None:
        """Close the socket, which ends the other side, and fail what still waits."""
        if self.closed.done():
            return
        self.closed.set_result(None)
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        with contextlib.suppress(OSError):
            self._sock.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChannelClosed(f"{self._name} has ended"))
                # Who asked may have gone, and then nobody looks at it: that is no mistake.
                future.exception()
