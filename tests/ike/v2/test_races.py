# SPDX-License-Identifier: GPL-2.0-or-later
"""Rekeys that meet other exchanges: every case, over every order of the four nonces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payloads_v2 import Delete, KeyExchange, Nonce, Notify
from harness.ike.v2.connection import ChildConfig
from harness.ike.v2.events import (
    ChildSaFailed,
    ChildSaRemoved,
    IkeSaClosed,
    IkeSaEstablished,
    Reason,
    ScriptedResponse,
)
from harness.ike.v2.script import Script
from harness.ike.v2.suites import ike_offer
from tests.ike.v2.pair import (
    ECP_256,
    ESP_PFS,
    MOON,
    MOON_NET,
    NET,
    NET_MIRRORED,
    SUN_NET,
    X25519,
    Pair,
    nonces,
    seeded,
)

ORDERS = list(permutations((1, 2, 3, 4)))
Chosen = tuple[int, int, int, int]
Case = Callable[[Pair], None]


def raced(
    order: Chosen, child_moon: ChildConfig = NET, child_sun: ChildConfig = NET_MIRRORED
) -> Pair:
    """A pair that is up, whose next nonces are in that order.

    `order` ranks moon's Ni, moon's Nr, sun's Ni and sun's Nr; a rank is the nonce's first octet.
    """
    moon_i, moon_r, sun_i, sun_r = (bytes([rank]) * 32 for rank in order)
    spare = [bytes([9]) * 32]
    first = [bytes([8]) * 32]
    return Pair(
        (replace(MOON_NET, children=(child_moon,)),),
        (replace(SUN_NET, children=(child_sun,)),),
        draws=(
            nonces(seeded(3), *first, moon_i, moon_r, *spare),
            nonces(seeded(4), *first, sun_i, sun_r, *spare),
        ),
    ).up()


def loser(order: Chosen) -> str:
    """Whose exchange has the lowest nonce: moon's has moon's Ni and sun's Nr."""
    moon_i, moon_r, sun_i, sun_r = order
    return "moon" if min(moon_i, sun_r) < min(sun_i, moon_r) else "sun"


def rekey_child(pair: Pair, *names: str) -> None:
    for name in names:
        end = getattr(pair, name)
        end.endpoint.commands.rekey_child(end.ike, end.child.inbound_spi, pair.now)
    pair.collect()


def rekey_ike(pair: Pair, *names: str) -> None:
    for name in names:
        end = getattr(pair, name)
        end.endpoint.commands.rekey_ike(end.ike, pair.now)
    pair.collect()


def check_one_child(pair: Pair, old: bytes) -> None:
    """One CHILD_SA at each end, another than before, used in both directions."""
    pair.rest()
    pair.agree()
    assert pair.moon.child.inbound_spi != old


