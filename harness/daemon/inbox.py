# SPDX-License-Identifier: GPL-2.0-or-later
"""Work that is done strictly in the order in which it came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Work = Callable[[float], Any]
"""Something to do with the engines at an instant."""

T = TypeVar("T")

MOST_DATAGRAMS = 4_096
"""More than these wait for nobody: UDP may lose them, and a flood must not fill the memory."""


class Stopped(Exception):
    """Nothing is done any more, because the daemon has stopped."""

    def __str__(self) -> str:
        return "the daemon has stopped"


class Inbox:
    """What waits for its turn, and the task that takes it; belongs to one loop.

    After each piece of work `after` is awaited before the next has its turn.
    """

    def __init__(
        self, clock: Callable[[], float], after: Callable[[float], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._after = after
        self._waiting: deque[tuple[Work, asyncio.Future[Any] | None]] = deque()
        self._datagrams = 0
        self._stopped = False
        self._filled = asyncio.Event()

    def put(self, work: Work) -> None:
        """Do this when all that came before is done."""
        self._put(work, None)

    def put_datagram(self, work: Work) -> bool:
        """Do this unless too many datagrams wait already; returns whether it will be done."""
        if self._datagrams >= MOST_DATAGRAMS:
            return False
        self._datagrams += 1

        def counted(now: float) -> None:
            self._datagrams -= 1
            work(now)

        self._put(counted, None)
        return True

    async def do(self, work: Callable[[float], T]) -> T:
        """Do this in its turn; returns or raises what it does, when all it led to is done.

        Raises `Stopped` where nothing is done any more.
        """
        if self._stopped:
            raise Stopped
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(work, done)
        return await done

    def stop(self) -> None:
        """Do nothing any more, and tell whoever waits."""
        self._stopped = True
        while self._waiting:
            _, done = self._waiting.popleft()
            if done is not None and not done.done():
                done.set_exception(Stopped())

    async def work(self) -> None:
        """Do what comes, for ever."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                await self._next()

    async def _next(self) -> None:
        work, done = self._waiting.popleft()
        now = self._clock()
        result, failure = None, None
        try:
            result = work(now)
        except Exception as error:
            failure = error
        try:
            await self._after(now)
        except Exception as error:
            failure = failure or error
        if done is None or done.done():
            if failure is not None:
                report = {"message": "ikelabd failed at a piece of work", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(report)
        elif failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(result)

    def _put(self, work: Work, done: asyncio.Future[Any] | None) -> None:
        self._waiting.append((work, done))
        self._filled.set()
