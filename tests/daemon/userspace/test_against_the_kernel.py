# SPDX-License-Identifier: GPL-2.0-or-later
"""A userspace plane at one end, the kernel's ESP at the other: they agree on every octet."""

from __future__ import annotations

import socket

import pytest

from harness.daemon.exemption import exempt
from harness.daemon.kernel.plane import KernelPlane
from harness.ike.address import Address, Path
from harness.ike.transforms import encryption, integrity
from harness.kernel.socket import XfrmSocket
from harness.network.leaks import in_clear
from harness.network.network import Network
from harness.network.node import Node
from harness.network.spawner import Spawner
from harness.network.topologies import HOST_TO_HOST, MOON_SUN
from tests.daemon.userspace.ends import (
    CBC,
    GCM,
    MOON_NET,
    SHA,
    SUN_NET,
    WAN,
    end,
    pairs,
    selectors,
)
from tests.network.conftest import Lab

pytestmark = pytest.mark.needs("esp")

UDP_ENCAP, ESP_IN_UDP = 100, 2
SUITES = {
    "gcm": (GCM, None),
    "cbc": (CBC, SHA),
    "3des": (encryption("3DES"), integrity("HMAC_MD5_96")),
    "chacha": (encryption("CHACHA20_POLY1305"), None),
}


def kernel_plane(node: Node) -> KernelPlane:
    with node.entered():
        return KernelPlane(XfrmSocket(), lambda event: None)


def esp_in_udp(node: Node, family: int = socket.AF_INET) -> socket.socket:
    """The socket through which the kernel takes ESP in UDP."""
    sock = node.socket(family, socket.SOCK_DGRAM)
    exempt(sock)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, ESP_IN_UDP)
    sock.bind(("0.0.0.0", 4500))
    return sock


@pytest.mark.parametrize(
    ("suite", "encapsulated"), [("gcm", False), ("3des", False), ("cbc", True), ("chacha", True)]
)
def test_a_tunnel_to_the_kernel_loses_nothing(lab: Lab, suite: str, encapsulated: bool) -> None:
    async def run(spawner: Spawner) -> None:
        async with Network.up(MOON_SUN, spawner) as network, end(network.node("moon")) as moon:
            mine, yours = pairs(
                WAN,
                MOON_NET,
                SUN_NET,
                suite=SUITES[suite],
                esn=suite == "gcm",
                encapsulated=encapsulated,
            )
            sun = kernel_plane(network.node("sun"))
            await sun.start()
            with esp_in_udp(network.node("sun")):
                await moon.plane.install(mine, outbound=True)
                await sun.install(yours, outbound=True)
                async with network.traffic("alice", "bob", every=0.01, size=1000) as flow:
                    await flow.crossed(20)
                assert flow.lost == 0
                assert not in_clear(network.wire("wan").frames, [flow.there.marker])
                assert (await sun.carried(yours.inbound.spi))[0] >= 20 * 1028
                await sun.close()

    lab.run(run)


@pytest.mark.parametrize("version", [4, 6])
def test_transport_mode_with_the_kernel_loses_nothing(lab: Lab, version: int) -> None:
    first, second = ("10.0.0.1", "10.0.0.3") if version == 4 else ("2001:db8::1", "2001:db8::3")

    async def run(spawner: Spawner) -> None:
        async with (
            Network.up(HOST_TO_HOST, spawner) as network,
            end(network.node("host1")) as one,
        ):
            path = Path(Address(first), Address(second))
            near, far = selectors(first), selectors(second)
            mine, yours = pairs(path, near, far, suite=(CBC, SHA), transport=True)
            other = kernel_plane(network.node("host3"))
            await other.start()
            await one.plane.install(mine, outbound=True)
            await other.install(yours, outbound=True)
            # The larger ones are cut: by the kernel after ESP, by the plane's host before it.
            for size in (1000, 4000):
                async with network.traffic(
                    "host1", "host3", every=0.01, size=size, version=version
                ) as flow:
                    await flow.crossed(10)
                assert flow.lost == 0
                assert not in_clear(network.wire("wan").frames, [flow.there.marker])
            await other.close()

    lab.run(run)
