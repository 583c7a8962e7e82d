# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's events of one network namespace, as they come, to whoever listens."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from harness.kernel.channel import LARGEST_DATAGRAM, SOL_NETLINK, open_netlink
from harness.kernel.errors import MalformedMessage
from harness.kernel.events import READERS, Event, EventsLost
from harness.kernel.messages import split
from harness.kernel.numbers import Group
from harness.kernel.telling import Told, read

Listener = Callable[[Event], None]
Recorder = Callable[[Told], None]

ADD_MEMBERSHIP = 1
DROP_MEMBERSHIP = 2
SO_RCVBUFFORCE = 33
ROOM = 8 << 20
"""Bytes of events that the kernel keeps for a loop that is busy elsewhere."""
GROUPS = (Group.ACQUIRE, Group.EXPIRE, Group.SA, Group.POLICY, Group.MAPPING)


class Watch:
    """Listeners to the events of the namespace that it is made in; used by one loop."""

    def __init__(self, room: int = ROOM) -> None:
        self._socket = open_netlink()
        # Without CAP_NET_ADMIN the buffer stays as it is, and an overrun is told of all the same.
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
        self._listeners: dict[object, tuple[Recorder, Callable[[], None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(
        self, listener: Listener, ended: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Tell `listener` of each event from now on, and call `ended` when the watch closes.

        Returns what removes the listener. Must be called on the running loop.
        """
        return self.add_recorder(lambda told: listener(read(told)), ended)

    def add_recorder(
        self, recorder: Recorder, ended: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Like `add`, for one who reads what it is told later, or not at all."""
        token = object()
        if not self._listeners:
            self._begin()
        self._listeners[token] = (recorder, ended)

        def remove() -> None:
            if self._listeners.pop(token, None) and not self._listeners:
                self._end()

        return remove

    def close(self) -> None:
        """Close the socket; nobody is told of anything any more."""
        if self._socket.fileno() < 0:
            return
        listeners, self._listeners = self._listeners, {}
        if listeners:
            self._end()
        self._socket.close()
        for _, ended in listeners.values():
            ended()

    def deliver(self) -> None:
        """Tell the listeners of the events that have come; waits for none."""
        while self._listeners:
            try:
                datagram = self._socket.recv(LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._tell(EventsLost("they came faster than they were read"))
                continue
            try:
                messages = list(split(datagram))
            except MalformedMessage as error:
                self._tell(EventsLost(f"one could not be read: {error}"))
                continue
            for message in messages:
                if message.type in READERS:
                    self._tell(message)

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        for group in GROUPS:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        self._loop.add_reader(self._socket.fileno(), self.deliver)

    def _end(self) -> None:
        for group in GROUPS:
            self._socket.setsockopt(SOL_NETLINK, DROP_MEMBERSHIP, group)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        # What came meanwhile is older than the next listener; so is the news that some was dropped.
        while True:
            try:
                self._socket.recv(LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _tell(self, told: Told) -> None:
        for recorder, _ in tuple(self._listeners.values()):
            try:
                recorder(told)
            except Exception as error:
                # One listener's mistake must not cost the others, or this one, the next event.
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"a listener failed at {read(told)}", "exception": error}
                )


class EventStream:
    """The events from now on, to iterate over with `async for`; ends when the socket closes.

    An async context manager too: leaving it ends the stream.
    """

    def __init__(self, watch: Watch) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._remove = watch.add(self._take, self._close)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; what came before can still be taken."""
        self._remove()
        self._close()

    def _take(self, event: Event) -> None:
        self._events.append(event)
        self._changed.set()

    def _close(self) -> None:
        self._closed = True
        self._changed.set()
