# SPDX-License-Identifier: GPL-2.0-or-later
"""A router that is reached by its console is a peer like any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.daemon.console.program import PROMPT
from harness.network.spawner import Spawner
from harness.peers.console.box import TRANSCRIPT, BoxDaemon, ConsoleBox
from harness.peers.console.settings import Box, Serial
from harness.peers.contract import (
    ChildDown,
    ChildRekeyed,
    ChildUp,
    Configuration,
    ConfigurationRefused,
    IkeRekeyed,
    NativeFile,
    PeerError,
    PeerEvent,
    Unsupported,
)
from tests.daemon.engine_router import EngineRouter
from tests.daemon.seil_files import MINIMAL
from tests.peers.console.consoles import PASSWORD, USER, login_file, on_serial_line


def configuration(text: str = MINIMAL, dialect: str = "seil", **options: str) -> Configuration:
    return Configuration(None, dialect, (NativeFile("/seil.conf", text),), options)


@dataclass
class Started:
    daemon: BoxDaemon
    router: EngineRouter
    logs: Path
    events: list[PeerEvent]
    told: asyncio.Event


@asynccontextmanager
async def started(folder: Path, wanted: Configuration) -> AsyncIterator[Started]:
    """A router at a serial line, as the driver has it."""
    router = EngineRouter()
    logs = folder / "logs"
    logs.mkdir()
    login = ("--login", str(login_file(folder)))
    with on_serial_line(router, folder, *login) as device:
        box = Box("seil-x4@1", Serial(device), USER, PASSWORD, PROMPT.rstrip() + " ?", 20.0)
        async with await Spawner.start() as spawner:
            node = await spawner.node("box")
            events: list[PeerEvent] = []
            told = asyncio.Event()

            def listen(event: PeerEvent) -> None:
                events.append(event)
                told.set()

            daemon = await ConsoleBox(box).start(node, wanted, listen, logs)
            try:
                yield Started(daemon, router, logs, events, told)
            finally:
                await daemon.leave()


def with_box(
    folder: Path, body: Callable[[Started], Awaitable[None]], wanted: Configuration | None = None
) -> None:
    async def run() -> None:
        async with started(folder, wanted or configuration()) as found:
            await body(found)

    asyncio.run(run())


def test_its_sas_are_those_of_the_router(tmp_path):
    async def body(found: Started) -> None:
        (ike,) = await found.daemon.sas()
        pair = found.router.watched.pair
        (sa,) = pair.a.sas
        assert ike.name == "ipsec0"
        assert ike.initiator_spi.to_bytes(8, "big") == pair.a.endpoint.isakmp_sas()[0]
        (child,) = ike.children
        assert (child.name, child.reqid) == ("ipsec0", 7)
        assert child.inbound.to_bytes(4, "big") == sa.inbound_spi
        assert child.outbound.to_bytes(4, "big") == sa.outbound_spi
        await found.daemon.initiate("ipsec0", 10)

    with_box(tmp_path, body)


def test_what_changes_is_told_whoever_asked_for_it(tmp_path):
    async def body(found: Started) -> None:
        ((old,),) = [ike.children for ike in await found.daemon.sas()]
        await found.daemon.terminate_ike("ipsec0", 10)
        # The router starts its tunnel again by itself.
        kinds = [type(event) for event in found.events]
        assert kinds == [IkeRekeyed, ChildRekeyed]
        assert found.events[1].old == old
        found.router.load("")
        await found.daemon.sas()
        assert isinstance(found.events[2], ChildDown)
        found.router.load(MINIMAL)
        await found.daemon.sas()
        assert isinstance(found.events[-1], ChildUp)

    with_box(tmp_path, body)


def test_it_watches_by_itself(tmp_path):
    async def body(found: Started) -> None:
        found.router.load("")
        async with asyncio.timeout(30):
            while not any(isinstance(event, ChildDown) for event in found.events):
                found.told.clear()
                await found.told.wait()

    with_box(tmp_path, body)


def test_stopping_takes_its_configuration_away(tmp_path):
    async def body(found: Started) -> None:
        await found.daemon.stop()
        assert found.router.watched is None

    with_box(tmp_path, body)


def test_a_tunnel_that_does_not_come_up_is_a_sentence(tmp_path):
    async def body(found: Started) -> None:
        with pytest.raises(PeerError, match=r"^the router has no tunnel 'net'; it has ipsec0$"):
            await found.daemon.initiate("net", 1)
        with pytest.raises(PeerError) as failed:
            await found.daemon.initiate("ipsec0", 0.1)
        assert str(failed.value) == (
            "ipsec0 did not come up within 0.1 s of traffic for it; the router's log says more"
        )

    text = MINIMAL + "interface.ipsec0.responder-only : enable\n"
    with_box(tmp_path, body, configuration(text))


def test_what_a_console_has_no_words_for_is_unsupported(tmp_path):
    async def body(found: Started) -> None:
        daemon = found.daemon
        for verb in (
            daemon.terminate_child("ipsec0", 1), daemon.rekey_child("ipsec0"),
            daemon.rekey_ike("ipsec0"), daemon.crash(),
        ):  # fmt: skip
            with pytest.raises(Unsupported):
                await verb

    with_box(tmp_path, body)


@pytest.mark.parametrize(
    ("wanted", "kind", "why"),
    [
        (configuration("x\n"), ConfigurationRefused, r"^/seil.conf:1: 'x': this is no line"),
        (configuration(dialect="racoon"), Unsupported, "has no dialect 'racoon'; it has seil"),
        (configuration(**{"charon.x": "y"}), Unsupported, "settings of another daemon: charon.x"),
    ],
)  # fmt: skip
def test_a_configuration_that_it_cannot_have_is_refused(wanted, kind, why, tmp_path):
    async def body(found: Started) -> None:
        raise AssertionError("it has started")

    with pytest.raises(kind, match=why):
        with_box(tmp_path, body, wanted)


def test_what_the_run_keeps_is_for_its_owner_and_has_nothing_of_the_login(tmp_path):
    async def body(found: Started) -> None:
        await found.daemon.sas()
        kept = found.logs / TRANSCRIPT
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "show status ipsec" in kept.read_text()
        assert (found.logs / "configuration/seil.conf").read_text() == MINIMAL
        files = [one for one in found.logs.rglob("*") if one.is_file()]
        assert not any(PASSWORD in one.read_text() for one in files)

    with_box(tmp_path, body)
