# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from harness.daemon.control import LONGEST_LINE, MOST_UNREAD, Control, ControlError
from harness.daemon.reports import ChildUp, Trouble
from tests.daemon.services import WITHIN, End, two


class Client:
    """One connection to a control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, octets: bytes) -> Any:
        """Send octets as they stand, and read the next line."""
        self.writer.write(octets)
        return await self.line()

    async def ask(self, **request: Any) -> Any:
        return await self.says(json.dumps(request).encode() + b"\n")

    async def line(self) -> Any:
        line = await self.reader.readline()
        return json.loads(line) if line else None


@contextlib.asynccontextmanager
async def controlled(path: Path) -> AsyncIterator[tuple[End, End, Callable[[], Any]]]:
    async with two() as (moon, sun, _):
        control = Control(moon.service)
        await control.listen(path)
        clients = []

        async def connect() -> Client:
            client = Client(*await asyncio.open_unix_connection(str(path)))
            clients.append(client)
            return client

        try:
            yield moon, sun, connect
        finally:
            for client in clients:
                client.writer.close()
            await control.close()


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * WITHIN):
            await body()

    asyncio.run(bounded())


def test_a_session_from_initiation_to_deletion(tmp_path: Path) -> None:
    async def body() -> None:
        async with controlled(tmp_path / "socket") as (_, _, connect):
            watcher, client = await connect(), await connect()
            assert await watcher.ask(command="subscribe") == {"ok": True, "sas": []}
            answer = await client.ask(command="initiate", child="net", within=10, id=7)
            assert (answer["ok"], answer["id"]) == (True, 7)
            assert (await watcher.line())["event"] == "ike-up"
            up = await watcher.line()
            assert (up["event"], up["child"]) == ("child-up", answer["child"])
            listed = await client.ask(command="list-sas")
            assert [ike["children"] for ike in listed["sas"]] == [[answer["child"]]]
            assert await client.ask(command="rekey-child", child="net") == {"ok": True}
            assert (await watcher.line())["event"] == "child-rekeyed"
            assert await client.ask(command="rekey-ike", connection="gw") == {"ok": True}
            assert (await watcher.line())["event"] == "ike-rekeyed"
            assert await client.ask(command="terminate-child", child="net") == {"ok": True}
            assert (await watcher.line())["event"] == "child-down"
            assert await client.ask(command="terminate-ike", connection="gw") == {"ok": True}
            assert (await watcher.line())["event"] == "ike-down"

    run(body)


BAD = {
    "no JSON": (b"initiate net\n", "this is no JSON; send one object a line"),
    "no object": (b"[1]\n", 'a request is an object with a "command"'),
    "no command": (b"{}\n", 'a request is an object with a "command"'),
    "a command that is none": (b'{"command": "dance"}\n', "no command 'dance'; there is initiate"),
    "no child": (b'{"command": "initiate"}\n', "initiate wants 'child', a string"),
    "a child that is a number": (b'{"command": "initiate", "child": 1}\n', "a string"),
    "another child": (b'{"command": "initiate", "child": "x"}\n', "no child 'x'; there is net"),
    "no time": (b'{"command": "initiate", "child": "net", "within": "5"}\n', "wants 'within'"),
    "no number": (b'{"command": "initiate", "child": "net", "within": NaN}\n', "wants 'within'"),
    "nothing to rekey": (b'{"command": "rekey-child", "child": "net"}\n', "no CHILD_SA net now"),
    "octets that are no text": (b"\xff\xfe\n", "this is no JSON"),
    "a deep nest": (b"[" * 50_000 + b"\n", "this is no JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_answered_with_a_sentence_and_the_next_line_is_heard(
    tmp_path: Path, case: str
) -> None:
    octets, why = BAD[case]

    async def body() -> None:
        async with controlled(tmp_path / "socket") as (_, _, connect):
            client = await connect()
            answer = await client.says(octets)
            assert answer["ok"] is False
            assert why in answer["error"]
            assert (await client.ask(command="list-sas"))["ok"]

    run(body)


def test_a_line_without_end_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    async def body() -> None:
        async with controlled(tmp_path / "socket") as (_, _, connect):
            client = await connect()
            answer = await client.says(b"x" * (LONGEST_LINE + 2))
            assert answer["error"] == f"a line has at most {LONGEST_LINE} octets"
            assert await client.line() is None
            assert (await (await connect()).ask(command="list-sas"))["ok"]

    run(body)


def test_a_subscriber_is_told_what_came_up_before(tmp_path: Path) -> None:
    async def body() -> None:
        async with controlled(tmp_path / "socket") as (_, _, connect):
            client, watcher = await connect(), await connect()
            up = await client.ask(command="initiate", child="net", within=10)
            (ike,) = (await watcher.ask(command="subscribe"))["sas"]
            assert ike["children"] == [up["child"]]

    run(body)


def test_a_subscriber_who_does_not_read_is_let_go(tmp_path: Path) -> None:
    async def body() -> None:
        async with controlled(tmp_path / "socket") as (moon, _, connect):
            client = await connect()
            await client.ask(command="subscribe")
            listeners = len(moon.service._listeners)
            while len(moon.service._listeners) == listeners:
                for _ in range(MOST_UNREAD // 1_000):
                    moon.service.tell(Trouble("x" * 1_000))
                await asyncio.sleep(0)

    run(body)


def test_a_client_that_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        async with controlled(tmp_path / "socket") as (moon, _, connect):
            client = await connect()
            client.writer.write(b'{"command": "initiate", "child": "net"}\n')
            client.writer.close()
            await moon.until_told(ChildUp)
            assert (await (await connect()).ask(command="list-sas"))["ok"]

    run(body)


def test_only_the_owner_may_use_the_socket_and_closing_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def body() -> None:
        async with controlled(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.exists()

    run(body)


def test_the_socket_of_a_daemon_that_crashed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async def body() -> None:
        async with controlled(path) as (_, _, connect):
            assert (await (await connect()).ask(command="list-sas"))["ok"]

    run(body)


def test_the_socket_of_a_daemon_that_lives_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def body() -> None:
        async with controlled(path) as (moon, _, _):
            with pytest.raises(ControlError, match="socket: Address already in use"):
                await Control(moon.service).listen(path)

    run(body)


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with two() as (moon, _, _):
            with pytest.raises(ControlError, match=r"control socket .*: No such file or directory"):
                await Control(moon.service).listen(tmp_path / "no" / "socket")

    run(body)
