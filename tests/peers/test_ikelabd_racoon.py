# SPDX-License-Identifier: GPL-2.0-or-later
"""Two ikelabds with a racoon.conf each prove themselves with certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.network.network import Network
from harness.network.spawner import Spawner
from harness.network.topologies import SEIL
from harness.peers.contract import Configuration, Daemon, NativeFile, NegotiationFailed
from harness.peers.credentials import Authority
from harness.peers.ikelabd import Ikelabd
from tests.daemon.racoon_files import NAMED

SEIL_LAN, SUN_LAN = "192.168.1.0/24", "192.168.2.0/24"
TODAY = datetime.now(UTC)
CHILD = f"{SEIL_LAN}-{SUN_LAN}"


def racoon(own: str, peer: str, local: str, remote: str) -> str:
    """The configuration of the seed between two gateways."""
    head, sainfo = NAMED.split("sainfo anonymous")
    head = head.replace("10.0.0.2", peer).replace(
        "my_identifier", 'ca_type x509 "ca.pem"; my_identifier'
    )
    between = f"sainfo address {local} any address {remote} any"
    return f"listen {{ isakmp {own}; }}\n{head}{between}{sainfo}"


async def ikelabd(
    network: Network, name: str, text: str, authority: Authority, folder: Path
) -> Daemon:
    own = authority.certify(f"{name}.example.org", kind="rsa")
    files = (
        NativeFile("/run/racoon/racoon.conf", text),
        NativeFile("/run/racoon/cert/host_cert.pem", own.certificate),
        NativeFile("/run/racoon/cert/host_priv.pem", own.private_key),
        NativeFile("/run/racoon/cert/ca.pem", own.authority),
    )
    logs = folder / name
    logs.mkdir()
    wanted = Configuration(None, "racoon", files, data_plane="userspace")
    return await Ikelabd().start(network.node(name), wanted, lambda event: None, logs)


def between(
    authority: Authority,
    folder: Path,
    body: Callable[[Network, Daemon, Daemon], Awaitable[None]],
) -> None:
    async def run() -> None:
        async with await Spawner.start() as spawner:
            await spawner.load(Ikelabd().modules)
            async with Network.up(SEIL, spawner) as network:
                one = racoon("10.0.0.1", "10.0.0.2", SEIL_LAN, SUN_LAN)
                other = racoon("10.0.0.2", "10.0.0.1", SUN_LAN, SEIL_LAN)
                seil = await ikelabd(network, "seil", one, authority, folder)
                sun = await ikelabd(network, "sun", other, authority, folder)
                try:
                    await body(network, seil, sun)
                finally:
                    await seil.crash()
                    await sun.crash()

    asyncio.run(run())


def test_certificates_that_are_valid_today_make_a_tunnel(tmp_path):
    async def body(network: Network, seil: Daemon, sun: Daemon) -> None:
        await seil.initiate(CHILD, 30)
        (ours,), (theirs,) = await seil.sas(), await sun.sas()
        (child,), (other,) = ours.children, theirs.children
        assert (child.inbound, child.outbound) == (other.outbound, other.inbound)
        assert (await network.ping("left", "right", count=2)).received == 2

    between(Authority("ca", TODAY), tmp_path, body)


def test_certificates_of_another_year_are_refused(tmp_path):
    past = TODAY - timedelta(days=400)

    async def body(network: Network, seil: Daemon, sun: Daemon) -> None:
        with pytest.raises(NegotiationFailed, match="INVALID-CERTIFICATE"):
            await seil.initiate(CHILD, 30)
        assert not any(ike.children for ike in await sun.sas())

    between(Authority("ca", past), tmp_path, body)


def test_traffic_brings_the_tunnel_up_by_itself(tmp_path):
    async def body(network: Network, seil: Daemon, sun: Daemon) -> None:
        async with asyncio.timeout(30):
            while not (await network.ping("left", "right", count=1)).received:
                pass
        assert len(await seil.sas()) == 1

    between(Authority("ca", TODAY), tmp_path, body)
