# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's machine protocol over a connected socket: commands, events, one deadline."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any


class QmpClosed(Exception):
    """QEMU has closed the connection: it ended."""


class QmpRefused(Exception):
    """QEMU answered a command with an error."""


class Qmp:
    """A conversation with one QEMU; not for use by several threads.

    Every call raises QmpClosed when QEMU ends and TimeoutError when ``deadline`` (of
    ``time.monotonic``) has passed.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""
        self._events: list[dict[str, Any]] = []

    def greet(self) -> None:
        """Take QEMU's greeting and enter command mode."""
        self._receive()
        self.execute("qmp_capabilities")

    def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> Any:
        """Return what QEMU returns for a command; ``fds`` are handed over with it.

        Raises QmpRefused with QEMU's own words if it refuses.
        """
        message = json.dumps({"execute": command, "arguments": dict(arguments or {})}).encode()
        try:
            if fds:
                socket.send_fds(self._connection, [message], list(fds))
            else:
                self._connection.sendall(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise QmpClosed from error
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpRefused(f"{command}: {answer['error'].get('desc', answer['error'])}")
            self._events.append(answer)

    def wait_event(self, name: str) -> dict[str, Any]:
        """Return the next event of this name, in the order of their arrival."""
        while True:
            for number, event in enumerate(self._events):
                if event.get("event") == name:
                    del self._events[number]
                    return event
            self._events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            try:
                data = self._connection.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise QmpClosed
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message
