# SPDX-License-Identifier: GPL-2.0-or-later
"""Each wrong message that a conformance test wants is a few lines, and the peer minds it."""

import pytest

from harness.ike.chance import Purpose, choosing
from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType
from harness.ike.payload import Forged, RawPayload
from harness.ike.payloads_v1 import Hash, Notification, VendorId
from harness.ike.script import ALWAYS, with_payloads, without
from harness.ike.v1.endpoint import Endpoint
from harness.ike.v1.events import IsakmpSaEstablished, NotifyReceived, QuickModeFailed, Refused
from harness.ike.v1.script import Script, in_clear, with_padding
from tests.ike.v1.pair import Pair, mirrored, seeded, seil

MAIN, QUICK = ExchangeType.IDENTITY_PROTECTION, ExchangeType.QUICK_MODE
INFORMATIONAL = ExchangeType.INFORMATIONAL


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": 0x30}, "major version 3"),
        ({"length": 27}, "length 27"),
        ({"length": 4000}, "length 4000"),
        ({"initiator_spi": bytes(8)}, "initiator's cookie is zero"),
        ({"message_id": 5}, "message id"),
        ({"flags": Flag.ENCRYPTION}, "encrypted"),
        ({"exchange": 99}, "cookies that are not known"),
        ({"payloads": ()}, "without an SA payload"),
        ({"payloads": (RawPayload(1, b"?"),)}, "SA body"),
        ({"payloads": (Forged(VendorId(b"x"), length=3),)}, "length 3"),
        ({"trailing": b"more"}, "stand behind the last payload"),
        ({"flags": 0xF8}, "flags 0xf8 have bits that mean nothing"),
        ({"version": 0x11}, "the minor version is 1"),
    ],
)
def test_a_forged_first_message_is_refused_and_leaves_nothing(changes, why):
    pair = Pair()
    pair.a.script.sent().replace(lambda plain: plain.forged(**changes))
    pair.initiate()
    pair.run()
    assert why in pair.b.of(Refused)[0].why
    assert pair.b.endpoint.half_open == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.forged(payloads=(*plain.payloads, VendorId(b"unknown"))),
        lambda plain: plain.forged(payloads=(VendorId(b"first"), *plain.payloads)),
        lambda plain: plain.forged(payloads=(*plain.payloads, RawPayload(200, b"?"))),
    ],
    ids=["vendor id", "unsorted", "unknown payload"],
)
def test_what_a_receiver_must_ignore_changes_nothing(change):
    pair = Pair()
    pair.a.script.sent(exchange=MAIN).replace(change)
    pair.up()
    assert mirrored(pair.a, pair.b)


def test_a_wrong_hash_is_ignored_and_the_right_one_is_taken_later():
    pair = Pair()
    pair.a.script.sent(exchange=QUICK).replace(
        lambda plain: plain.forged(payloads=(Hash(bytes(32)), *plain.payloads))
    )
    pair.initiate()
    pair.run()
    assert "HASH is wrong" in pair.b.of(Refused)[0].why
    pair.initiate()
    pair.run()
    assert len(pair.b.sas) == 1


def test_a_message_that_is_dropped_before_it_is_sent_goes_out_when_it_is_repeated():
    pair = Pair()
    pair.a.script.sent(exchange=QUICK).replace(lambda plain: None)
    pair.initiate()
    pair.run()
    assert not pair.a.sas
    pair.advance(4)
    assert mirrored(pair.a, pair.b)
    assert pair.a.sas


def test_a_held_message_is_delivered_when_the_test_says_so():
    pair = Pair()
    held = pair.b.script.sent(exchange=QUICK).hold()
    pair.initiate()
    pair.run()
    assert len(held.messages) == 1
    assert not pair.a.sas
    held.release(pair.b.endpoint, pair.now)
    pair.run()
    assert pair.a.sas


def test_a_received_message_may_be_dropped_or_replaced():
    pair = Pair()
    pair.b.script.received(exchange=QUICK).drop()
    pair.initiate()
    pair.run()
    assert not pair.b.sas
    pair.advance(4)
    assert pair.b.sas


def test_any_exchange_may_be_started_at_any_time():
    pair = Pair()
    pair.up()
    isakmp = pair.a.endpoint.isakmp_sas()[0]
    notify = Notification(NotifyType.CONNECTED, b"hello")
    pair.a.endpoint.send(isakmp, INFORMATIONAL, (notify,), pair.now, message_id=77)
    pair.run()
    found = pair.b.of(NotifyReceived)[-1]
    assert (found.notify, found.data, found.protected) == (16384, b"hello", True)
    pair.a.endpoint.send(isakmp, ExchangeType.NEW_GROUP_MODE, (), pair.now)
    pair.run()
    assert "exchange type 33" in pair.b.of(Refused)[-1].why
    assert len(pair.b.sas) == 1


