# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd as a SEIL, driven by nothing but its console, beside another ikelabd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import SEIL
from harness.peers.console.box import DISCARD, BoxDaemon, ConsoleBox
from harness.peers.console.in_node import console_on, open_terminal
from harness.peers.console.settings import Box, Serial
from harness.peers.contract import (
    Configuration,
    ConfigurationRefused,
    Daemon,
    NativeFile,
    NegotiationFailed,
    PeerEvent,
)
from harness.peers.ikelabd import Ikelabd
from harness.peers.ikelabd.process import CONTROL
from tests.daemon.seil_files import MINIMAL

NO_TUNNEL = "interface.ge0.ipv4.address : 10.0.0.1/24\n"
SUN = """\
interface.ipsec0.preshared-key : xeeB5gohvaYi
interface.ipsec0.ipv4.source : 10.0.0.2
interface.ipsec0.ipv4.destination : 10.0.0.1
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.local : 192.168.2.0/24
interface.ipsec0.ike.proposal.phase2.proxy-id.ipv4.remote : 192.168.1.0/24
interface.ipsec0.responder-only : enable
"""


@dataclass
class Running:
    network: Network
    seil: BoxDaemon
    sun: Daemon
    events: list[PeerEvent]


async def ikelabd(node: Node, text: str, folder: Path) -> Daemon:
    logs = folder / node.name
    logs.mkdir()
    files = (NativeFile("/run/seil.conf", text),)
    wanted = Configuration(None, "seil", files, data_plane="userspace")
    return await Ikelabd().start(node, wanted, lambda event: None, logs)


@asynccontextmanager
async def nodes() -> AsyncIterator[Network]:
    """The network of a SEIL, whose nodes have the modules of ikelabd."""
    async with await Spawner.start() as spawner:
        await spawner.load(Ikelabd().modules)
        async with Network.up(SEIL, spawner) as network:
            yield network


@asynccontextmanager
async def running(folder: Path, text: str = MINIMAL) -> AsyncIterator[Running]:
    async with nodes() as network:
        node = network.node("seil")
        sun = await ikelabd(network.node("sun"), SUN, folder)
        router = await ikelabd(node, NO_TUNNEL, folder)
        terminal = await open_terminal(node, CONTROL)

        @contextmanager
        def session():
            with console_on(terminal, "seil") as console:
                yield console.session

        box = ConsoleBox(Box("seil", Serial(""), "", ""), connect=session)
        events: list[PeerEvent] = []
        wanted = Configuration(None, "seil", (NativeFile("/seil.conf", text),))
        (folder / "box").mkdir()
        seil = await box.start(node, wanted, events.append, folder / "box")
        try:
            yield Running(network, seil, sun, events)
        finally:
            await seil.leave()
            await router.crash()
            await sun.crash()


def test_a_tunnel_is_made_read_and_taken_down_by_the_console_alone(tmp_path):
    async def body() -> None:
        async with running(tmp_path) as run:
            await run.seil.initiate("ipsec0", 30)
            (ours,), (theirs,) = await run.seil.sas(), await run.sun.sas()
            assert (ours.initiator_spi, ours.responder_spi) == (
                theirs.initiator_spi, theirs.responder_spi,
            )  # fmt: skip
            assert ours.children == tuple(child.mirrored() for child in theirs.children)
            pings = await run.network.ping("left", "right", count=3)
            assert pings.received == 3
            await run.seil.stop()
            assert all(not ike.children for ike in await run.sun.sas())

    asyncio.run(body())


def test_the_console_shows_octets_that_went_through_and_the_log(tmp_path):
    async def body() -> None:
        async with running(tmp_path) as run:
            await run.seil.initiate("ipsec0", 30)
            await run.network.ping("left", "right", count=2)
            terminal = await open_terminal(run.network.node("seil"), CONTROL)

            def look():
                with console_on(terminal, "seil") as console:
                    return console.ipsec(), console.log(1970), console.interface("ipsec0")

            ipsec, log, interface = await asyncio.to_thread(look)
            assert all(sa.octets > 0 for sa in ipsec)
            assert [line.text.split(" ")[0] for line in log][:2] == ["ISAKMP-SA", "IPsec-SA"]
            assert interface.up

    asyncio.run(body())


def test_a_cleared_tunnel_comes_up_again_with_other_sas(tmp_path):
    async def body() -> None:
        async with running(tmp_path) as run:
            await run.seil.initiate("ipsec0", 30)
            (old,) = await run.seil.sas()
            await run.seil.terminate_ike("ipsec0", 30)
            await run.seil.initiate("ipsec0", 30)
            (new,) = await run.seil.sas()
            assert new.initiator_spi != old.initiator_spi
            assert (await run.network.ping("left", "right", count=1)).received == 1

    asyncio.run(body())


def test_a_tunnel_that_waits_is_given_traffic(tmp_path):
    async def body() -> None:
        async with running(tmp_path, MINIMAL + "interface.ipsec0.responder-only : enable\n") as run:
            with pytest.raises(NegotiationFailed, match="did not come up within 1 s of traffic"):
                await run.seil.initiate("ipsec0", 1)
            frames = [Ether(one.data) for one in run.network.wire("wan").frames]
            sent = [one for one in frames if UDP in one and one[UDP].dport == DISCARD]
            assert {(one[IP].src, one[IP].dst) for one in sent} == {("10.0.0.1", "192.168.2.1")}

    asyncio.run(body())


@contextmanager
def typing(terminal: int, refused: str):
    """A console at which a configuration is refused in these words."""
    with console_on(terminal, "seil") as console:
        before = (console.policies(), console.ipsec())
        with pytest.raises(ConfigurationRefused) as wrong:
            yield console
        assert str(wrong.value) == refused
        assert (console.policies(), console.ipsec()) == before


def test_a_daemon_refuses_what_it_does_not_listen_on(tmp_path):
    said = "ikelabd listens on 10.0.0.1 since it has begun, and not on 10.0.0.9; start it again"

    async def body() -> None:
        async with nodes() as network:
            node = network.node("seil")
            router = await ikelabd(node, MINIMAL, tmp_path)
            terminal = await open_terminal(node, CONTROL)
            elsewhere = MINIMAL.replace("10.0.0.1\n", "10.0.0.9\n")

            def work() -> None:
                with typing(terminal, said) as console:
                    console.load(elsewhere)

            await asyncio.to_thread(work)
            await router.crash()

    asyncio.run(body())


def test_a_daemon_that_began_with_ikev2_takes_a_seil(tmp_path):
    ikev2 = """\
data-plane = "userspace"
[connection.a]
local = "10.0.0.1"
remote = "10.0.0.2"
secret = "x"
proposals = ["aes256-sha256-x25519"]
[connection.a.child.b]
proposals = ["aes256gcm16-x25519"]
"""

    async def body() -> None:
        async with nodes() as network:
            node = network.node("seil")
            files = (NativeFile("/run/ikelabd.toml", ikev2),)
            wanted = Configuration(None, "native", files, data_plane="userspace")
            (tmp_path / "logs").mkdir()
            router = await Ikelabd().start(node, wanted, lambda event: None, tmp_path / "logs")
            terminal = await open_terminal(node, CONTROL)

            def work() -> None:
                with console_on(terminal, "seil") as console:
                    assert console.policies() == ()
                    console.load(MINIMAL)
                    assert len(console.policies()) == 2

            await asyncio.to_thread(work)
            await router.crash()

    asyncio.run(body())
