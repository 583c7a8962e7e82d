# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import errno
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from harness.daemon.commands import Failed
from harness.daemon.configuration import DaemonConfiguration
from harness.daemon.credentials import Credentials
from harness.daemon.data_plane import Acquired, Expired
from harness.daemon.engine import Refusal
from harness.daemon.inbox import MOST_DATAGRAMS
from harness.daemon.native.dialect import read_toml
from harness.daemon.reports import (
    Child,
    ChildDown,
    ChildFailed,
    ChildRekeyed,
    ChildUp,
    Ike,
    IkeDown,
    IkeFailed,
    IkeRekeyed,
    IkeUp,
    Reconfigured,
    Trouble,
    as_json,
    sentence,
)
from harness.ike.address import Address, Datagram
from tests.daemon.services import WITHIN, toml, two

both_versions = pytest.mark.parametrize("version", [1, 2])


def read(text: str) -> DaemonConfiguration:
    return read_toml(text, "changed.toml", Credentials(Path()))


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * WITHIN):
            await body()

    asyncio.run(bounded())


@both_versions
def test_a_child_comes_up_at_both_ends_with_mirrored_spis(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            mine = await moon.commands.initiate("net", WITHIN)
            theirs = (await sun.until_told(ChildUp)).child
            assert (mine.inbound, mine.outbound) == (theirs.outbound, theirs.inbound)
            (ike,) = moon.service.sas()
            assert ike.version == version
            assert ike.children == (mine,)
            assert moon.plane.sending == [mine.inbound]
            assert len(moon.told(IkeUp)) == len(sun.told(IkeUp)) == 1

    run(body)


def test_an_inbound_sa_and_the_keys_are_there_before_the_message_that_promises_them() -> None:
    async def body() -> None:
        async with two() as (moon, sun, _):
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            # IKE_SA_INIT and IKE_AUTH: each answer is sent after what it makes is in force.
            assert sun.log == ["ike keys", "send", "child keys", "install", "send"]
            assert moon.log == ["send", "ike keys", "send", "child keys", "install"]

    run(body)


def test_a_rekeyed_sa_still_receives_for_a_while_and_sends_no_more() -> None:
    async def body() -> None:
        async with two() as (moon, sun, _):
            old = await moon.commands.initiate("net", WITHIN)
            await moon.commands.rekey_child("net")
            new = (await moon.until_told(ChildRekeyed)).new
            await moon.until(lambda: "retire" in moon.log)
            assert moon.plane.sending == [new.inbound]
            assert old.inbound in moon.plane.pairs
            listed = moon.service.sas()[0].children
            assert [(one.inbound, one.outbound, one.state) for one in listed] == [
                (new.inbound, new.outbound, "installed"),
                (old.inbound, 0, "rekeyed"),
            ]
            await moon.until(lambda: list(moon.plane.pairs) == [new.inbound])
            await sun.until(lambda: list(sun.plane.pairs) == [new.outbound])
            assert new.reqid == old.reqid
            assert moon.told(ChildDown) == []

    run(body)


@both_versions
def test_a_rekeying_of_the_ike_sa_keeps_the_children(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            child = await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            await moon.commands.rekey_ike("gw")
            rekeyed = await moon.until_told(IkeRekeyed)
            await sun.until_told(IkeRekeyed if version == 2 else IkeUp, 1 if version == 2 else 2)
            found = [one for ike in moon.service.sas() for one in ike.children]
            assert [one.inbound for one in found] == [child.inbound]
            assert found[0].ike == rekeyed.new.unique
            assert "remove" not in moon.log

    run(body)


@both_versions
def test_deleting_the_ike_sa_leaves_nothing_at_either_end(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            await moon.commands.terminate_ike("gw", WITHIN)
            await sun.until_told(IkeDown)
            for end in (moon, sun):
                assert end.service.sas() == []
                assert end.plane.pairs == {}

    run(body)


@both_versions
def test_deleting_a_child_leaves_the_ike_sa(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            await moon.commands.terminate_child("net", WITHIN)
            await sun.until_told(ChildDown)
            assert [ike.children for ike in moon.service.sas()] == [()]
            assert sun.plane.pairs == {}

    run(body)


def test_a_soft_lifetime_of_the_kernel_rekeys_and_a_hard_one_deletes() -> None:
    async def body() -> None:
        async with two() as (moon, sun, _):
            old = await moon.commands.initiate("net", WITHIN)
            assert moon.plane.listener is not None
            moon.plane.listener(Expired(old.inbound, hard=False))
            new = (await moon.until_told(ChildRekeyed)).new
            assert new.inbound != old.inbound
            moon.plane.listener(Expired(new.outbound, hard=True))
            assert (await moon.until_told(ChildDown)).child.inbound == new.inbound
            await sun.until_told(ChildDown)

    run(body)


@both_versions
def test_traffic_of_a_route_brings_its_child_up_once(version: int) -> None:
    async def body() -> None:
        async with two(version, moon={"start": "route"}) as (moon, sun, _):
            (reqid,) = moon.plane.routes
            assert moon.plane.listener is not None
            moon.plane.listener(Acquired(reqid))
            child = (await moon.until_told(ChildUp)).child
            assert child.reqid == reqid
            moon.plane.listener(Acquired(reqid))
            await moon.service.do(lambda now: None)
            assert len(moon.told(ChildUp)) == 1
            await sun.until_told(ChildUp)
            assert len(sun.told(ChildUp)) == 1

    run(body)


def test_a_child_that_is_to_start_starts_by_itself() -> None:
    async def body() -> None:
        async with two(moon={"start": "start"}) as (moon, sun, _):
            await moon.until_told(ChildUp)
            await sun.until_told(ChildUp)

    run(body)


def test_a_child_that_is_up_is_not_made_again() -> None:
    async def body() -> None:
        async with two() as (moon, _, _):
            first = await moon.commands.initiate("net", WITHIN)
            assert await moon.commands.initiate("net", WITHIN) == first

    run(body)


def test_a_refusal_names_what_there_is() -> None:
    async def body() -> None:
        async with two() as (moon, _, _):
            with pytest.raises(Refusal, match="there is no child 'nett'; there is net"):
                await moon.commands.initiate("nett", WITHIN)
            with pytest.raises(Refusal, match="there is no connection 'net'; there is gw"):
                await moon.commands.rekey_ike("net")
            with pytest.raises(Refusal, match="there is no CHILD_SA net now; initiate it first"):
                await moon.commands.rekey_child("net")
            with pytest.raises(Refusal, match="there is no IKE SA gw now"):
                await moon.commands.terminate_ike("gw", WITHIN)

    run(body)


def test_an_initiation_fails_with_what_the_peer_said() -> None:
    async def body() -> None:
        async with two(sun={"group": "ecp384"}) as (moon, _, _):
            with pytest.raises(Failed, match=r"no IKE SA for net: .*NO_PROPOSAL_CHOSEN"):
                await moon.commands.initiate("net", WITHIN)
            assert len(moon.told(IkeFailed)) == 1

    run(body)


def test_an_initiation_without_an_answer_fails_in_its_time() -> None:
    async def body() -> None:
        async with two() as (moon, _, cable):
            cable.lose = lambda datagram: True
            with pytest.raises(Failed, match=r"did not come up within 0\.05 s"):
                await moon.commands.initiate("net", 0.05)

    run(body)


def test_what_the_data_plane_refuses_is_deleted_and_told() -> None:
    async def body() -> None:
        async with two() as (moon, sun, _):
            sun.plane.refuses = True
            await moon.commands.initiate("net", WITHIN)
            assert "no ESP today" in str(await sun.until_told(Trouble))
            await moon.until_told(ChildDown)
            await sun.until_told(ChildDown)
            assert moon.plane.pairs == {}

    run(body)


@both_versions
def test_stopping_tells_the_peer_and_closes_the_plane(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            await moon.service.stop()
            await sun.until_told(IkeDown)
            assert sun.plane.pairs == {}
            assert moon.plane.closed

    run(body)


@both_versions
def test_a_reload_keeps_what_is_the_same_and_deletes_what_changed(version: int) -> None:
    async def body() -> None:
        async with two(version) as (moon, sun, _):
            child = await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            await moon.service.reconfigure(read(toml("moon", version)))
            assert moon.service.child("net") == child
            await moon.service.reconfigure(read(toml("moon", version, more="dpd = 30")))
            await sun.until_told(IkeDown)
            assert moon.service.child("net") is None
            again = await moon.commands.initiate("net", WITHIN)
            assert again.inbound != child.inbound

    run(body)


def test_a_reload_may_bring_the_first_connection_of_the_other_version() -> None:
    async def body() -> None:
        async with two() as (moon, sun, _):
            for end in (moon, sun):
                await end.service.reconfigure(read(toml(end.name, 1)))
            await moon.commands.initiate("net", WITHIN)
            assert [ike.version for ike in moon.service.sas()] == [1]

    run(body)


def test_a_flood_of_nonsense_is_bounded_and_an_sa_survives_it() -> None:
    async def body() -> None:
        async with two() as (moon, sun, cable):
            await moon.commands.initiate("net", WITHIN)
            source, here = Address("203.0.113.9"), Address("192.0.2.2")
            for number in range(3 * MOST_DATAGRAMS):
                junk = number.to_bytes(8, "big") * 2 + b"\x21\x20\x22\x08" + bytes(40)
                cable.ends["192.0.2.2"].arrive(Datagram(junk, source, here))
            await moon.commands.rekey_child("net")
            await sun.until(lambda: not sun.told(ChildFailed))
            await moon.commands.terminate_ike("gw", WITHIN)
            await sun.until_told(IkeDown)
            told = sun.told(Trouble)
            assert len(told) < 200

    run(body)


def test_esp_in_udp_goes_to_the_data_plane_and_a_keepalive_nowhere() -> None:
    async def body() -> None:
        async with two() as (moon, _, cable):
            there, here = Address("192.0.2.2", 4500), Address("192.0.2.1", 4500)
            esp = bytes.fromhex("00000100 00000001") + bytes(32)
            for octets in (esp, b"\xff", b""):
                cable.ends["192.0.2.1"].arrive(Datagram(octets, there, here))
            await moon.service.do(lambda now: None)
            assert moon.plane.encapsulated == [esp]
            assert moon.reports == []

    run(body)


def test_nothing_that_goes_wrong_beside_it_keeps_an_sa_from_coming_up() -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def body() -> None:
        seen: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: seen.append(context["message"])
        )
        async with two() as (moon, sun, _):
            assert moon.service._enforcement is not None
            moon.service._enforcement._key_log.ike = fails  # type: ignore[method-assign]
            moon.service.listen(fails)
            await moon.commands.initiate("net", WITHIN)
            await sun.until_told(ChildUp)
            told = [str(one) for one in moon.told(Trouble)]
            assert any("keys are not written down: No space left" in one for one in told)
            assert all(message.startswith("a listener failed at ") for message in seen)

    run(body)


def test_a_daemon_that_has_stopped_says_so() -> None:
    async def body() -> None:
        async with two() as (moon, _, _):
            await moon.service.stop()
            with pytest.raises(Refusal, match="the daemon has stopped"):
                await moon.commands.initiate("net", WITHIN)

    run(body)


def test_every_report_is_a_line_for_people_and_an_object_for_programs() -> None:
    child = Child("net", "gw", 0x111, 0x222, 1, 1)
    ike = Ike("gw", 2, 1, 2, 1)
    lines = {
        IkeUp(ike): "IKE SA gw[1] 0000000000000001:0000000000000002 is established",
        IkeFailed("gw", "why"): "no IKE SA gw: why",
        IkeFailed("", "why"): "no IKE SA: why",
        ChildFailed("gw", "", "why"): "no CHILD_SA: why",
        ChildDown(child, "why"): "CHILD_SA net in 0x00000111 out 0x00000222 is gone: why",
        Reconfigured(): "the configuration was read again",
    }
    assert [sentence(report) for report in lines] == list(lines.values())
    assert as_json(ChildUp(child))["child"]["inbound"] == 0x111
    assert [as_json(report)["event"] for report in lines] == [
        *("ike-up", "ike-failed", "ike-failed", "child-failed", "child-down", "reconfigured"),
    ]
