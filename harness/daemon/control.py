# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's control socket: one JSON object a line, in and out.

Each request has a ``command`` and gets one answer, ``{"ok": true, …}`` or ``{"ok": false,
"error": "one sentence"}``, with the ``id`` of the request where it has one. The answer to
``subscribe`` has the SAs that there are; after it every report comes as a line with an ``event``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from harness.daemon.commands import Commands, Failed
from harness.daemon.engine import Refusal
from harness.daemon.reports import Report, as_json
from harness.daemon.service import Service

LONGEST_LINE = 65_536
MOST_UNREAD = 1 << 20
"""Octets of events that wait for a subscriber who does not read; then it is let go."""
USUAL_WITHIN = 10.0
LONGEST_WITHIN = 86_400.0

Answer = Mapping[str, Any]
Verb = Callable[["Request"], Awaitable[Answer]]
"""What answers one command; raises `Refusal` and `Failed`."""


class ControlError(Exception):
    """The control socket cannot be had; the text is one sentence for the user."""


class Control:
    """Takes commands for a service from a Unix socket that only its owner may use.

    `more` are commands beside its own.
    """

    def __init__(self, service: Service, more: Mapping[str, Verb] | None = None) -> None:
        self._service = service
        self._commands = Commands(service)
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._verbs: Mapping[str, Verb] = {
            "initiate": self._initiate,
            "rekey-child": self._rekey_child,
            "rekey-ike": self._rekey_ike,
            "terminate-child": self._terminate_child,
            "terminate-ike": self._terminate_ike,
            "list-sas": self._list_sas,
            **(more or {}),
        }

    async def listen(self, path: Path) -> None:
        """Take commands from now on; raises `ControlError`."""
        try:
            listening = _bind(path)
        except OSError as error:
            raise ControlError(f"control socket {path}: {error.strerror}") from error
        self._path = path
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=LONGEST_LINE
        )

    async def close(self) -> None:
        """Take no more commands, and remove the socket."""
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end: Callable[[], None] = lambda: None  # noqa: E731
        try:
            while line := await _line(reader, writer):
                request, problem = _parse(line)
                if request is None:
                    _write(writer, {"ok": False, "error": problem})
                elif request.command == "subscribe":
                    end()
                    end = self._service.listen(lambda report: _tell(writer, report))
                    # In one turn with the listening, so that nothing falls between the two.
                    _write(writer, request.answer({"ok": True, **self._sas()}))
                else:
                    _write(writer, request.answer(await self._answer(request)))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            end()
            writer.close()

    async def _answer(self, request: Request) -> Answer:
        verb = self._verbs.get(request.command)
        if verb is None:
            known = ", ".join([*self._verbs, "subscribe"])
            error = f"there is no command {request.command!r}; there is {known}"
            return {"ok": False, "error": error}
        try:
            return {"ok": True, **await verb(request)}
        except (Refusal, Failed) as error:
            return {"ok": False, "error": str(error)}

    async def _initiate(self, request: Request) -> Answer:
        child = await self._commands.initiate(request.name("child"), request.within())
        return {"child": dataclasses.asdict(child)}

    async def _rekey_child(self, request: Request) -> Answer:
        await self._commands.rekey_child(request.name("child"))
        return {}

    async def _rekey_ike(self, request: Request) -> Answer:
        await self._commands.rekey_ike(request.name("connection"))
        return {}

    async def _terminate_child(self, request: Request) -> Answer:
        await self._commands.terminate_child(request.name("child"), request.within())
        return {}

    async def _terminate_ike(self, request: Request) -> Answer:
        await self._commands.terminate_ike(request.name("connection"), request.within())
        return {}

    async def _list_sas(self, request: Request) -> Answer:
        return self._sas()

    def _sas(self) -> Answer:
        return {"sas": [dataclasses.asdict(ike) for ike in self._service.sas()]}


@dataclasses.dataclass(frozen=True)
class Request:
    """One request, and what it says beside the command."""

    command: str
    values: Mapping[str, Any]

    def name(self, key: str) -> str:
        """The value of a key that must be a string; raises `Refusal`."""
        value = self.values.get(key)
        if not isinstance(value, str):
            raise Refusal(f"{self.command} wants {key!r}, a string")
        return value

    def within(self) -> float:
        """For how many seconds the answer may take; raises `Refusal`."""
        value = self.values.get("within", USUAL_WITHIN)
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not 0 <= value <= LONGEST_WITHIN:
            raise Refusal(f"{self.command} wants 'within', seconds from 0 to {LONGEST_WITHIN:g}")
        return float(value)

    def answer(self, found: Answer) -> Answer:
        """An answer with the id of the request."""
        return {**found, "id": self.values["id"]} if "id" in self.values else found


async def _line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The next line, nothing at the end."""
    try:
        return await reader.readline()
    except ValueError:
        _write(writer, {"ok": False, "error": f"a line has at most {LONGEST_LINE} octets"})
        return b""


def _parse(line: bytes) -> tuple[Request | None, str]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None, "this is no JSON; send one object a line"
    if not isinstance(values, dict) or not isinstance(values.get("command"), str):
        return None, 'a request is an object with a "command", a string'
    return Request(values["command"], values), ""


def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")


def _tell(writer: asyncio.StreamWriter, report: Report) -> None:
    if writer.transport.get_write_buffer_size() > MOST_UNREAD:
        writer.transport.abort()
    elif not writer.is_closing():
        _write(writer, as_json(report))


def _bind(path: Path) -> socket.socket:
    """A listening socket at a path where no daemon listens yet."""
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        mask = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that has crashed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        except OSError:
            return
