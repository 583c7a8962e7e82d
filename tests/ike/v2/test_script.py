# SPDX-License-Identifier: GPL-2.0-or-later
"""What a script can make a peer do, and what the other one does about it."""

from __future__ import annotations

import pytest

from harness.ike.chance import Purpose, choosing
from harness.ike.constants_v2 import ExchangeType, NotifyType, PayloadType
from harness.ike.payload import CRITICAL, RawPayload
from harness.ike.payloads_v2 import Notify
from harness.ike.script import with_header, with_payloads, without
from harness.ike.v2.events import (
    ChildSaFailed,
    IkeSaClosed,
    InitiationFailed,
    NotifyReceived,
    Reason,
    Refused,
    Retransmitted,
    ScriptedResponse,
)
from harness.ike.v2.script import Script, in_clear
from tests.ike.v2.pair import Pair, seeded

CREATE = ExchangeType.CREATE_CHILD_SA
INFORMATIONAL = ExchangeType.INFORMATIONAL


def scripted(script: Script) -> Pair:
    """A pair whose moon follows the script."""
    return Pair(seams=(script, None))


def test_a_held_response_is_released_and_the_rekey_goes_on() -> None:
    script = Script()
    pair = scripted(script).up()
    held = script.sent(exchange=CREATE, response=True).hold()
    pair.sun.endpoint.commands.rekey_child(pair.sun.ike, pair.sun.child.inbound_spi, pair.now)
    pair.settle()
    assert len(pair.sun.children()) == 1
    held.release(pair.moon.endpoint, pair.now)
    pair.settle()
    pair.agree()
    assert not pair.sun.events(Retransmitted)


def test_a_simultaneous_rekey_is_forced_in_a_few_lines() -> None:
    script = Script()
    pair = scripted(script).up()
    held = script.received(exchange=CREATE, response=False).hold()
    pair.sun.endpoint.commands.rekey_child(pair.sun.ike, pair.sun.child.inbound_spi, pair.now)
    pair.settle()
    pair.moon.endpoint.commands.rekey_child(pair.moon.ike, pair.moon.child.inbound_spi, pair.now)
    held.release(pair.moon.endpoint, pair.now)
    pair.rest()
    pair.agree()


def test_a_dropped_request_is_sent_again() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_AUTH).drop()
    pair = scripted(script).up()
    assert not pair.sun.children()
    pair.rest(within=3)
    pair.agree()
    assert len(pair.moon.events(Retransmitted)) == 1


def test_a_doubled_request_is_answered_twice_and_done_once() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_AUTH).repeat(3)
    pair = scripted(script).up()
    pair.agree()
    assert len(pair.sun.children()) == 1


def test_any_notify_can_be_answered_without_the_engine() -> None:
    script = Script()
    pair = scripted(script).up()
    script.received(exchange=CREATE, response=False).answer(Notify(NotifyType.NO_ADDITIONAL_SAS))
    pair.sun.endpoint.commands.create_child(pair.sun.ike, "net", pair.now)
    pair.settle()
    (failed,) = pair.sun.events(ChildSaFailed)
    assert failed.notify == NotifyType.NO_ADDITIONAL_SAS


def test_an_unknown_status_notify_is_reported_and_ignored() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_AUTH).replace(with_payloads(Notify(61_234, b"?")))
    pair = scripted(script).up()
    pair.agree()
    assert [one.notify for one in pair.sun.events(NotifyReceived)] == [61_234]


def test_an_unknown_critical_payload_is_refused_by_type() -> None:
    script = Script()
    unknown = RawPayload(200, b"?", CRITICAL)
    script.sent(exchange=ExchangeType.IKE_SA_INIT).replace(with_payloads(unknown))
    pair = scripted(script).up()
    (failed,) = pair.moon.events(InitiationFailed)
    assert failed.notify == NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD


def test_an_unknown_payload_that_is_not_critical_is_ignored() -> None:
    script = Script()
    script.sent(times=99).replace(with_payloads(RawPayload(200, b"?", 0x7F)))
    scripted(script).up().agree()


@pytest.mark.parametrize(
    "change",
    [
        with_header(version=0x21),
        with_header(flags=0x08 | 0x47),
        with_payloads(Notify(40_000), Notify(40_000)),
    ],
    ids=["minor version", "reserved flags", "two notifies"],
)
def test_what_receivers_must_ignore_is_ignored(change: object) -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_SA_INIT).replace(change)  # type: ignore[arg-type]
    scripted(script).up().agree()


def test_a_later_major_version_is_told_that_it_is_not_known() -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_SA_INIT).replace(with_header(version=0x30))
    pair = scripted(script).up()
    (failed,) = pair.moon.events(InitiationFailed)
    assert failed.notify == NotifyType.INVALID_MAJOR_VERSION


def test_a_message_in_clear_is_ignored_once_there_are_keys() -> None:
    script = Script()
    pair = scripted(script).up()
    script.sent(exchange=INFORMATIONAL).replace(in_clear)
    pair.moon.endpoint.commands.exchange(pair.moon.ike, INFORMATIONAL, [Notify(40_000)], pair.now)
    pair.settle()
    assert not pair.sun.events(NotifyReceived)
    assert "clear" in pair.sun.events(Refused)[-1].why


def test_a_message_without_nonce_ends_a_created_child_only_for_the_one_who_erred() -> None:
    script = Script()
    pair = scripted(script).up()
    script.sent(exchange=CREATE).replace(without(PayloadType.NONCE))
    pair.moon.endpoint.commands.create_child(pair.moon.ike, "net", pair.now)
    pair.rest()
    pair.agree()
    assert [one.reason for one in pair.sun.events(IkeSaClosed)] == [Reason.INVALID_SYNTAX]


def test_any_exchange_can_be_begun_at_any_time() -> None:
    pair = Pair().up()
    pair.moon.endpoint.commands.exchange(
        pair.moon.ike, CREATE, [Notify(NotifyType.REKEY_SA, b"", 3, b"none")], pair.now
    )
    pair.settle()
    (answer,) = pair.moon.events(ScriptedResponse)
    assert answer.payloads == (Notify(NotifyType.CHILD_SA_NOT_FOUND, b"", 3, b"none"),)
    pair.agree()


def test_nonces_and_spis_are_what_was_chosen() -> None:
    draw = choosing(seeded(5), Purpose.IKE_SPI, [b"spi-moon"])
    draw = choosing(choosing(draw, Purpose.CHILD_SPI, [b"\1cab"]), Purpose.NONCE, [b"n" * 16])
    pair = Pair(draws=(draw, seeded(6))).up()
    assert pair.moon.ike == b"spi-moon"
    assert pair.moon.child.inbound_spi == pair.sun.child.outbound_spi == b"\1cab"
    (sa,) = pair.sun.endpoint.all_sas()
    assert sa.keys is not None
    assert sa.keys.origin.nonce_i == b"n" * 16


def test_a_forged_message_is_sealed_as_it_stands() -> None:
    script = Script()
    pair = scripted(script).up()
    script.sent(exchange=INFORMATIONAL).replace(lambda plain: plain.forged(message_id=77))
    pair.moon.endpoint.commands.check_liveness(pair.moon.ike, pair.now)
    pair.settle()
    assert "77" in pair.sun.events(Refused)[-1].why
