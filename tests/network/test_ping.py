# SPDX-License-Identifier: GPL-2.0-or-later
from harness.capture.frames import dissect
from harness.network.network import Network
from harness.network.ping import internet_checksum
from harness.network.spawner import Spawner
from tests.network.conftest import Lab
from tests.network.topologies import PAIR


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert internet_checksum(b"\x01") == 0xFEFF


def test_a_ping_is_answered_and_measured(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            for version in (4, 6):
                pings = await network.ping("left", "right", version=version, count=3)
                assert (pings.sent, pings.received, pings.refused) == (3, 3, ())
                assert all(0 < rtt < 1 for rtt in pings.rtts)

    lab.run(body)


def test_a_lost_ping_is_counted_and_an_earlier_answer_is_not_taken_for_it(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            wire = network.wire("wire")
            await network.ping("left", "right")
            wire.on(lambda f: dissect(f.data).protocol == 1, sender="right", nth=1).delay(0.06)
            pings = await network.ping("left", "right", count=2, deadline=0.05)
            assert (pings.sent, pings.received) == (2, 1)

    lab.run(body)


def test_a_ping_that_the_kernel_refuses_says_why(lab: Lab) -> None:
    async def body(spawner: Spawner) -> None:
        async with Network.up(PAIR, spawner) as network:
            await network.node("left").run(["ip", "route", "add", "prohibit", "10.0.0.2"])
            pings = await network.ping("left", "right")
            assert pings.refused == ("Permission denied",)
            assert pings.received == 0

    lab.run(body)
