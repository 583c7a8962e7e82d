# SPDX-License-Identifier: GPL-2.0-or-later
"""Every message of every exchange lost, duplicated, delayed or reordered once."""

from dataclasses import replace

import pytest

from harness.ike.retransmission import Retransmission
from harness.ike.v1.configuration import Phase1, Phase1Mode
from harness.ike.v1.events import (
    IpsecSaInstalled,
    IpsecSaRemoved,
    IsakmpSaEstablished,
    Phase1Failed,
    QuickModeFailed,
    Retransmitted,
)
from harness.ike.v1.reasons import Reason
from tests.ike.v1.pair import Pair, mirrored, seil, swan

AGGRESSIVE = Phase1(mode=Phase1Mode.AGGRESSIVE, accept_aggressive_psk=True)
MODES = {"main": Phase1(), "aggressive": AGGRESSIVE}
POSITIONS = [("main", n) for n in range(11)] + [("aggressive", n) for n in range(8)]


def begun(mode: str) -> Pair:
    pair = Pair(seil(phase1=MODES[mode]), swan(phase1=MODES[mode]))
    pair.initiate()
    return pair


def to_position(pair: Pair, position: int) -> None:
    for _ in range(position):
        pair.deliver(pair.queue.pop(0))


def assert_one_of_each(pair: Pair) -> None:
    assert len(pair.a.endpoint.isakmp_sas()) == len(pair.b.endpoint.isakmp_sas()) == 1
    assert len(pair.a.sas) == len(pair.b.sas) == 1
    assert mirrored(pair.a, pair.b)
    assert not pair.a.of(Phase1Failed) + pair.b.of(Phase1Failed)
    assert not pair.a.of(QuickModeFailed) + pair.b.of(QuickModeFailed)
    assert pair.a.endpoint.half_open == pair.b.endpoint.half_open == 0


@pytest.mark.parametrize(("mode", "position"), POSITIONS)
def test_each_message_may_be_lost_once(mode, position):
    pair = begun(mode)
    to_position(pair, position)
    assert pair.drop()
    pair.run()
    pair.advance(15)
    assert_one_of_each(pair)


@pytest.mark.parametrize(("mode", "position"), POSITIONS)
def test_each_message_may_come_twice(mode, position):
    pair = begun(mode)
    to_position(pair, position)
    pair.queue.insert(0, pair.queue[0])
    pair.run()
    pair.advance(15)
    assert_one_of_each(pair)


@pytest.mark.parametrize(("mode", "position"), POSITIONS)
def test_each_message_may_come_again_when_all_is_over(mode, position):
    pair = begun(mode)
    to_position(pair, position)
    late = pair.queue[0]
    pair.run()
    before = len(pair.a.of(IpsecSaInstalled)), len(pair.b.of(IpsecSaInstalled))
    for _ in range(3):
        pair.deliver(late)
        pair.run()
    pair.advance(15)
    assert (len(pair.a.of(IpsecSaInstalled)), len(pair.b.of(IpsecSaInstalled))) == before
    assert_one_of_each(pair)


@pytest.mark.parametrize(("mode", "position"), POSITIONS)
def test_each_message_may_come_after_the_next_one(mode, position):
    pair = begun(mode)
    to_position(pair, position)
    held = pair.queue.pop(0)
    if pair.queue:
        pair.deliver(pair.queue.pop(0))
    else:
        pair.advance(5, run=False)
    pair.queue.append(held)
    pair.run()
    pair.advance(15)
    assert_one_of_each(pair)


def test_a_peer_that_never_answers_is_asked_again_and_then_given_up():
    policy = Retransmission(first=1.0, factor=2.0, tries=3)
    pair = Pair(a=seil(retransmission=policy))
    pair.initiate()
    pair.drop()
    times = []
    for _ in range(4):
        pair.advance(pair.a.endpoint.deadline() - pair.now, run=False)
        times.append((pair.now - 1000, len(pair.drop(9))))
    assert times == [(1.0, 1), (3.0, 1), (7.0, 1), (15.0, 0)]
    assert [event.repetition for event in pair.a.of(Retransmitted)] == [1, 2, 3]
    assert pair.a.only(Phase1Failed).reason is Reason.TIMEOUT
    assert pair.a.endpoint.deadline() is None


def test_a_repetition_is_the_same_octets():
    pair = Pair()
    pair.initiate()
    pair.advance(4, run=False)
    first, second = pair.queue
    assert first == second


def test_a_quick_mode_without_its_third_message_leaves_nothing_at_the_responder():
    policy = Retransmission(first=1.0, factor=1.0, tries=2)
    pair = Pair(b=swan(retransmission=policy))
    pair.initiate()
    to_position(pair, 10)
    pair.drop()
    while pair.now < 1010:
        pair.advance(1, run=False)
        pair.drop(99)
    assert pair.b.only(QuickModeFailed).reason is Reason.TIMEOUT
    assert (
        pair.b.only(IpsecSaRemoved).sa.inbound_spi == pair.b.only(IpsecSaInstalled).sa.inbound_spi
    )
    assert pair.b.sas == ()


def test_a_responder_forgets_an_initiator_that_does_not_go_on():
    pair = Pair()
    pair.initiate()
    pair.deliver(pair.queue.pop(0))
    assert pair.b.endpoint.half_open == 1
    pair.queue.clear()
    pair.a.endpoint.timeout(0)
    pair.advance(31, run=False)
    assert pair.b.endpoint.half_open == 0
    assert pair.b.only(Phase1Failed).reason is Reason.TIMEOUT


def test_the_same_first_message_from_another_address_is_another_negotiation():
    pair = Pair(b=replace(swan(), remote=None))
    pair.initiate()
    first = pair.queue[0]
    for port in (500, 501):
        pair.deliver(replace(first, source=first.source._replace(port=port)))
    assert pair.b.endpoint.half_open == 2
    assert not pair.b.of(IsakmpSaEstablished)
