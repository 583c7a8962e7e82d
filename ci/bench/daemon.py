# SPDX-License-Identifier: GPL-2.0-or-later
"""How much memory ikelabd takes for its SAs.

    python ci/bench/daemon.py [SAS]

SAS initiators (default 5,000), each with an address of its own, bring up an IKE SA with a CHILD_SA
in one service, half of them of IKEv1 and half of IKEv2. Everything of the daemon is there: engines,
inbox, steps, and the sealers and openers of the userspace data plane, but for its sockets, routes
and filters. The initiators are in the same process, one after the other, and keep nothing. Prints
what the process holds, and what the same took in two engines alone. Fails above 300 MB.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.sa_pair import SaPair
from harness.daemon.userspace.sa_state import SaState
from harness.ike.address import Address, Datagram
from harness.ike.chance import from_randomness
from harness.ike.transforms import encryption, key_exchange, prf
from harness.ike.v1.configuration import Limits, Phase1
from harness.ike.v1.endpoint import Endpoint as EndpointV1
from harness.ike.v1.identity import address_identity
from harness.ike.v2.connection import Identity, Settings
from harness.ike.v2.endpoint import Endpoint
from tests.fuzz.services import MemoryPlane, Station, station
from tests.ike.v1.pair import SWAN, seil, swan
from tests.ike.v2.pair import MOON_NET, SUN_NET

DEMANDED = 300
# The group costs time and no memory: neither exponents nor public values are kept.
FAST = Phase1((encryption("AES_CBC_128"),), (prf("HMAC_SHA1"),), (key_exchange("MODP_768"),))
V1 = swan(phase1=FAST, remote=None, remote_identity=None)
V2 = replace(SUN_NET, remote=None, remote_id=None)


@dataclass
class KeepingPlane(MemoryPlane):
    """A data plane that keeps of each pair what the userspace plane keeps."""

    states: dict[int, SaState] = field(default_factory=dict)

    async def install(self, pair: SaPair, *, outbound: bool) -> None:
        self.states[pair.inbound.spi] = SaState(pair, lambda sequence: bytes(16))

    async def remove(self, inbound_spi: int) -> None:
        self.states.pop(inbound_spi, None)


def initiator(number: int) -> tuple[Endpoint | EndpointV1, Address]:
    """One end of one SA, which has begun, and its address."""
    address = Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    if number % 2:
        # One identity each: a peer that says INITIAL_CONTACT has no other SA.
        mine = replace(MOON_NET, remote=SWAN, local_id=Identity.of(f"moon{number}.example"))
        endpoint = Endpoint(address, (mine,), from_randomness(os.urandom))
        endpoint.commands.initiate("gw", 0.0)
        return endpoint, address
    mine_v1 = seil(phase1=FAST, local=address, local_identity=address_identity(address.host))
    endpoint_v1 = EndpointV1((mine_v1,), from_randomness(os.urandom))
    endpoint_v1.initiate("seil", "lan", 0.0)
    return endpoint_v1, address


async def bring_up(sun: Station, number: int) -> None:
    """Let one initiator talk with the service until both are done."""
    endpoint, _ = initiator(number)
    while said := endpoint.datagrams():
        for one in said:
            sun.sockets.arrived(one.data, one.source, one.destination, 0)
        await sun.service.do(lambda now: None)
        answers: list[Datagram] = []
        while sun.sockets.sent:
            answers.append(sun.sockets.sent.popleft())
        for one in answers:
            endpoint.receive(one.data, one.source, 0.0, one.destination)


def resident() -> float:
    """Megabytes of memory that the process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def engines_alone(count: int) -> None:
    """The same in two engines that nobody is around, which is the least that it can take."""
    sun = Endpoint(SWAN, (V2,), from_randomness(os.urandom), Settings())
    sun_v1 = EndpointV1((V1,), from_randomness(os.urandom), limits=Limits())
    before = resident()
    for number in range(1, count + 1):
        endpoint, _ = initiator(number)
        own = sun if number % 2 else sun_v1
        while said := endpoint.datagrams():
            for one in said:
                own.receive(one.data, one.source, 0.0, one.destination)
            own.events()
            for one in own.datagrams():
                endpoint.receive(one.data, one.source, 0.0, one.destination)
    assert len(sun.all_sas()) + len(sun_v1.isakmp_sas()) == count
    report("two engines alone", count, before, resident())


def report(what: str, count: int, before: float, after: float) -> None:
    each = (after - before) * 1e3 / count
    print(f"{what:<32}{count:>8,}{before:>12.0f} MB{after:>12.0f} MB{each:>10.1f} KB", flush=True)


async def service(count: int) -> float:
    configuration = DaemonConfiguration(v2=(V2,), v1=(V1,))
    plane = KeepingPlane()
    sun = station(SWAN, configuration, 1, plane)
    await sun.service.start()
    before = resident()
    for number in range(1, count + 1):
        await bring_up(sun, number)
    after = resident()
    sas = sun.service.sas()
    assert len(sas) == count, f"{len(sas)} IKE SAs, not {count}"
    assert len(plane.states) == sum(len(one.children) for one in sas) == count
    report("ikelabd", count, before, after)
    await sun.service.abort()
    return after


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    if sys.argv[2:] == ["--alone"]:
        engines_alone(count)
        return 0
    print(f"{'':<32}{'IKE SAs':>8}{'before':>15}{'after':>15}{'an SA':>13}")
    started = time.perf_counter()
    held = asyncio.run(service(count))
    # In a process of its own: what one has freed the other would use again.
    subprocess.run([sys.executable, __file__, str(count), "--alone"], check=True)
    print(f"measured in {time.perf_counter() - started:.0f} s")
    if held > DEMANDED:
        print(f"{held:.0f} MB; at most {DEMANDED} are demanded for 5,000")
    return int(held > DEMANDED)


if __name__ == "__main__":
    sys.exit(main())
