# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages in fragments (RFC 7383) and key exchanges that need them (RFC 9242, RFC 9370)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import RawPayload
from harness.ike.payloads_v2 import KeyExchange, Notify
from harness.ike.transforms import key_exchange
from harness.ike.v2.connection import Connection, Settings
from harness.ike.v2.events import (
    IkeKeysDerived,
    InitiationFailed,
    NotifyReceived,
    PeerAlive,
    ScriptedResponse,
)
from harness.ike.v2.fragments import MOST_OCTETS, Reassembly, Whole
from harness.ike.v2.suites import IkeProposal
from tests.ike.v2.pair import (
    ECP_256,
    ESP_PFS,
    IKE,
    MOON_NET,
    NET,
    NET_MIRRORED,
    SUN_NET,
    X25519,
    Pair,
)

ML_KEM_768, ML_KEM_1024 = key_exchange("ML_KEM_768"), key_exchange("ML_KEM_1024")
HYBRID = replace(IKE, additional=((ML_KEM_768,),))


def with_proposal(*proposals: IkeProposal) -> tuple[Connection, Connection]:
    return replace(MOON_NET, proposals=proposals), replace(SUN_NET, proposals=proposals)


def hybrid(mine: IkeProposal = HYBRID, yours: IkeProposal = HYBRID, **more: object) -> Pair:
    return Pair(with_proposal(mine)[:1], with_proposal(yours)[1:], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "additional",
    [((ML_KEM_768,),), ((ML_KEM_1024,), (ECP_256,)), ((None, ML_KEM_768),)],
    ids=["one", "two", "none preferred"],
)
def test_more_key_exchanges_bring_an_ike_sa_up(additional: tuple[object, ...]) -> None:
    proposal = replace(IKE, additional=additional)
    pair = hybrid(proposal, proposal).up()
    pair.agree()
    methods = sum(1 for one in additional if one[0] is not None)  # type: ignore[index]
    assert len(pair.moon.events(IkeKeysDerived)) == 1 + methods
    assert pair.moon.events(IkeKeysDerived)[-1].secrets == (
        pair.sun.events(IkeKeysDerived)[-1].secrets
    )


def test_a_large_key_exchange_comes_in_fragments_and_whole_where_they_are_off() -> None:
    pair = hybrid()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.deliver()
    pair.deliver()
    assert len(pair.collect()) == 2
    assert {letter.message.first_payload for letter in pair.queue} == {53}
    pair.settle()
    pair.agree()
    hybrid(settings=Settings(fragment_size=0)).up().agree()


@pytest.mark.parametrize("lost", range(6))
def test_each_datagram_of_a_hybrid_handshake_may_be_lost(lost: int) -> None:
    pair = hybrid()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    for _ in range(lost):
        pair.deliver()
    pair.collect()
    pair.queue.pop(0)
    pair.rest(within=20)
    pair.agree()
    assert pair.moon.child


def test_a_peer_without_intermediate_exchanges_is_met_with_a_plain_proposal() -> None:
    mine, _ = with_proposal(HYBRID, IKE)
    pair = Pair((mine,), (SUN_NET,)).up()
    pair.agree()
    assert not pair.moon.events(IkeKeysDerived)[0].suite.additional


def test_a_hybrid_proposal_alone_is_refused_by_a_peer_without_it() -> None:
    pair = hybrid(HYBRID, IKE).up()
    assert pair.moon.events(InitiationFailed)[0].notify == NotifyType.NO_PROPOSAL_CHOSEN


def test_leaving_out_an_agreed_key_exchange_fails() -> None:
    pair = hybrid()
    pair.moon.endpoint.commands.initiate("gw", 0.0)
    pair.deliver()
    pair.collect()
    (sa,) = pair.moon.endpoint.all_sas()
    letter = pair.hold("sun")
    pair.deliver(letter)
    pair.collect()
    pair.queue.clear()
    sa.requests.withdraw()
    sa.advance(0.0)  # IKE_AUTH, which waited for IKE_INTERMEDIATE
    pair.settle()
    assert not pair.sun.ike_sas()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_fragments_may_come_in_any_order(order: tuple[int, ...]) -> None:
    parts = [(1, 35, b"one "), (2, 0, b"two "), (3, 0, b"three")]
    reassembly = Reassembly()
    found = [
        reassembly.add(7, number, 3, kind, octets)
        for number, kind, octets in (parts[n] for n in order)
    ]
    assert found == [None, None, Whole(35, b"one two three")]


