# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that break a rule on purpose, which must be seen; and rules that say what is not so."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.capture.recording import Frame
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payloads_v2 import Notify
from harness.ike.script import with_payloads
from harness.ike.v2.script import Change, Script
from harness.lab.lab import Lab
from harness.peers.ikelabd import Ikelabd
from scenarios.conformance.changes import reordered, with_each
from scenarios.conformance.rules import Rules
from scenarios.conformance.test_authentication import test_authentication as authentication
from scenarios.conformance.test_create_child import test_create_child as create_child
from scenarios.conformance.test_create_child import test_group_of_child as group_of_child
from scenarios.conformance.test_create_child import test_malformed as malformed
from scenarios.conformance.test_first_message import test_first_message as first_message
from scenarios.conformance.test_fragments import test_fragment_number as fragment_number
from scenarios.conformance.test_fragments import test_fragmented_informational as informational
from scenarios.conformance.test_fragments import test_fragments as fragments
from scenarios.conformance.test_ignored import test_ignored as ignored
from scenarios.conformance.test_ignored import test_replayed_esp as replayed_esp
from scenarios.conformance.test_responder import test_first_answer as first_answer
from scenarios.conformance.test_responder import test_no_additional_sas as no_additional_sas
from scenarios.conformance.test_responder import test_refused_rekey as refused_rekey
from scenarios.conformance.test_tolerated import test_tolerated as tolerated
from scenarios.conformance.test_tolerated import test_unknown_critical_payload as unknown_critical
from scenarios.conformance.test_tolerated import test_version_2_1 as version_2_1
from tests.sabotage.controls import turns_red

Scenario = Callable[..., None]
ALWAYS = 1_000
UDP_AT, UDP = 14 + 9, 17
"""Where a frame has the protocol of its IPv4 packet, and that of datagrams."""


def as_another(kind: NotifyType) -> Change:
    """A change that gives the notifies of a message another type."""
    return with_each(Notify, lambda own: replace(own, notify_type=kind, data=b""))


@pytest.mark.parametrize(
    ("scenario", "exchange", "notify", "because"),
    [
        (unknown_critical, ExchangeType.INFORMATIONAL, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
         "unknown-critical-payload"),
        (version_2_1, ExchangeType.IKE_SA_INIT, NotifyType.INVALID_MAJOR_VERSION,
         "major-version-of-first-message"),
        (first_message, ExchangeType.IKE_SA_INIT, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
         "unknown-critical-payload"),
        (authentication, ExchangeType.IKE_AUTH, NotifyType.AUTHENTICATION_FAILED,
         "auth-does-not-verify"),
        (create_child, ExchangeType.CREATE_CHILD_SA, NotifyType.CHILD_SA_NOT_FOUND,
         "rekey-of-unknown-spi"),
        (group_of_child, ExchangeType.CREATE_CHILD_SA, NotifyType.INVALID_KE_PAYLOAD,
         "ke-of-another-group"),
        (fragments, ExchangeType.CREATE_CHILD_SA, NotifyType.CHILD_SA_NOT_FOUND, "in-order"),
        (fragment_number, ExchangeType.CREATE_CHILD_SA, NotifyType.CHILD_SA_NOT_FOUND,
         "beyond-total"),
    ],
)  # fmt: skip
def test_a_rule_turns_red_when_another_notify_answers(
    lab: Lab, scenario: Scenario, exchange: ExchangeType, notify: NotifyType, because: str
) -> None:
    script = Script()
    wrong = script.sent(exchange=exchange, response=True, notify=notify)
    wrong.replace(as_another(NotifyType.TEMPORARY_FAILURE))
    turns_red(lab, scenario, Ikelabd().scripted(script), because=because)


@pytest.mark.parametrize(
    ("scenario", "because"),
    [
        (ignored, "delete-in-clear"),
        (tolerated, "reserved-bits-of-payload"),
        (informational, "informational"),
    ],
)
def test_a_rule_turns_red_when_an_empty_answer_is_not_empty(
    lab: Lab, scenario: Scenario, because: str
) -> None:
    script = Script()
    wrong = script.sent(exchange=ExchangeType.INFORMATIONAL, response=True)
    wrong.times = ALWAYS
    wrong.replace(with_payloads(Notify(NotifyType.TEMPORARY_FAILURE)))
    turns_red(lab, scenario, Ikelabd().scripted(script), because=because)


def test_a_malformed_request_turns_red_when_it_is_refused_for_now(lab: Lab) -> None:
    script = Script()
    wrong = script.sent(notify=NotifyType.INVALID_SYNTAX)
    wrong.replace(with_each(Notify, lambda own: replace(own, data=b"and more")))
    turns_red(lab, malformed, Ikelabd().scripted(script), because="invalid-syntax")


def test_a_cookie_turns_red_when_it_does_not_come_first(lab: Lab) -> None:
    script = Script()
    script.sent(exchange=ExchangeType.IKE_SA_INIT, notify=NotifyType.COOKIE).replace(reordered)
    turns_red(lab, first_answer, Ikelabd().scripted(script), because="cookie")


def test_a_refused_rekey_turns_red_when_the_child_is_made_anew(lab: Lab) -> None:
    script = Script()
    wrong = script.received(notify=NotifyType.TEMPORARY_FAILURE)
    wrong.replace(as_another(NotifyType.CHILD_SA_NOT_FOUND))
    turns_red(lab, refused_rekey, Ikelabd().scripted(script), because="traffic-goes-on")


@pytest.mark.needs("esp")
def test_a_rekeying_that_may_not_be_turns_red_when_the_child_is_made_anew(lab: Lab) -> None:
    script = Script()
    wrong = script.received(notify=NotifyType.NO_ADDITIONAL_SAS)
    wrong.replace(as_another(NotifyType.CHILD_SA_NOT_FOUND))
    turns_red(lab, no_additional_sas, Ikelabd().scripted(script), because="rekeying-of-child")


def test_a_replay_turns_red_when_a_datagram_arrives_twice(lab: Lab) -> None:
    earlier: list[bytes] = []

    def is_datagram(frame: Frame) -> bool:
        found = len(frame.data) > UDP_AT and frame.data[UDP_AT] == UDP and frame.sender == "sun"
        if found:
            earlier.append(frame.data)
        return found and len(earlier) == 3

    lab.disturb = lambda net: net.wire("sun-lan").replace(is_datagram, lambda data: earlier[0])
    turns_red(lab, replayed_esp, Ikelabd(), because="esp-replayed")


def test_a_rule_turns_red_when_a_peer_does_not_deviate_as_it_is_said_to(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="is said to deviate"):
        says_that_it_deviates(lab, holds=True)
    assert lab.rules["a-rule"].startswith("fail: ")


def test_a_known_deviation_is_told_and_is_no_pass(lab: Lab) -> None:
    says_that_it_deviates(lab, holds=False)
    assert lab.rules == {"a-rule": "deviates from RFC 7296 9: it does something else"}


def says_that_it_deviates(lab: Lab, *, holds: bool) -> None:
    instead = {"ikelabd": "it does something else"}
    with Rules(lab, Ikelabd()) as rule, rule("a-rule", rfc="7296 9", deviates=instead):
        assert holds
