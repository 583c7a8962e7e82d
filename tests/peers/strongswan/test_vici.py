# SPDX-License-Identifier: GPL-2.0-or-later
"""What charon announces while events are still being registered for."""

import asyncio
import struct
from pathlib import Path

from vici.protocol import Message, Packet

from harness.peers.strongswan.vici import Section, Vici

UP = {"net": {"uniqueid": "1"}}
SOON = 10.0


def framed(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("!IB", 1 + len(payload), kind) + payload


async def busy_charon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Confirm each registration, but announce what was registered for before that first."""
    names: list[bytes] = []
    try:
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            request = await reader.readexactly(length)
            assert request[0] == Packet.EVENT_REGISTER
            for name in names:
                event = bytes([len(name)]) + name + Message.serialize(UP)
                writer.write(framed(Packet.EVENT, event))
            writer.write(framed(Packet.EVENT_CONFIRM))
            names.append(request[2:])
    except asyncio.IncompleteReadError:
        writer.close()


def test_an_event_that_comes_before_the_next_registration_is_confirmed_is_taken(
    tmp_path: Path,
) -> None:
    taken: list[tuple[str, Section]] = []

    async def body() -> None:
        server = await asyncio.start_unix_server(busy_charon, tmp_path / "vici")
        vici = Vici(tmp_path / "vici")
        async with asyncio.timeout(SOON):
            delivery = await vici.listen(
                ("ike-updown", "child-updown"), lambda *event: taken.append(event)
            )
        delivered = asyncio.ensure_future(delivery)
        server.close()
        delivered.cancel()
        await asyncio.gather(delivered, return_exceptions=True)

    asyncio.run(body())
    assert taken == [("ike-updown", UP)]
