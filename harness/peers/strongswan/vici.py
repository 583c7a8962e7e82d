# SPDX-License-Identifier: GPL-2.0-or-later
"""VICI, charon's control protocol, on the lab's loop.

The codec is strongSwan's (`vici.protocol`); its `Session` blocks, so the transport is asyncio's.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vici.protocol import FiniteStream, Message, Packet

from harness.peers.strongswan.sections import MalformedSection, Section, read_section

Take = Callable[[str, Section], None]
"""Is given each event, by name."""

CONNECT_INTERVAL = 0.005
"""Seconds between two looks whether charon listens; it says so in no other way."""


class ViciError(Exception):
    """charon refused a command, or went away meanwhile; the text is its own sentence."""


@dataclass(frozen=True)
class Vici:
    """The control socket of one charon.

    Each command has a connection of its own, so that none waits for another.
    """

    path: Path

    async def answers(self) -> None:
        """Return as soon as charon answers on its socket; the caller sets the deadline."""
        while True:
            with contextlib.suppress(OSError, ViciError, asyncio.IncompleteReadError):
                await self.request("version")
                return
            await asyncio.sleep(CONNECT_INTERVAL)

    async def request(self, command: str, arguments: Section | None = None) -> Section:
        """Send a command and return its answer; raises `ViciError` when charon says no."""
        async with self._connected() as (reader, writer):
            _send(writer, Packet.request(command, Message.serialize(arguments or {})))
            return _succeeded(command, await _receive(reader))

    async def stream(
        self, command: str, event: str, arguments: Section | None = None
    ) -> Sequence[Section]:
        """Send a command that answers with a series of events, and return their messages."""
        async with self._connected() as (reader, writer):
            await _register(reader, writer, event, _unexpected)
            _send(writer, Packet.request(command, Message.serialize(arguments or {})))
            messages: list[Section] = []
            while (packet := await _receive(reader)).response_type == Packet.EVENT:
                messages.append(_plain(packet.payload))
            _succeeded(command, packet)
            return messages

    async def listen(self, events: Sequence[str], take: Take) -> Awaitable[None]:
        """Register for events and return what runs until charon closes the connection.

        Registration is complete when this returns; every event from then on goes to `take`, and
        so do those that come while others are being registered for.
        """
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            for event in events:
                await _register(reader, writer, event, take)
        except BaseException:
            writer.close()
            raise
        return _deliver(reader, writer, take)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            yield reader, writer
        except asyncio.IncompleteReadError as error:
            raise ViciError("charon closed its control connection") from error
        finally:
            writer.close()


async def _deliver(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    take: Take,
) -> None:
    try:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = await _receive(reader)
                take(packet.event_type.decode(), _plain(packet.payload))
    finally:
        writer.close()


async def _register(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, event: str, take: Take
) -> None:
    _send(writer, Packet.register_event(event))
    # What was registered for before may happen now.
    while (packet := await _receive(reader)).response_type == Packet.EVENT:
        take(packet.event_type.decode(), _plain(packet.payload))
    if packet.response_type != Packet.EVENT_CONFIRM:
        raise ViciError(f"charon has no event {event!r}")


def _unexpected(event: str, _: Section) -> None:
    raise ViciError(f"charon announced {event!r} before it was asked for")


def _send(writer: asyncio.StreamWriter, packet: bytes) -> None:
    writer.write(struct.pack("!I", len(packet)) + packet)


async def _receive(reader: asyncio.StreamReader) -> Any:
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return Packet.parse(await reader.readexactly(length))


def _succeeded(command: str, packet: Any) -> Section:
    if packet.response_type != Packet.CMD_RESPONSE:
        raise ViciError(f"charon has no command {command!r}")
    answer = _plain(packet.payload)
    if answer.get("success", "yes") != "yes":
        raise ViciError(str(answer.get("errmsg", f"{command} failed without a reason")))
    return answer


def _plain(payload: FiniteStream) -> Section:
    try:
        return read_section(payload.read())
    except MalformedSection as error:
        raise ViciError(f"charon sent a VICI message that cannot be read: {error}") from error