def test_doubled_late_and_impossible_fragments_are_ignored() -> None:
    reassembly = Reassembly()
    assert reassembly.add(1, 1, 2, 35, b"a") is None
    assert reassembly.add(1, 1, 2, 35, b"other") is None
    assert reassembly.add(1, 0, 2, 0, b"x") is None
    assert reassembly.add(1, 3, 2, 0, b"x") is None
    assert reassembly.add(1, 1, 3, 35, b"1") is None  # cut again in smaller pieces
    assert reassembly.add(1, 2, 2, 0, b"b") is None
    assert reassembly.add(1, 2, 3, 0, b"2") is None
    assert reassembly.add(1, 3, 3, 0, b"3") == Whole(35, b"123")


def test_fragments_never_take_more_than_a_message() -> None:
    reassembly = Reassembly()
    for number in range(1, 5000):
        assert reassembly.add(1, number, 65_535, 0, bytes(1000)) is None
        assert sum(map(len, reassembly._parts.values())) <= MOST_OCTETS


def test_any_exchange_is_cut_where_it_is_too_long() -> None:
    pair = Pair().up()
    long = Notify(40_000, bytes(4000))
    pair.moon.endpoint.commands.exchange(pair.moon.ike, ExchangeType.INFORMATIONAL, [long], 0.0)
    assert len(pair.collect()) == 4
    assert all(len(letter.datagram.data) + 48 <= 1280 for letter in pair.queue)
    pair.queue.reverse()
    pair.settle()
    assert pair.sun.events(NotifyReceived)[0].data == long.data
    pair.agree()


def test_fragments_need_both_ends() -> None:
    pair = Pair()
    pair.sun.endpoint.settings = Settings(fragment_size=0)
    pair.up()
    pair.moon.endpoint.commands.exchange(
        pair.moon.ike, ExchangeType.INFORMATIONAL, [RawPayload(200, bytes(4000))], 0.0
    )
    (letter,) = pair.collect()
    assert letter.message.exchange == ExchangeType.INFORMATIONAL
    assert letter.message.first_payload == 46


TWICE = replace(ESP_PFS, additional=((ML_KEM_768,), (ECP_256,)))


def hybrid_children() -> Pair:
    mine, yours = with_proposal(HYBRID)
    mine = replace(mine, children=(replace(NET, proposals=(TWICE,)),))
    yours = replace(yours, children=(replace(NET_MIRRORED, proposals=(TWICE,)),))
    return Pair((mine,), (yours,)).up()


@pytest.mark.parametrize("names", [("moon",), ("sun",), ("moon", "sun")])
def test_a_child_rekey_with_more_key_exchanges_ends_with_one_child(names: tuple[str, ...]) -> None:
    pair = hybrid_children()
    old = pair.moon.child.inbound_spi
    for name in names:
        end = getattr(pair, name)
        end.endpoint.commands.rekey_child(end.ike, end.child.inbound_spi, 0.0)
    pair.rest()
    pair.agree()
    assert pair.moon.child.inbound_spi != old
    assert len(pair.moon.child.suite.additional) == 2


@pytest.mark.parametrize("names", [("moon",), ("sun",), ("moon", "sun")])
def test_an_ike_rekey_with_more_key_exchanges_ends_with_one_ike_sa(names: tuple[str, ...]) -> None:
    pair = hybrid_children()
    old = pair.moon.ike
    for name in names:
        end = getattr(pair, name)
        end.endpoint.commands.rekey_ike(end.ike, 0.0)
    pair.rest()
    pair.agree()
    assert pair.moon.ike != old
    (sa,) = [one for one in pair.moon.endpoint.all_sas() if one.spi == pair.moon.ike]
    (other,) = [one for one in pair.sun.endpoint.all_sas() if one.spi == pair.sun.ike]
    assert sa.keys is not None
    assert other.keys is not None
    assert sa.keys.keys == other.keys.keys
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, pair.now)
    pair.settle()
    assert pair.moon.events(PeerAlive)


def test_a_followup_that_belongs_to_nothing_is_refused() -> None:
    pair = hybrid_children()
    link = Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, b"?")
    pair.moon.endpoint.commands.exchange(
        pair.moon.ike, ExchangeType.IKE_FOLLOWUP_KE, [KeyExchange(36, bytes(1184)), link], 0.0
    )
    pair.settle()
    (answer,) = pair.moon.events(ScriptedResponse)
    assert answer.payloads == (Notify(NotifyType.STATE_NOT_FOUND),)
    pair.agree()


def test_a_child_of_a_hybrid_ike_sa_is_rekeyed_without_more_key_exchanges() -> None:
    pair = hybrid(replace(HYBRID, groups=(X25519,))).up()
    old = pair.moon.child
    pair.moon.endpoint.commands.rekey_child(pair.moon.ike, old.inbound_spi, 0.0)
    pair.settle()
    pair.agree()
    assert pair.moon.child.inbound_spi != old.inbound_spi
    assert not pair.moon.child.suite.additional