@pytest.mark.parametrize("order", ORDERS)
class TestTwoChildRekeys:
    def test_leave_the_one_without_the_lowest_nonce(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        pair.settle()
        check_one_child(pair, old)
        assert pair.moon.child.initiator == (loser(order) == "sun")
        (redundant,) = [
            event
            for end in (pair.moon, pair.sun)
            for event in end.events(ChildSaRemoved)
            if event.reason is Reason.REDUNDANT
        ]
        assert redundant.child.initiator

    def test_settle_when_one_response_is_late(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        pair.deliver()
        pair.deliver()
        late = pair.hold("sun", response=True)
        pair.settle()
        pair.deliver(late)
        check_one_child(pair, old)
        assert pair.moon.child.initiator == (loser(order) == "sun")

    def test_settle_when_one_response_is_lost(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        pair.deliver()
        pair.deliver()
        pair.drop("sun", response=True)
        check_one_child(pair, old)

    def test_settle_when_a_request_comes_after_the_other_rekey(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        late = pair.hold("sun", response=False)
        pair.deliver()
        pair.deliver()
        pair.deliver(late)
        check_one_child(pair, old)
        assert pair.moon.child.initiator

    def test_settle_when_a_request_comes_after_the_delete(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        late = pair.hold("sun", response=False)
        pair.settle()
        pair.deliver(late)
        check_one_child(pair, old)
        assert pair.moon.child.initiator

    def test_settle_when_a_request_is_lost(self, order: Chosen) -> None:
        pair = raced(order)
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        pair.drop("sun", response=False)
        check_one_child(pair, old)

    @pytest.mark.parametrize("held", ["", "retry"])
    def test_settle_when_one_side_must_choose_another_group(self, order: Chosen, held: str) -> None:
        both = replace(ESP_PFS, groups=(ECP_256, X25519))
        only = replace(ESP_PFS, groups=(X25519,))
        pair = raced(
            order, replace(NET, proposals=(both,)), replace(NET_MIRRORED, proposals=(only,))
        )
        old = pair.moon.child.inbound_spi
        rekey_child(pair, "moon", "sun")
        if held:
            pair.deliver()  # moon's request, which gets INVALID_KE_PAYLOAD
            sun_request = pair.hold("sun", response=False)
            pair.deliver()  # that answer, so that moon tries again
            retry = pair.hold("moon", response=False)
            pair.deliver(sun_request)
            pair.settle()
            pair.deliver(retry)
        check_one_child(pair, old)

    def test_never_switch_traffic_to_an_sa_that_the_peer_lacks(self, order: Chosen) -> None:
        pair = raced(order)
        rekey_child(pair, "moon", "sun")
        while pair.collect():
            pair.deliver()
            for sender, receiver in ((pair.moon, pair.sun), (pair.sun, pair.moon)):
                inbound = {child.inbound_spi for child in receiver.children()}
                usable = [
                    record.sa.outbound_spi
                    for sa in sender.endpoint.all_sas()
                    for record in sa.children
                    if not record.held and record.sa.outbound_spi in inbound
                ]
                assert usable


@pytest.mark.parametrize("order", ORDERS)
class TestTwoIkeRekeys:
    def test_leave_the_one_without_the_lowest_nonce(self, order: Chosen) -> None:
        pair = raced(order)
        child = pair.moon.child
        old = pair.moon.ike
        rekey_ike(pair, "moon", "sun")
        pair.settle()
        pair.rest()
        pair.agree()
        assert pair.moon.ike != old
        assert pair.moon.child == child
        (sa,) = [one for one in pair.moon.endpoint.all_sas() if one.spi == pair.moon.ike]
        assert sa.initiator == (loser(order) == "sun")
        assert [event.rekeyed for event in pair.moon.events(IkeSaEstablished)] == [None, old]

    @pytest.mark.parametrize("lost", [False, True])
    def test_settle_when_one_response_is_late(self, order: Chosen, lost: bool) -> None:
        pair = raced(order)
        old = pair.moon.ike
        rekey_ike(pair, "moon", "sun")
        pair.deliver()
        pair.deliver()
        late = pair.hold("sun", response=True)
        pair.settle()
        if not lost:
            pair.deliver(late)
        pair.rest()
        pair.agree()
        assert pair.moon.ike != old
        assert pair.moon.child

    @pytest.mark.parametrize("lost", [False, True])
    @pytest.mark.parametrize("after_delete", [False, True])
    def test_settle_when_one_request_is_late(
        self, order: Chosen, lost: bool, after_delete: bool
    ) -> None:
        pair = raced(order)
        old = pair.moon.ike
        rekey_ike(pair, "moon", "sun")
        late = pair.hold("sun", response=False)
        pair.deliver()
        pair.deliver()
        if after_delete:
            pair.settle()
        if not lost:
            pair.deliver(late)
        pair.rest()
        pair.agree()
        assert pair.moon.ike != old
        assert pair.moon.child

    def test_settle_when_one_side_must_choose_another_group(self, order: Chosen) -> None:
        pair = raced(order)
        for end, groups in ((pair.moon, (ECP_256, X25519)), (pair.sun, (X25519,))):
            (sa,) = end.endpoint.all_sas()
            proposal = replace(sa.connection.proposals[0], groups=groups)
            sa.connection = replace(sa.connection, proposals=(proposal,))
            assert sa.keys is not None
            sa.envelope.keys = replace(sa.keys, suite=replace(sa.keys.suite, group=None))
        old = pair.moon.ike
        rekey_ike(pair, "moon", "sun")
        pair.settle()
        pair.rest()
        pair.agree()
        assert pair.moon.ike != old
        assert pair.moon.child


LOST = ["nothing", "rekey", "delete", "rekey response", "delete response"]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("first", ["moon", "sun"])
def test_a_child_rekey_against_a_delete_leaves_no_child(lost: str, first: str) -> None:
    pair = raced((1, 2, 3, 4))
    rekey_child(pair, "moon")
    pair.sun.endpoint.commands.delete_child(pair.sun.ike, pair.sun.child.inbound_spi, pair.now)
    lose(pair, lost, first)
    pair.rest()
    pair.agree()
    assert not pair.moon.children()


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("first", ["moon", "sun"])
def test_an_ike_rekey_against_a_delete_leaves_nothing(lost: str, first: str) -> None:
    pair = raced((1, 2, 3, 4))
    rekey_ike(pair, "moon")
    pair.sun.endpoint.commands.delete_ike(pair.sun.ike, pair.now)
    lose(pair, lost, first)
    pair.rest()
    pair.agree()
    assert not pair.moon.ike_sas()
    assert not pair.moon.children()


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("first", ["moon", "sun"])
def test_a_child_rekey_against_an_ike_rekey_does_both(lost: str, first: str) -> None:
    pair = raced((1, 2, 3, 4))
    old_ike, old_child = pair.moon.ike, pair.moon.child.inbound_spi
    rekey_child(pair, "moon")
    rekey_ike(pair, "sun")
    lose(pair, lost, first)
    pair.rest()
    pair.agree()
    assert pair.moon.ike != old_ike
    assert pair.moon.child.inbound_spi != old_child


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("first", ["moon", "sun"])
def test_a_child_rekey_against_a_delete_of_the_ike_sa_leaves_nothing(lost: str, first: str) -> None:
    pair = raced((1, 2, 3, 4))
    rekey_child(pair, "moon")
    pair.sun.endpoint.commands.delete_ike(pair.sun.ike, pair.now)
    lose(pair, lost, first)
    pair.rest()
    pair.agree()
    assert not pair.moon.ike_sas()
    assert not pair.moon.children()


def lose(pair: Pair, lost: str, first: str) -> None:
    """Lose one of the four messages of two crossing exchanges: moon's rekey, sun's delete."""
    if lost == "rekey":
        pair.drop("moon", response=False)
    elif lost == "delete":
        pair.drop("sun", response=False)
    elif lost.endswith("response"):
        moon, sun = pair.hold("moon", response=False), pair.hold("sun", response=False)
        for letter in (moon, sun) if first == "moon" else (sun, moon):
            pair.deliver(letter)
        pair.drop("sun" if lost == "rekey response" else "moon", response=True)


def test_a_rekey_of_a_child_that_the_responder_lost_makes_a_new_one() -> None:
    pair = raced((1, 2, 3, 4))
    (sa,) = pair.sun.endpoint.all_sas()
    (record,) = sa.children
    sa.remove_child(record, Reason.REQUESTED)
    rekey_child(pair, "moon")
    pair.rest()
    pair.agree()
    assert [event.reason for event in pair.moon.events(ChildSaRemoved)] == [Reason.NOT_FOUND]


def test_a_child_rekey_begun_by_the_responder_works_as_well() -> None:
    pair = raced((1, 2, 3, 4))
    old = pair.moon.child.inbound_spi
    rekey_child(pair, "sun")
    check_one_child(pair, old)
    assert pair.sun.child.initiator


def test_both_initiating_at_once_makes_two_ike_sas_that_both_know() -> None:
    pair = Pair(sun=(replace(SUN_NET, remote=MOON),))
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.sun.endpoint.commands.initiate("gw", 0.0)
    pair.rest()
    assert len(pair.moon.ike_sas()) == len(pair.sun.ike_sas())
    pair.agree()


def test_a_delete_that_is_answered_with_another_spi_is_still_done() -> None:
    script = Script()
    pair = Pair(seams=(None, script)).up()
    old = pair.moon.child.inbound_spi
    script.received(exchange=ExchangeType.INFORMATIONAL).answer(Delete(3, (b"none",)))
    rekey_child(pair, "moon")
    pair.settle()
    assert len(pair.moon.children()) == 1
    assert len(pair.sun.children()) == 2
    # Sun waits for the delete of the old one for a while, and then closes it itself.
    check_one_child(pair, old)


def test_a_delete_without_an_answer_ends_the_ike_sa() -> None:
    script = Script()
    pair = Pair(seams=(None, script)).up()
    script.sent(exchange=ExchangeType.INFORMATIONAL, times=99).drop()
    rekey_child(pair, "moon")
    pair.settle()
    while pair.moon.ike_sas() and pair.pass_deadline():
        pair.settle()
    assert [event.reason for event in pair.moon.events(IkeSaClosed)] == [Reason.TIMEOUT]
    assert not pair.moon.children()


def test_a_rekey_that_has_to_wait_is_tried_again() -> None:
    script = Script()
    pair = Pair(seams=(None, script)).up()
    old = pair.moon.child.inbound_spi
    busy = Notify(NotifyType.TEMPORARY_FAILURE)
    script.received(exchange=ExchangeType.CREATE_CHILD_SA, times=2).answer(busy)
    rekey_child(pair, "moon")
    pair.settle()
    assert pair.moon.child.inbound_spi == old
    check_one_child(pair, old)
    assert pair.now >= 6
    assert not pair.moon.events(ChildSaFailed)


def test_a_link_that_bounces_during_a_rekey_is_survived() -> None:
    pair = raced((1, 2, 3, 4))
    old = pair.moon.child.inbound_spi
    rekey_child(pair, "moon", "sun")
    pair.deliver()
    pair.translate = lambda datagram: None
    pair.settle()
    for _ in range(4):
        pair.pass_deadline()
        pair.settle()
    pair.translate = lambda datagram: datagram
    check_one_child(pair, old)


def test_a_delete_before_the_response_that_made_the_child_leaves_none() -> None:
    pair = raced((1, 2, 3, 4))
    rekey_child(pair, "moon")
    pair.deliver()
    late = pair.hold("sun", response=True)
    new = pair.sun.children()[-1].inbound_spi
    pair.sun.endpoint.commands.delete_child(pair.sun.ike, new, pair.now)
    pair.settle()
    pair.deliver(late)
    pair.rest()
    pair.agree()
    assert not pair.moon.children()


def test_an_ike_sa_that_the_peer_uses_has_taken_over() -> None:
    pair = raced((1, 2, 3, 4))
    old = pair.moon.child.inbound_spi
    rekey_ike(pair, "moon", "sun")
    late = pair.hold("sun", response=False)
    pair.deliver()
    rekey_child(pair, "moon")  # waits, and is the first request in the new IKE SA
    pair.settle()
    pair.deliver(late)
    check_one_child(pair, old)
    assert not [one for one in pair.moon.events(ChildSaRemoved) if one.reason is Reason.NOT_FOUND]


def test_a_child_rekey_while_an_ike_rekey_lacks_its_last_key_exchange_is_not_lost() -> None:
    hybrid = replace(MOON_NET.proposals[0], additional=((ECP_256,),))
    pair = Pair(
        (replace(MOON_NET, proposals=(hybrid,)),), (replace(SUN_NET, proposals=(hybrid,)),)
    ).up()
    old_ike, old = pair.moon.ike, pair.moon.child.inbound_spi
    rekey_ike(pair, "moon")
    pair.deliver()
    rekey_child(pair, "sun")
    check_one_child(pair, old)
    assert pair.moon.ike != old_ike


def test_a_request_that_overtakes_the_response_to_an_ike_rekey_waits_for_it() -> None:
    pair = raced((1, 2, 3, 4))
    old = pair.moon.child.inbound_spi
    rekey_ike(pair, "moon")
    pair.deliver()
    late = pair.hold("sun", response=True)
    new = next(sa.spi for sa in pair.sun.endpoint.all_sas() if sa.alive)
    child = pair.sun.child.inbound_spi
    pair.sun.endpoint.commands.rekey_child(new, child, pair.now)
    pair.settle()
    pair.deliver(late)
    pair.settle()
    pair.agree()
    assert pair.moon.child.inbound_spi != old
    assert pair.now == 0


def test_a_peer_cannot_make_ike_sas_without_end_in_one_collision() -> None:
    pair = raced((1, 2, 3, 4))
    rekey_ike(pair, "sun")
    pair.hold("sun", response=False)
    for number in range(5):
        offer = ike_offer(MOON_NET.proposals, b"new-spi%d" % number)
        payloads = [offer, Nonce(bytes([5]) * 32), KeyExchange(X25519.id, bytes([9]) + bytes(31))]
        pair.moon.endpoint.commands.exchange(
            pair.moon.ike, ExchangeType.CREATE_CHILD_SA, payloads, pair.now
        )
        pair.settle()
    answers = [one.payloads for one in pair.moon.events(ScriptedResponse)]
    assert answers[1:] == [(Notify(NotifyType.TEMPORARY_FAILURE),)] * 4
    assert len(pair.sun.endpoint.all_sas()) == 2