def test_an_authentic_quick_mode_of_nonsense_is_answered_payload_malformed():
    pair = Pair()
    pair.up()
    isakmp = pair.a.endpoint.isakmp_sas()[0]
    pair.a.endpoint.send(isakmp, QUICK, (VendorId(b"?"),), pair.now)
    pair.run()
    assert pair.b.only(QuickModeFailed).notify == NotifyType.PAYLOAD_MALFORMED
    assert pair.a.of(NotifyReceived)[-1].notify == NotifyType.PAYLOAD_MALFORMED


def test_nonces_cookies_and_spis_can_be_chosen():
    draw = choosing(seeded(1), Purpose.NONCE, [b"n" * 20, b"q" * 256])
    draw = choosing(draw, Purpose.CHILD_SPI, [b"\x12\x34\x56\x78"])
    draw = choosing(draw, Purpose.COOKIE, [b"cookie!!"])
    pair = Pair()
    script = Script()
    pair.a.endpoint = Endpoint((seil(),), draw, seam=script)
    pair.up()
    assert pair.a.only(IsakmpSaEstablished).cookie_i == b"cookie!!"
    assert pair.a.sas[0].inbound_spi == b"\x12\x34\x56\x78"
    assert pair.b.sas[0].nonce_i == b"q" * 256


def test_rules_can_be_cleared():
    pair = Pair()
    pair.a.script.sent(times=ALWAYS).replace(lambda plain: None)
    pair.initiate()
    assert not pair.queue
    pair.a.script.rules.clear()
    pair.advance(4)
    assert pair.a.sas


def test_a_rule_skips_counts_and_is_used_up():
    pair = Pair()
    rule = pair.a.script.sent(exchange=MAIN, skip=1, times=1).drop()
    pair.initiate()
    pair.run()
    assert len(pair.sent) == 2
    pair.advance(4)
    assert pair.a.sas
    assert rule.met == 4


def test_a_message_may_be_sent_more_than_once():
    pair = Pair()
    pair.a.script.sent(times=ALWAYS).repeat(3)
    pair.up()
    assert mirrored(pair.a, pair.b)
    assert [one.data for one in pair.sent].count(pair.sent[0].data) == 3


def test_a_notify_may_go_in_clear_and_is_then_anybodys():
    pair = Pair()
    pair.a.script.sent(notify=NotifyType.INITIAL_CONTACT).replace(in_clear)
    pair.up()
    assert not pair.b.of(NotifyReceived)[0].protected


def test_payloads_may_be_added_and_left_out():
    pair = Pair()
    pair.a.script.sent().replace(with_payloads(VendorId(b"mine")))
    pair.b.script.sent(exchange=QUICK).replace(without(5))
    pair.up()
    assert pair.messages()[0].payloads[-1] == VendorId(b"mine")


def test_what_is_received_may_be_held_and_released():
    pair = Pair()
    held = pair.b.script.received(exchange=QUICK).hold()
    with pytest.raises(LookupError, match="nothing is held"):
        held.release(pair.b.endpoint, pair.now)
    pair.initiate()
    pair.run()
    assert not pair.b.sas
    held.release(pair.b.endpoint, pair.now)
    pair.run()
    assert pair.b.sas


def test_ten_lines_force_two_quick_modes_at_once():
    pair = Pair()
    pair.up()
    for end in (pair.a, pair.b):
        held = end.script.sent(exchange=QUICK).hold()
        end.endpoint.rekey_child(end.sas[0].inbound_spi, pair.now)
        end.held = held
    for end in (pair.a, pair.b):
        end.held.release(end.endpoint, pair.now)
    pair.run()
    assert len(pair.a.sas) == len(pair.b.sas) == 3


@pytest.mark.parametrize("padding", [b"", bytes(48), b"anything at all"])
def test_the_padding_of_a_message_is_the_tests_to_choose(padding):
    pair = Pair()
    pair.a.script.sent(exchange=QUICK, times=ALWAYS).replace(with_padding(padding))
    pair.up()
    assert mirrored(pair.a, pair.b)
    usual = Pair()
    usual.up()
    first = [
        next(one for one in each.messages() if one.exchange == QUICK) for each in (pair, usual)
    ]
    sizes = [len(one.encrypted) for one in first]
    assert sizes[0] % 16 == 0
    assert (sizes[0] > sizes[1]) == (len(padding) == 48)
