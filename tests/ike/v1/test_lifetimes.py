# SPDX-License-Identifier: GPL-2.0-or-later
"""Lifetimes in seconds and kilobytes, and the rekeying before they end."""

from dataclasses import replace

import pytest

from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType, ProtocolId
from harness.ike.payloads_v1 import Notification
from harness.ike.script import ALWAYS, with_header
from harness.ike.v1.configuration import Lifetime, Phase1, Rekeying
from harness.ike.v1.events import (
    IpsecSaInstalled,
    IpsecSaRemoved,
    IsakmpSaClosed,
    IsakmpSaEstablished,
    OutboundSwitched,
)
from harness.ike.v1.hub import COMMITTED_AFTER, SWITCH_AFTER
from harness.ike.v1.ipsec_sa import IpsecSa
from harness.ike.v1.reasons import Reason
from tests.ike.v1.pair import Pair, mirrored, seil, swan

MINUTE = Phase1(lifetime=Lifetime(60))


def living(connection, **lifetime):
    return {"children": (replace(connection.children[0], lifetime=Lifetime(**lifetime)),)}


def moments(pair: Pair, end, kind, seconds: float) -> list[float]:
    """When, after now, something happened."""
    start, found, seen = pair.now, [], len(end.of(kind))
    while pair.now < start + seconds:
        pair.advance(0.5)
        found += [pair.now - start] * (len(end.of(kind)) - seen)
        seen = len(end.of(kind))
    return found


def test_a_phase_1_of_sixty_seconds_is_followed_after_forty_eight():
    pair = Pair(seil(phase1=MINUTE), swan(phase1=MINUTE))
    pair.up()
    assert moments(pair, pair.a, IsakmpSaEstablished, 150) == [48.0, 96.0, 144.0]
    later = pair.a.of(IsakmpSaEstablished)
    assert [one.replaces for one in later[1:]] == [one.isakmp for one in later[:-1]]
    closed = pair.a.of(IsakmpSaClosed)
    assert [one.isakmp for one in closed] == [one.isakmp for one in later[:2]]
    assert {one.reason for one in closed} == {Reason.EXPIRED}
    # The IPsec SAs outlive the ISAKMP SA that made them.
    assert not pair.a.of(IpsecSaRemoved) + pair.b.of(IpsecSaRemoved)
    assert len(pair.a.endpoint.isakmp_sas()) == len(pair.b.endpoint.isakmp_sas()) == 2


def test_a_phase_2_of_sixty_seconds_is_followed_after_forty_eight():
    pair = Pair(seil(**living(seil(), seconds=60)), swan())
    pair.up()
    assert moments(pair, pair.a, IpsecSaInstalled, 150) == [48.0, 96.0, 144.0]
    assert len(pair.a.of(IsakmpSaEstablished)) == 1
    removed = pair.a.of(IpsecSaRemoved)
    assert [one.reason for one in removed] == [Reason.SUPERSEDED] * 3
    assert [one.reason for one in pair.b.of(IpsecSaRemoved)] == [Reason.DELETED_BY_PEER] * 3
    pair.advance(5)
    assert len(pair.a.sas) == len(pair.b.sas) == 1
    assert mirrored(pair.a, pair.b)


def test_what_is_superseded_is_deleted_in_time_though_others_follow_sooner():
    pair = Pair()
    pair.up()
    for _ in range(10):
        pair.advance(2)
        pair.a.endpoint.rekey_child(pair.a.sas[-1].inbound_spi, pair.now)
        pair.run()
    # It is kept for five seconds: at most the last three are there, and the one that counts.
    assert len(pair.a.of(IpsecSaRemoved)) >= 7
    assert len(pair.a.sas) <= 4
    assert mirrored(pair.a, pair.b)


def test_what_is_replaced_already_is_not_replaced_again():
    pair = Pair()
    pair.up()
    first = pair.a.sas[0].inbound_spi
    for _ in range(2):
        pair.a.endpoint.rekey_child(first, pair.now)
        pair.run()
    assert len(pair.a.of(IpsecSaInstalled)) == 2
    assert len(pair.a.sas) == 2


def test_there_is_a_complete_sa_at_every_moment_of_ten_rekeys():
    pair = Pair(seil(**living(seil(), seconds=60)), swan())
    pair.up()
    for _ in range(500):
        pair.advance(1)
        inbound = {sa.inbound_spi for sa in pair.b.sas}
        assert {sa.outbound_spi for sa in pair.a.sas} & inbound
    assert len(pair.a.of(IpsecSaInstalled)) >= 11


def test_who_replaces_an_sa_sends_with_the_old_one_until_the_peer_has_had_time():
    pair = Pair()
    pair.up()
    first, *_ = pair.a.of(IpsecSaInstalled)
    assert not first.hold
    pair.a.endpoint.rekey_child(first.sa.inbound_spi, pair.now)
    pair.run()
    second = pair.a.of(IpsecSaInstalled)[-1]
    assert second.hold
    pair.advance(SWITCH_AFTER - 0.1)
    assert not pair.a.of(OutboundSwitched)
    pair.advance(0.1)
    assert pair.a.only(OutboundSwitched).inbound_spi == second.sa.inbound_spi
    # The responder, for whom the third message is the sign, has sent with it all the while.
    assert pair.b.of(OutboundSwitched)[-1].inbound_spi == second.sa.outbound_spi


def committed() -> tuple[Pair, IpsecSa]:
    """A pair whose responder has set the commit bit, and what the initiator has installed."""
    pair = Pair()
    bits = with_header(flags=int(Flag.ENCRYPTION | Flag.COMMIT))
    pair.b.script.sent(exchange=ExchangeType.QUICK_MODE).replace(bits)
    pair.up()
    installed = pair.a.only(IpsecSaInstalled)
    assert installed.hold
    return pair, installed.sa


