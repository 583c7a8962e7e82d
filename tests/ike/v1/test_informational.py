# SPDX-License-Identifier: GPL-2.0-or-later
"""Deletes, dead peer detection, INITIAL-CONTACT and notifies."""

import pytest

from harness.ike.constants_v1 import ExchangeType, NotifyType, ProtocolId
from harness.ike.payloads_v1 import Delete, Notification
from harness.ike.v1.configuration import DeadPeerDetection
from harness.ike.v1.events import (
    IpsecSaRemoved,
    IsakmpSaClosed,
    IsakmpSaEstablished,
    NotifyReceived,
    PeerAlive,
)
from harness.ike.v1.reasons import Reason
from tests.ike.v1.opened import Transcript
from tests.ike.v1.pair import Pair, seil, swan

INFORMATIONAL = ExchangeType.INFORMATIONAL


def cookies(pair: Pair) -> bytes:
    established = pair.a.of(IsakmpSaEstablished)[0]
    return established.cookie_i + established.cookie_r


@pytest.mark.parametrize("end", ["a", "b"])
def test_a_shutdown_deletes_esp_first_and_then_isakmp(end):
    pair = Pair()
    pair.up()
    here, there = (pair.a, pair.b) if end == "a" else (pair.b, pair.a)
    spi = here.sas[0].inbound_spi
    transcript = Transcript(here)
    here.endpoint.shut_down(pair.now)
    pair.run()
    (esp,), (isakmp,) = transcript.payloads(INFORMATIONAL)
    assert esp == Delete(ProtocolId.IPSEC_ESP, (spi,))
    assert isakmp == Delete(ProtocolId.ISAKMP, (cookies(pair),))
    # The sizes of the seed's two deletes.
    assert pair.sizes[-2:] == [92, 108]
    assert there.only(IpsecSaRemoved).reason is Reason.DELETED_BY_PEER
    assert there.only(IsakmpSaClosed).reason is Reason.DELETED_BY_PEER
    assert here.only(IsakmpSaClosed).reason is Reason.REQUESTED
    assert not pair.a.sas + pair.b.sas
    assert pair.a.endpoint.deadline() is pair.b.endpoint.deadline() is None


def test_a_delete_in_clear_deletes_nothing():
    pair = Pair()
    pair.up()
    isakmp = pair.a.endpoint.isakmp_sas()[0]
    outbound = pair.a.sas[0].inbound_spi
    payloads = (
        Delete(ProtocolId.IPSEC_ESP, (outbound,)),
        Delete(ProtocolId.ISAKMP, (cookies(pair),)),
        Notification(NotifyType.INITIAL_CONTACT, b"", 1, cookies(pair)),
        Notification(NotifyType.NO_PROPOSAL_CHOSEN, b"", 1, cookies(pair)),
    )
    pair.a.endpoint.send(isakmp, INFORMATIONAL, payloads, pair.now, protected=False)
    pair.run()
    assert len(pair.b.sas) == 1
    assert not pair.b.of(IsakmpSaClosed)
    found = [one for one in pair.b.of(NotifyReceived) if not one.protected]
    assert [one.notify for one in found] == [24578, 14]


def test_a_delete_names_only_the_sas_with_that_peer():
    pair = Pair()
    pair.up()
    isakmp = pair.a.endpoint.isakmp_sas()[0]
    stranger = Delete(ProtocolId.IPSEC_ESP, (b"\xff\xff\xff\xff",))
    pair.a.endpoint.send(isakmp, INFORMATIONAL, (stranger,), pair.now)
    pair.run()
    assert len(pair.b.sas) == 1


def test_r_u_there_goes_every_twenty_seconds_and_is_answered_with_its_sequence():
    pair = Pair(b=swan(dpd=DeadPeerDetection(interval=0)))
    pair.up()
    asked, answered = Transcript(pair.a), Transcript(pair.b)
    start = pair.now
    pair.advance(61)
    questions = [one for (one,) in asked.payloads(INFORMATIONAL)]
    answers = [one for (one,) in answered.payloads(INFORMATIONAL)]
    assert [one.notify_type for one in questions] == [36136] * 3
    assert [one.notify_type for one in answers] == [36137] * 3
    numbers = [int.from_bytes(one.data, "big") for one in questions]
    assert numbers == [int.from_bytes(one.data, "big") for one in answers]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert {one.spi for one in questions} == {cookies(pair)}
    assert [event.sequence for event in pair.a.of(PeerAlive)] == numbers
    # The size of the seed's, and its period.
    assert pair.sizes[-6:] == [108] * 6
    assert pair.a.endpoint.deadline() == start + 80


