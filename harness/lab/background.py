# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's loop: one asyncio loop in one thread, beside the scenario that the test thread runs.

Wires, flows, sockets and daemons live on the loop and go on while a scenario computes, blocks or
sits in a debugger.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Background:
    """A loop in a thread, as a context manager; `run` and `call` bring work to it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="lab", daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns, or raise what it raises."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            # What the coroutine holds is released by the loop, so wait until it has been.
            concurrent.futures.wait([future])
            raise

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on the loop's thread and return what it returns."""

        async def call() -> T:
            return function(*arguments)

        return self.run(call())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(_cancel_the_rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
