# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for a descriptor without blocking the loop."""

import asyncio


async def readable(fd: int) -> None:
    """Return when `fd` can be read; a pidfd can when its process has ended."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def report() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, report)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