def test_a_dead_peer_is_found_its_sas_removed_and_told_all_the_same():
    policy = DeadPeerDetection(interval=20, retry=5, limit=3)
    pair = Pair(a=seil(dpd=policy))
    pair.up()
    asked = Transcript(pair.a)
    start = pair.now
    while pair.now < start + 40:
        pair.advance(1, run=False)
        pair.queue.clear()
    sent = [one for (one,) in asked.payloads(INFORMATIONAL)]
    assert [getattr(one, "notify_type", "delete") for one in sent] == [36136] * 3 + ["delete"] * 2
    assert len({one.data for one in sent[:3]}) == 1
    assert pair.a.only(IpsecSaRemoved).reason is Reason.DEAD_PEER
    assert pair.a.only(IsakmpSaClosed).reason is Reason.DEAD_PEER
    assert pair.a.endpoint.deadline() is None


def test_an_old_answer_is_no_life_sign():
    pair = Pair(b=swan(dpd=DeadPeerDetection(interval=0)))
    pair.up()
    pair.advance(20)
    assert len(pair.a.of(PeerAlive)) == 1
    isakmp = pair.b.endpoint.isakmp_sas()[0]
    for number in (0, pair.a.only(PeerAlive).sequence):
        answer = Notification(36137, number.to_bytes(4, "big"), 1, cookies(pair))
        pair.b.endpoint.send(isakmp, INFORMATIONAL, (answer,), pair.now)
    pair.run()
    assert len(pair.a.of(PeerAlive)) == 1


def test_a_peer_that_comes_back_after_a_crash_makes_the_other_forget_it():
    pair = Pair()
    pair.up()
    old = pair.b.sas[0]
    pair.advance(1)
    fresh = Pair(seed=99)
    pair.a = fresh.a
    pair.initiate()
    pair.run()
    removed = pair.b.only(IpsecSaRemoved)
    assert (removed.sa, removed.reason) == (old, Reason.INITIAL_CONTACT)
    assert pair.b.only(IsakmpSaClosed).reason is Reason.INITIAL_CONTACT
    assert len(pair.b.sas) == len(pair.b.endpoint.isakmp_sas()) == 1


def test_a_second_isakmp_sa_says_no_initial_contact():
    pair = Pair()
    pair.up()
    transcript = Transcript(pair.a)
    pair.a.endpoint.rekey_isakmp(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert not transcript.payloads(INFORMATIONAL)
    assert len(pair.b.sas) == 1


def test_a_replayed_informational_is_taken_once():
    pair = Pair()
    pair.up()
    isakmp = pair.a.endpoint.isakmp_sas()[0]
    notify = Notification(NotifyType.R_U_THERE, bytes(4), 1, cookies(pair))
    pair.a.endpoint.send(isakmp, INFORMATIONAL, (notify,), pair.now)
    pair.collect()
    datagram = pair.queue[0]
    pair.run()
    before = len(pair.sent)
    pair.deliver(datagram)
    pair.run()
    assert len(pair.sent) == before


def test_what_is_not_known_by_name_is_refused_in_a_sentence():
    pair = Pair()
    with pytest.raises(LookupError, match="there is no connection 'x'; there is seil"):
        pair.a.endpoint.initiate("x", None, 0)
    with pytest.raises(LookupError, match="has no child 'x'; it has lan"):
        pair.a.endpoint.initiate("seil", "x", 0)
    with pytest.raises(LookupError, match="no ISAKMP SA with the own cookie 00"):
        pair.a.endpoint.delete(bytes(8), 0)
    with pytest.raises(LookupError, match="no IPsec SA with the inbound SPI 00"):
        pair.a.endpoint.rekey_child(bytes(4), 0)
    only = Pair(a=seil(responder_only=True))
    with pytest.raises(ValueError, match="responder-only; let the peer initiate"):
        only.a.endpoint.initiate("seil", "lan", 0)
    only.initiate(end=only.b)
    only.run()
    assert only.a.sas
