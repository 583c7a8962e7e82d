# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import json
import os
import socket

import pytest

from harness.network.channel import Answer, Channel, ChannelClosed


class Other:
    """The other end of a channel, by hand."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.events: list[Answer] = []
        self.channel = Channel(ours, "the other end", self.events.append)

    def receive(self) -> tuple[dict[str, object], list[int]]:
        data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
        return json.loads(data), fds

    def send(self, message: dict[str, object]) -> None:
        self.sock.send(json.dumps(message).encode())


def test_answers_find_their_requests_in_any_order() -> None:
    async def body() -> None:
        other = Other()
        first = asyncio.create_task(other.channel.request({"say": 1}))
        second = asyncio.create_task(other.channel.request({"say": 2}))
        await asyncio.sleep(0)
        requests = [other.receive()[0] for _ in range(2)]
        for request in reversed(requests):
            other.send({"id": request["id"], "said": request["say"]})
        other.send({"exit": 5})
        assert (await first).message["said"] == 1
        assert (await second).message["said"] == 2
        await asyncio.sleep(0)
        assert [event.message for event in other.events] == [{"exit": 5}]
        other.channel.close()

    asyncio.run(body())


def test_descriptors_go_with_a_request_and_come_with_an_answer() -> None:
    async def body() -> None:
        other = Other()
        reading, writing = os.pipe()
        task = asyncio.create_task(other.channel.request({}, [writing]))
        await asyncio.sleep(0)
        request, fds = other.receive()
        os.write(fds[0], b"through")
        assert os.read(reading, 10) == b"through"
        answer = json.dumps({"id": request["id"]}).encode()
        socket.send_fds(other.sock, [answer], [reading])
        (theirs,) = (await task).fds
        os.write(writing, b"again")
        assert os.read(theirs, 10) == b"again"
        assert not os.get_inheritable(theirs)
        for fd in (reading, writing, theirs, *fds):
            os.close(fd)
        other.channel.close()

    asyncio.run(body())


def test_the_end_of_the_other_end_fails_what_waits_and_what_is_asked_then() -> None:
    async def body() -> None:
        other = Other()
        task = asyncio.create_task(other.channel.request({}))
        await asyncio.sleep(0)
        other.sock.close()
        with pytest.raises(ChannelClosed, match="the other end has ended"):
            await task
        assert other.channel.closed.done()
        with pytest.raises(ChannelClosed, match="the other end has ended"):
            await other.channel.request({})

    asyncio.run(body())


def test_a_full_socket_delays_requests_and_loses_none() -> None:
    async def body() -> None:
        other = Other()
        text = "x" * 50_000
        tasks = [asyncio.create_task(other.channel.request({"n": n, "x": text})) for n in range(20)]
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        other.sock.setblocking(False)
        for _ in tasks:
            request = json.loads(await loop.sock_recv(other.sock, 1 << 18))
            other.send({"id": request["id"], "n": request["n"]})
        assert [(await task).message["n"] for task in tasks] == list(range(20))
        other.channel.close()

    asyncio.run(body())


def test_a_request_that_waits_for_room_fails_with_the_other_end() -> None:
    async def body() -> None:
        other = Other()
        text = "x" * 50_000
        tasks = [asyncio.create_task(other.channel.request({"x": text})) for _ in range(20)]
        await asyncio.sleep(0)
        other.sock.close()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} == {ChannelClosed}

    asyncio.run(body())
