# SPDX-License-Identifier: GPL-2.0-or-later
"""No datagram, in any state, raises out of the engine, holds memory, or harms an SA that is up.

IKELAB_EXAMPLES=250000 makes four of these tests the nightly million.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike.v2.connection import Settings
from harness.ike.v2.events import PeerAlive
from harness.ike.v2.message import Plain
from harness.ike.v2.script import Script
from harness.ike.v2.suites import IkeProposal
from harness.ike.wire import encode
from tests.ike.messages import any_v2, chains_v2
from tests.ike.v2.pair import IKE, MOON_NET, SUN_NET, Pair
from tests.ike.v2.test_fragments import HYBRID

LIMITS = Settings(half_open_limit=8, cookie_threshold=4)
QUICK = settings(max_examples=int(os.environ.get("IKELAB_EXAMPLES", "300")))


@cache
def conversation(hybrid: bool) -> tuple[tuple[str, bytes], ...]:
    """Every datagram of a handshake, rekeys and a delete, with its sender."""
    proposal: IkeProposal = HYBRID if hybrid else IKE
    pair = Pair(
        (replace(MOON_NET, proposals=(proposal,)),), (replace(SUN_NET, proposals=(proposal,)),)
    )
    said: list[tuple[str, bytes]] = []

    def listen() -> None:
        while pair.collect():
            letter = pair.queue[0]
            said.append((letter.sender, letter.datagram.data))
            pair.deliver()

    commands = pair.moon.endpoint.commands
    commands.initiate("gw", 0.0)
    listen()
    commands.rekey_child(pair.moon.ike, pair.moon.child.inbound_spi, 0.0)
    listen()
    commands.rekey_ike(pair.moon.ike, 0.0)
    listen()
    commands.delete_ike(pair.moon.ike, 0.0)
    listen()
    return tuple(said)


def until(step: int, hybrid: bool) -> Pair:
    """The same conversation, stopped before its datagram `step`, which is under way."""
    proposal = HYBRID if hybrid else IKE
    pair = Pair(
        (replace(MOON_NET, proposals=(proposal,)),),
        (replace(SUN_NET, proposals=(proposal,)),),
        settings=LIMITS,
    )
    verbs: list[Callable[[], None]] = [
        lambda: pair.moon.endpoint.commands.rekey_child(
            pair.moon.ike, pair.moon.child.inbound_spi, 0.0
        ),
        lambda: pair.moon.endpoint.commands.rekey_ike(pair.moon.ike, 0.0),
        lambda: pair.moon.endpoint.commands.delete_ike(pair.moon.ike, 0.0),
    ]
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    for _ in range(step):
        if not pair.collect():
            if not verbs:
                break
            verbs.pop(0)()
        if pair.collect():
            pair.deliver()
    pair.collect()
    return pair


def feed(pair: Pair, octets: bytes) -> None:
    """Give octets to both ends, from the other one and from a stranger, on both ports."""
    for end, other in ((pair.moon, pair.sun), (pair.sun, pair.moon)):
        for port in (500, 4500):
            source = other.endpoint.local.on_port(port)
            end.endpoint.receive(octets, source, pair.now, end.endpoint.local.on_port(port))
        assert len(end.endpoint.all_sas()) <= 4 + LIMITS.half_open_limit
        pair.collect()
        assert len(pair.queue) < 64


mutations = st.lists(
    st.tuples(st.sampled_from(("flip", "cut", "grow", "copy")), st.integers(0, 2000), st.binary()),
    min_size=1,
    max_size=4,
)


def mutated(octets: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    data = bytearray(octets)
    for how, where, with_ in changes:
        at = where % (len(data) + 1)
        match how:
            case "flip" if at < len(data):
                data[at] ^= with_[0] if with_ and with_[0] else 0xFF
            case "cut":
                del data[at:]
            case "grow":
                data[at:at] = with_
            case "copy":
                data[at:at] = data[: at // 2]
    return bytes(data)


@QUICK
@given(st.integers(0, 20), st.booleans(), st.integers(0, 40), mutations)
def test_mutated_messages_do_no_harm_in_any_state(
    step: int, hybrid: bool, which: int, changes: list[tuple[str, int, bytes]]
) -> None:
    pair = until(step, hybrid)
    waiting = list(pair.queue)
    said = conversation(hybrid)
    for octets in (said[which % len(said)][1], *(one.datagram.data for one in waiting)):
        feed(pair, mutated(octets, changes))
    pair.rest()


@QUICK
@given(st.integers(0, 12), st.binary(max_size=200))
def test_random_octets_do_no_harm_in_any_state(step: int, octets: bytes) -> None:
    pair = until(step, False)
    (waiting,) = [one.datagram.data for one in pair.queue] or [b""]
    feed(pair, octets)
    feed(pair, waiting[4:32] + octets)
    feed(pair, waiting[:28] + octets)
    pair.rest()


@QUICK
@given(any_v2, st.booleans(), st.integers(0, 3))
def test_any_message_under_our_spis_does_no_harm(message: object, clear: bool, step: int) -> None:
    pair = until(step, False)
    for sa in (*pair.moon.endpoint.all_sas(), *pair.sun.endpoint.all_sas()):
        forged = replace(  # type: ignore[type-var]
            message, initiator_spi=sa.spi_i, responder_spi=sa.spi_r, message_id=step % 2
        )
        octets = encode(forged)  # type: ignore[arg-type]
        feed(pair, octets if clear else bytes(4) + octets)
    pair.rest()


@QUICK
@given(chains_v2, st.integers(34, 45), st.integers(0, 255), st.booleans())
def test_any_payloads_of_an_authenticated_peer_do_no_harm(
    payloads: tuple[object, ...], exchange: int, reserved: int, requesting: bool
) -> None:
    script = Script()
    pair = Pair(seams=(script, None)).up()
    inner = tuple(one for one in payloads if one.payload_type not in (46, 53))  # type: ignore[attr-defined]

    def forge(plain: Plain) -> Plain:
        return plain.forged(payloads=inner)

    script.sent(response=not requesting).replace(forge)
    if requesting:
        pair.moon.endpoint.commands.exchange(pair.moon.ike, exchange, (), pair.now)
    else:
        pair.sun.endpoint.commands.rekey_child(pair.sun.ike, pair.sun.child.inbound_spi, pair.now)
    pair.rest()
    assert len(pair.sun.endpoint.all_sas()) <= 2


@pytest.mark.parametrize("count", [10_000])
def test_garbage_leaves_an_established_sa_and_its_traffic_alone(count: int) -> None:
    pair = Pair(settings=LIMITS, seed=2).up()  # other keys than those of the conversation
    before = pair.sun.child
    said = conversation(False)
    (sa,) = pair.sun.endpoint.all_sas()
    source = pair.moon.endpoint.local.on_port(4500)
    local = pair.sun.endpoint.local.on_port(4500)
    for number in range(count):
        octets = bytearray(said[number % len(said)][1])
        octets[number % len(octets)] ^= 1 + number % 255
        spis = sa.spi_i + sa.spi_r if number % 2 else bytes(octets[4:20])
        pair.sun.endpoint.receive(bytes(4) + spis + octets[20:], source, 0.0, local)
        pair.sun.endpoint.datagrams()
    assert pair.sun.child == before
    assert len(pair.sun.endpoint.events()) <= 1_100
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, 0.0)
    pair.settle()
    assert pair.moon.events(PeerAlive)


def test_nobody_reading_costs_bounded_memory() -> None:
    pair = Pair(settings=LIMITS).up()
    said = conversation(False)[0][1]
    for number in range(20_000):
        octets = number.to_bytes(8, "big") + said[8:]
        pair.sun.endpoint.receive(octets, pair.moon.endpoint.local, 0.0)
    assert len(pair.sun.endpoint.datagrams()) <= 8_192
    assert len(pair.sun.endpoint.events()) <= 1_100