def say_connected(pair: Pair, spi: bytes, **how: bool) -> None:
    connected = Notification(NotifyType.CONNECTED, b"", ProtocolId.IPSEC_ESP, spi)
    isakmp = pair.b.endpoint.isakmp_sas()[0]
    pair.b.endpoint.send(isakmp, ExchangeType.INFORMATIONAL, (connected,), pair.now, **how)
    pair.run()


def test_an_initiator_that_is_to_wait_for_connected_sends_nothing_before():
    pair, sa = committed()
    say_connected(pair, b"\x0b\xad\xca\xfe")
    say_connected(pair, sa.inbound_spi, protected=False)
    pair.advance(COMMITTED_AFTER - 0.1)
    assert not pair.a.of(OutboundSwitched)
    say_connected(pair, sa.inbound_spi)
    assert pair.a.only(OutboundSwitched).inbound_spi == sa.inbound_spi
    say_connected(pair, sa.inbound_spi)
    pair.advance(COMMITTED_AFTER)
    assert len(pair.a.of(OutboundSwitched)) == 1


def test_a_connected_that_names_the_sa_by_its_other_spi_will_do():
    pair, sa = committed()
    say_connected(pair, sa.outbound_spi)
    assert pair.a.only(OutboundSwitched).inbound_spi == sa.inbound_spi


def test_a_connected_that_never_comes_is_not_waited_for_for_ever():
    pair, sa = committed()
    pair.advance(COMMITTED_AFTER)
    assert pair.a.only(OutboundSwitched).inbound_spi == sa.inbound_spi


def test_who_loses_the_sa_that_is_replaced_sends_with_the_new_one_at_once():
    pair = Pair()
    pair.up()
    (first,) = pair.a.of(IpsecSaInstalled)
    pair.a.endpoint.rekey_child(first.sa.inbound_spi, pair.now)
    pair.run()
    pair.b.endpoint.delete_child(first.sa.outbound_spi, pair.now)
    pair.run()
    second = pair.a.of(IpsecSaInstalled)[-1]
    assert pair.a.only(OutboundSwitched).inbound_spi == second.sa.inbound_spi
    order = [
        type(one) for one in pair.a.events if isinstance(one, OutboundSwitched | IpsecSaRemoved)
    ]
    assert order == [OutboundSwitched, IpsecSaRemoved]
    pair.advance(2 * SWITCH_AFTER)
    assert len(pair.a.of(OutboundSwitched)) == 1


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_the_fraction_is_configured(fraction):
    pair = Pair(seil(rekey_at=fraction, **living(seil(), seconds=100)), swan())
    pair.up()
    assert moments(pair, pair.a, IpsecSaInstalled, 99) == [100 * fraction]


def test_only_the_initiator_of_an_sa_replaces_it_unless_told_otherwise():
    pair = Pair(seil(rekeying=Rekeying.NEVER, **living(seil(), seconds=60)), swan())
    pair.up()
    pair.advance(59)
    assert len(pair.a.of(IpsecSaInstalled)) == 1
    pair.advance(2)
    assert pair.a.only(IpsecSaRemoved).reason is Reason.EXPIRED
    assert not pair.a.sas + pair.b.sas
    eager = Pair(
        seil(rekeying=Rekeying.NEVER, **living(seil(), seconds=60)), swan(rekeying=Rekeying.ANY)
    )
    eager.up()
    eager.advance(59)
    assert [one.sa.initiator for one in eager.b.of(IpsecSaInstalled)] == [False, True]


def test_a_phase_1_of_kilobytes_is_followed_too():
    small = Phase1(lifetime=Lifetime(86400, 1))
    pair = Pair(seil(phase1=small), swan())
    pair.up()
    pair.advance(0.1)
    assert len(pair.a.of(IsakmpSaEstablished)) >= 2


def test_a_rekeying_that_gets_no_answer_is_tried_again():
    pair = Pair(seil(**living(seil(), seconds=1000)), swan())
    pair.up()
    pair.b.script.sent(exchange=32, times=ALWAYS).drop()
    pair.advance(970)
    assert len(pair.a.of(IpsecSaInstalled)) == 1
    pair.b.script.rules.clear()
    pair.advance(100)
    assert len(pair.a.of(IpsecSaInstalled)) == 2
    assert pair.a.of(IpsecSaInstalled)[-1].sa in pair.a.sas
    assert mirrored(pair.a, pair.b)


def test_a_failed_phase_1_rekey_is_tried_again_while_the_old_one_lives():
    pair = Pair(seil(phase1=Phase1(lifetime=Lifetime(2000))), swan())
    pair.up()
    pair.b.script.sent(exchange=2, times=ALWAYS).drop()
    pair.advance(1700)
    assert len(pair.a.of(IsakmpSaEstablished)) == 1
    pair.b.script.rules.clear()
    pair.advance(250)
    assert len(pair.a.of(IsakmpSaEstablished)) == 2


def test_a_child_that_must_be_replaced_after_phase_1_has_gone_gets_a_new_one():
    pair = Pair(seil(**living(seil(), seconds=1000)), swan())
    pair.up()
    pair.a.endpoint.delete(pair.a.endpoint.isakmp_sas()[0], pair.now)
    pair.run()
    assert not pair.b.endpoint.isakmp_sas()
    assert len(pair.b.sas) == 1
    pair.advance(801)
    assert len(pair.a.endpoint.isakmp_sas()) == 1
    assert len(pair.a.of(IpsecSaInstalled)) == 2
