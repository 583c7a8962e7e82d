# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon whose host has another address, or whose peer has."""

import asyncio
from dataclasses import replace
from typing import Any

from harness.daemon.reports import IkeMoved, sentence
from harness.ike.address import Address, Path
from harness.ike.constants_v2 import ExchangeType
from harness.ike.wire import decode
from tests.daemon.services import HOSTS, WITHIN, Cable, End, two

MOBIKE = {"more": "mobike = true"}
LATER = "192.0.2.77"


def move(end: End, cable: Cable, host: str) -> None:
    """Give a daemon's host another address in the place of the one that it has."""
    sockets: Any = end.service._sockets
    cable.ends[host] = cable.ends.pop(sockets.host)
    sockets.host = host
    end.service._take_addresses(frozenset({host}))


def informational(cable: Cable) -> list[tuple[str, str]]:
    """The ends of the INFORMATIONAL messages so far."""
    return [
        (one.source.host, one.destination.host)
        for one in cable.carried
        if decode(one.data[4 * (one.source.port == 4500) :]).exchange == ExchangeType.INFORMATIONAL
    ]


def run(body: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * WITHIN):
            await body()

    asyncio.run(bounded())


def test_an_address_that_changes_moves_the_pairs_of_both_ends() -> None:
    async def body() -> None:
        async with two(moon=MOBIKE, sun=MOBIKE) as (moon, sun, cable):
            child = await moon.commands.initiate("net", WITHIN)
            move(moon, cable, LATER)
            followed: IkeMoved = await sun.until_told(IkeMoved)
            there = Address(LATER, 4500), Address(HOSTS["sun"], 4500)
            assert moon.plane.moved == [(child.inbound, Path(*there), False)]
            assert sun.plane.moved == [(child.outbound, Path(*there[::-1]), False)]
            assert sentence(followed).endswith(f"is between {HOSTS['sun']} and {LATER} now")
            assert set(informational(cable)) == {
                (LATER, HOSTS["sun"]),
                (HOSTS["sun"], LATER),
            }
            assert [one.ike.children for one in moon.told(IkeMoved)] == [(child,)]

    run(body)


def test_an_address_that_is_still_there_moves_nothing() -> None:
    async def body() -> None:
        async with two(moon=MOBIKE, sun=MOBIKE) as (moon, _, cable):
            await moon.commands.initiate("net", WITHIN)
            moon.service._take_addresses(frozenset({HOSTS["moon"], LATER}))
            await moon.service.do(lambda now: None)
            assert not moon.plane.moved
            assert not informational(cable)

    run(body)


def test_without_a_way_to_the_peer_it_waits_for_one() -> None:
    async def body() -> None:
        async with two(moon=MOBIKE, sun=MOBIKE) as (moon, sun, cable):
            await moon.commands.initiate("net", WITHIN)
            sockets = cable.ends[HOSTS["moon"]]
            sockets.has_route = False
            moon.service._take_addresses(frozenset())
            await moon.service.do(lambda now: None)
            assert not informational(cable)
            sockets.has_route = True
            move(moon, cable, LATER)
            await sun.until_told(IkeMoved)

    run(body)


def test_where_the_peer_does_not_do_mobike_nothing_is_said() -> None:
    async def body() -> None:
        async with two(moon=MOBIKE) as (moon, _, cable):
            await moon.commands.initiate("net", WITHIN)
            move(moon, cable, LATER)
            await moon.service.do(lambda now: None)
            assert not moon.plane.moved
            assert not informational(cable)

    run(body)


def test_a_report_of_a_move_says_where_esp_goes_in_udp() -> None:
    async def body() -> None:
        async with two(moon=MOBIKE, sun=MOBIKE) as (moon, sun, cable):
            await moon.commands.initiate("net", WITHIN)
            move(moon, cable, LATER)
            told: IkeMoved = await sun.until_told(IkeMoved)
            assert sentence(replace(told, encapsulated=True)) == f"{sentence(told)}, ESP in UDP"

    run(body)
