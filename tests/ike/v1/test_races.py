# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges that cross: both ends at once, rekeys, deletes in rekeys, random schedules."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ike.chance import Purpose, choosing
from harness.ike.v1.configuration import DeadPeerDetection, Lifetime, Phase1, Rekeying
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.events import IpsecSaRemoved, IsakmpSaEstablished, QuickModeFailed
from harness.ike.v1.reasons import Reason
from tests.ike.v1.pair import Pair, mirrored, seil, swan

QUIET = DeadPeerDetection(interval=0)
SHORT = Lifetime(600)
NONCES = [bytes([first]) * 16 for first in (1, 2, 3, 4)]


def rekey(pair: Pair, end) -> None:
    end.endpoint.rekey_child(end.sas[0].inbound_spi, pair.now)
    pair.collect()


def assert_one_each(pair: Pair) -> None:
    assert len(pair.a.sas) == len(pair.b.sas) == 1
    assert mirrored(pair.a, pair.b)
    assert not pair.a.of(QuickModeFailed) + pair.b.of(QuickModeFailed)


@pytest.mark.parametrize("order", list(permutations(NONCES)))
def test_of_two_quick_modes_at_once_the_one_with_the_lowest_nonce_is_redundant(order):
    pair = Pair()
    pair.up()
    pair.advance(10)
    for end, nonces in ((pair.a, order[:2]), (pair.b, order[2:])):
        hub = end.endpoint._hub
        hub.draw = choosing(hub.draw, Purpose.NONCE, nonces)
    rekey(pair, pair.a)
    rekey(pair, pair.b)
    pair.run()
    assert len(pair.a.sas) == len(pair.b.sas) == 3
    pair.advance(20)
    assert_one_each(pair)
    lowest = min(NONCES)
    left = pair.a.sas[0]
    assert lowest not in (left.nonce_i, left.nonce_r)


@pytest.mark.parametrize("held", range(6))
def test_two_quick_modes_at_once_end_alike_whichever_message_is_delayed(held):
    pair = Pair()
    pair.up()
    pair.advance(10)
    rekey(pair, pair.a)
    rekey(pair, pair.b)
    late = []
    for number in range(99):
        if not pair.queue:
            break
        one = pair.queue.pop(0)
        if number == held:
            late.append(one)
        else:
            pair.deliver(one)
    pair.queue += late
    pair.run()
    pair.advance(60)
    assert_one_each(pair)


def test_both_ends_may_begin_at_once():
    pair = Pair()
    pair.initiate(end=pair.a)
    pair.initiate(end=pair.b)
    pair.run()
    pair.advance(30)
    assert_one_each(pair)
    assert len(pair.a.endpoint.isakmp_sas()) == len(pair.b.endpoint.isakmp_sas())


def test_phase_1_may_be_followed_while_a_quick_mode_runs():
    pair = Pair()
    pair.up()
    pair.advance(10)
    old = pair.a.endpoint.isakmp_sas()[0]
    rekey(pair, pair.a)
    pair.a.endpoint.rekey_isakmp(old, pair.now)
    pair.collect()
    pair.queue.reverse()
    pair.run()
    pair.advance(20)
    assert_one_each(pair)
    assert len(pair.a.of(IsakmpSaEstablished)) == 2


def test_a_quick_mode_whose_isakmp_sa_expires_is_begun_anew_under_the_next():
    pair = Pair()
    pair.up()
    pair.advance(10)
    old = pair.a.endpoint.isakmp_sas()[0]
    before = pair.a.sas[0]
    rekey(pair, pair.a)
    pair.drop()
    pair.a.endpoint.rekey_isakmp(old, pair.now)
    pair.run()
    assert len(pair.a.endpoint.isakmp_sas()) == 2
    pair.a.endpoint._hub.sessions[old].delete(Reason.EXPIRED, pair.now)
    pair.run()
    assert before != pair.a.sas[-1]
    assert mirrored(pair.a, pair.b)


def test_dead_peer_detection_goes_on_during_a_rekey():
    pair = Pair()
    pair.up()
    held = pair.b.script.sent(exchange=32).hold()
    rekey(pair, pair.a)
    pair.advance(3)
    pair.a.endpoint.check_peer(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    held.release(pair.b.endpoint, pair.now)
    pair.run()
    pair.advance(20)
    assert_one_each(pair)


@pytest.mark.parametrize("delete_first", [True, False])
def test_a_delete_that_crosses_a_rekey_leaves_the_new_sa(delete_first):
    pair = Pair()
    pair.up()
    pair.advance(10)
    old = pair.b.sas[0]
    rekey(pair, pair.a)
    pair.b.endpoint.delete_child(old.inbound_spi, pair.now)
    pair.collect()
    if delete_first:
        pair.queue.reverse()
    pair.run()
    pair.advance(20)
    assert_one_each(pair)
    assert pair.a.sas[0].inbound_spi != old.outbound_spi


def test_a_lost_delete_is_made_up_for_by_the_end_of_the_lifetime():
    pair = Pair(seil(dpd=QUIET), swan(dpd=QUIET))
    pair.up()
    pair.a.endpoint.delete_child(pair.a.sas[0].inbound_spi, pair.now)
    pair.collect()
    pair.drop()
    assert len(pair.b.sas) == 1
    pair.advance(28801)
    assert pair.b.of(IpsecSaRemoved)[-1].reason is Reason.EXPIRED


ACTIONS = st.sampled_from(
    ["deliver", "deliver", "deliver", "last", "double", "drop", "rekey a", "rekey b",
     "follow a", "follow b", "wait", "ask"]
)  # fmt: skip


def act(pair: Pair, action: str) -> None:
    match action.split():
        case ["deliver"] if pair.queue:
            pair.deliver(pair.queue.pop(0))
        case ["last"] if pair.queue:
            pair.deliver(pair.queue.pop())
        case ["double"] if pair.queue:
            pair.deliver(pair.queue[0])
        case ["drop"]:
            pair.drop()
        case ["wait"]:
            pair.advance(1, run=False)
        case [verb, name]:
            end = getattr(pair, name)
            endpoint: Endpoint = end.endpoint
            if verb == "rekey" and end.sas:
                rekey(pair, end)
            elif endpoint.isakmp_sas():
                endpoint.rekey_isakmp(endpoint.isakmp_sas()[-1], pair.now)
        case ["ask"] if pair.a.endpoint.isakmp_sas():
            pair.a.endpoint.check_peer(pair.a.endpoint.isakmp_sas()[-1], pair.now)
    pair.collect()


def short(connection):
    children = (replace(connection.children[0], lifetime=SHORT),)
    return replace(
        connection,
        children=children,
        dpd=QUIET,
        rekeying=Rekeying.ANY,
        phase1=Phase1(lifetime=SHORT),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=40), st.integers(0, 1000))
def test_both_ends_agree_after_any_schedule_that_comes_to_rest(actions, seed):
    pair = Pair(short(seil()), short(swan()), seed=seed)
    pair.initiate()
    for action in actions:
        act(pair, action)
    pair.run(2000)
    # Everything that was lost is repeated, and everything superseded is deleted or expires.
    pair.advance(400)
    if not pair.a.sas or not pair.b.sas:
        pair.initiate()
        pair.advance(400)
    pair.advance(700)
    assert pair.a.sas
    assert mirrored(pair.a, pair.b)
    assert pair.a.endpoint.half_open == pair.b.endpoint.half_open == 0
