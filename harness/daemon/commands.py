# SPDX-License-Identifier: GPL-2.0-or-later
"""What people tell a daemon to do, each until it is done or has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.daemon.engine import Engine, Refusal
from harness.daemon.inbox import Stopped
from harness.daemon.reports import (
    Child,
    ChildFailed,
    ChildUp,
    IkeFailed,
    Report,
)
from harness.daemon.service import Service


class Failed(Exception):
    """What was asked for did not come about; the text is one sentence."""


class Commands:
    """The commands of one service; each raises `Refusal` for a name that it does not know."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def initiate(self, child: str, within: float) -> Child:
        """Make a CHILD_SA and return it, or return the one that is there; raises `Failed`.

        `within` is in seconds.
        """
        service = self._service
        engine = service.engine_of_child(child)
        there = service.child(child)
        if there is not None:
            return there
        connection = engine.connection_of(child)

        def outcome(report: Report) -> Child | None:
            match report:
                case ChildUp(made) if made.name == child:
                    return made
                case ChildFailed(_, name, reason) if name == child:
                    raise Failed(f"no CHILD_SA {child}: {reason}")
                case IkeFailed(name, reason) if name == connection:
                    raise Failed(f"no IKE SA for {child}: {reason}")
            return None

        result: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        end = service.listen(lambda report: _settle(result, outcome, report))
        try:
            await _asked(service, lambda now: engine.initiate(child, now))
            async with asyncio.timeout(within):
                return await result
        except TimeoutError:
            raise Failed(f"CHILD_SA {child} did not come up within {within:g} s") from None
        finally:
            end()

    async def rekey_child(self, child: str) -> None:
        """Begin to replace a CHILD_SA."""
        engine = self._with_child(child)
        await _asked(self._service, lambda now: engine.rekey_child(child, now))

    async def rekey_ike(self, connection: str) -> None:
        """Begin to replace an IKE SA."""
        engine = self._service.engine_of_connection(connection)
        self._up(connection)
        await _asked(self._service, lambda now: engine.rekey_ike(connection, now))

    async def terminate_child(self, child: str, within: float) -> None:
        """Delete a CHILD_SA and return when it is gone here; raises `Failed`."""
        engine = self._with_child(child)
        await _asked(self._service, lambda now: engine.terminate_child(child, now))
        await self._gone(lambda: self._service.child(child) is None, within, f"CHILD_SA {child}")

    async def terminate_ike(self, connection: str, within: float) -> None:
        """Delete an IKE SA with all that it carries, and return when it is gone here."""
        engine = self._service.engine_of_connection(connection)
        self._up(connection)
        await _asked(self._service, lambda now: engine.terminate_ike(connection, now))
        await self._gone(
            lambda: all(ike.name != connection for ike in engine.sas()),
            within,
            f"IKE SA {connection}",
        )

    def _with_child(self, child: str) -> Engine:
        engine = self._service.engine_of_child(child)
        if self._service.child(child) is None:
            raise Refusal(f"there is no CHILD_SA {child} now; initiate it first")
        return engine

    def _up(self, connection: str) -> None:
        engine = self._service.engine_of_connection(connection)
        if all(ike.name != connection for ike in engine.sas()):
            raise Refusal(f"there is no IKE SA {connection} now; initiate one of its children")

    async def _gone(self, condition: Callable[[], bool], within: float, what: str) -> None:
        try:
            async with asyncio.timeout(within):
                await self._service.until(condition)
        except TimeoutError:
            raise Failed(f"{what} was not gone within {within:g} s") from None


def _settle(
    result: asyncio.Future[Child], outcome: Callable[[Report], Child | None], report: Report
) -> None:
    """Complete a result that a report decides."""
    if result.done():
        return
    try:
        made = outcome(report)
    except Failed as failed:
        result.set_exception(failed)
        return
    if made is not None:
        result.set_result(made)


async def _asked(service: Service, work: Callable[[float], None]) -> None:
    try:
        await service.do(work)
    except (LookupError, OSError, Stopped) as error:
        raise Refusal(str(error)) from None
