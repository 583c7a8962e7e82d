# SPDX-License-Identifier: GPL-2.0-or-later
"""A netlink socket of one network namespace that is asked and answers."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from contextlib import suppress

from harness.kernel.errors import MalformedMessage, XfrmError, sentence_of
from harness.kernel.messages import HEADER, Message, aligned, read_attributes, split
from harness.kernel.numbers import NETLINK_XFRM, MessageType, RequestFlag

SOL_NETLINK = 270
CAP_ACK = 10
EXT_ACK = 11
LARGEST_DATAGRAM = 1 << 16
SENTENCE = 1
"""NLMSGERR_ATTR_MSG."""
NUMBER = struct.Struct("=i")


def open_netlink(family: int = NETLINK_XFRM) -> socket.socket:
    """A non-blocking netlink socket in the network namespace of the calling thread.

    Raises XfrmError when the kernel has no such family.
    """
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
    except OSError as error:
        raise _refused(error, "opening a netlink socket") from None
    opened.setblocking(False)
    opened.setsockopt(SOL_NETLINK, CAP_ACK, 1)
    opened.setsockopt(SOL_NETLINK, EXT_ACK, 1)
    opened.bind((0, 0))
    return opened


class Channel:
    """Requests and their answers, one after another; belongs to one loop once it is used.

    The kernel works on a request while it is sent, so that the answer is there at once: a request
    holds the loop for as long as the kernel needs for it, a dump for one part of it at a time.
    """

    def __init__(self, family: int = NETLINK_XFRM) -> None:
        self._socket = open_netlink(family)
        self._sequence = itertools.count(1)
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def ask(
        self, request: bytes, doing: str, *, dump: bool = False, flags: int = 0
    ) -> list[Message]:
        """Send a message and return the answers to it, without the acknowledgement.

        Flags and sequence number in the header of `request` are filled in here, `flags` are further
        ones. Raises XfrmError, in whose text `doing` says what was asked.
        """
        flags |= RequestFlag.REQUEST | (RequestFlag.DUMP if dump else RequestFlag.ACK)
        async with self._turn:
            return await self._conversation(request, flags, doing)

    async def _conversation(self, request: bytes, flags: int, doing: str) -> list[Message]:
        sequence = next(self._sequence)
        self._send(request, flags, sequence, doing)
        answers: list[Message] = []
        ended = False
        try:
            while not ended:
                for message in split(await self._receive(doing)):
                    if message.sequence != sequence:
                        continue
                    if message.type in (MessageType.ERROR, MessageType.DONE):
                        ended = True
                        raise_for(message, doing)
                    else:
                        answers.append(message)
                if not ended:
                    await asyncio.sleep(0)
            return answers
        finally:
            if not ended:
                self._discard()

    def _send(self, request: bytes, flags: int, sequence: int, doing: str) -> None:
        _, kind, *_ = HEADER.unpack_from(request)
        header = HEADER.pack(len(request), kind, flags, sequence, 0)
        try:
            self._socket.send(header + request[HEADER.size :])
        except OSError as error:
            raise _refused(error, doing) from None

    async def _receive(self, doing: str) -> bytes:
        while True:
            try:
                return self._socket.recv(LARGEST_DATAGRAM)
            except BlockingIOError:
                await _readable(self._socket)
            except OSError as error:
                raise _refused(error, doing) from None

    def _discard(self) -> None:
        """Take the rest of a dump that nobody waits for: the kernel does one at a time."""
        with suppress(OSError):
            while self._socket.recv(LARGEST_DATAGRAM):
                pass


def raise_for(message: Message, doing: str) -> None:
    """Raise XfrmError when an ERROR or DONE message carries an error number other than zero.

    Raises MalformedMessage where it has no number at all.
    """
    if len(message.payload) < NUMBER.size:
        raise MalformedMessage("a netlink acknowledgement has no error number")
    code = -NUMBER.unpack_from(message.payload)[0]
    if code:
        raise XfrmError(code, _sentence(message) or sentence_of(code), doing)


def _sentence(message: Message) -> str:
    """The kernel's extended acknowledgement, empty where it gave none."""
    if not message.flags & RequestFlag.ACK_ATTRIBUTES:
        return ""
    offset = NUMBER.size
    if message.type == MessageType.ERROR:
        # The header of the request follows, and the rest of it unless the message is capped.
        if len(message.payload) < offset + HEADER.size:
            raise MalformedMessage("a netlink error does not quote the header of the request")
        length = HEADER.unpack_from(message.payload, offset)[0]
        offset += HEADER.size if message.flags & RequestFlag.CAPPED else aligned(length)
    attributes = read_attributes(message.payload, offset)
    return attributes.get(SENTENCE, b"").rstrip(b"\0").decode("utf-8", "replace")


def _refused(error: OSError, doing: str) -> XfrmError:
    return XfrmError(error.errno or 0, error.strerror or str(error), doing)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = sock.fileno()

    def report() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, report)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
