# SPDX-License-Identifier: GPL-2.0-or-later
"""A service put together from a configuration: its engines, its sockets, its data plane.

Everything here opens what it needs in the network namespace that the calling thread is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from harness.daemon.configuration import DaemonConfiguration, dated
from harness.daemon.data_plane import DataPlane, PlaneEvent, PlaneListener
from harness.daemon.enforcement import KeyLog
from harness.daemon.engine import Engine
from harness.daemon.ikev1 import Ikev1
from harness.daemon.ikev2 import Ikev2, uniques
from harness.daemon.kernel.plane import KernelPlane
from harness.daemon.own_addresses import OwnAddresses
from harness.daemon.reqids import Reqids
from harness.daemon.service import MakePlane, Service
from harness.daemon.sockets import Sockets, open_sockets
from harness.ike.address import Address, Datagram, Path
from harness.ike.chance import Draw, from_randomness
from harness.ike.v1.endpoint import Endpoint as EndpointV1
from harness.ike.v1.seam import Seam as SeamV1
from harness.ike.v2.endpoint import Endpoint
from harness.ike.v2.seam import Seam
from harness.kernel.socket import XfrmSocket

ANYWHERE = Address("0.0.0.0")


@dataclass(frozen=True)
class Scripting:
    """Where a test stands in a daemon: at the messages of each version, and at the randomness."""

    seam: Seam | None = None
    seam_v1: SeamV1 | None = None
    draw: Draw | None = None


UNSCRIPTED = Scripting()


def make_service(
    configuration: DaemonConfiguration,
    *,
    key_log: KeyLog | None = None,
    scripting: Scripting = UNSCRIPTED,
) -> Service:
    """A service that only wants to be started; call it on the loop that it is to run on.

    Raises `SocketError` and `DataPlaneError`.
    """
    configuration = dated(configuration, _epoch())
    kernel = configuration.data_plane == "kernel"
    sockets = open_sockets(configuration.listen, kernel_esp=kernel)
    try:
        plane = kernel_plane() if kernel else userspace_plane(sockets)
        reqids = Reqids()
        engines = make_engines(configuration, sockets, reqids, scripting)
        addresses = OwnAddresses()
        return Service(
            configuration, engines, reqids, sockets, plane, key_log=key_log, addresses=addresses
        )
    except BaseException:
        sockets.close()
        raise


def make_engines(
    configuration: DaemonConfiguration, sockets: Sockets, reqids: Reqids, scripting: Scripting
) -> list[Engine]:
    """The engines of both IKE versions."""
    numbers = uniques()
    draw = scripting.draw or from_randomness(os.urandom)
    endpoint = Endpoint(ANYWHERE, configuration.v2, draw, configuration.settings, scripting.seam)
    endpoint_v1 = EndpointV1(configuration.v1, draw, seam=scripting.seam_v1)
    return [
        Ikev2(endpoint, numbers, reqids, sockets.own_address),
        Ikev1(endpoint_v1, numbers, reqids),
    ]


def _epoch() -> datetime:
    """The date at which the running loop's clock was 0."""
    return datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time())


def kernel_plane() -> MakePlane:
    """What makes the kernel's data plane of this namespace."""
    from harness.daemon.userspace.leftovers import Leftovers

    xfrm = XfrmSocket()
    leftovers = Leftovers()

    async def make(listener: PlaneListener) -> DataPlane:
        await leftovers.remove()
        plane = KernelPlane(xfrm, listener)
        await plane.start()
        return plane

    return make


def userspace_plane(sockets: Sockets) -> MakePlane:
    """What makes a data plane of this process, on a TUN device of this namespace."""
    from harness.daemon.userspace.plane import UserspacePlane

    listeners: list[PlaneListener] = []

    def tell(event: PlaneEvent) -> None:
        for listener in listeners:
            listener(event)

    def send(octets: bytes, path: Path, traffic_class: int) -> None:
        # ESP may be lost like any other packet: whoever sent it does not wait for it.
        with contextlib.suppress(OSError):
            sockets.send(Datagram(octets, path.local, path.remote), traffic_class)

    plane = UserspacePlane(tell, send)

    async def make(listener: PlaneListener) -> DataPlane:
        listeners.append(listener)
        await plane.start()
        return plane

    return make
