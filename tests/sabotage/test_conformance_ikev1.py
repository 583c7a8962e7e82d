# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers that break a rule of IKEv1 on purpose, which must be seen."""

from dataclasses import replace

import pytest

from harness.capture.frames import Isakmp, dissect
from harness.capture.recording import Frame
from harness.ike.constants_v1 import ExchangeType, Flag, NotifyType
from harness.ike.payload import first
from harness.ike.payloads_v1 import Identification, Notification
from harness.ike.script import ALWAYS, with_header, with_payloads
from harness.ike.v1.identity import name_identity, subnet_identity
from harness.ike.v1.informational import about_isakmp
from harness.ike.v1.script import Script
from harness.ike.v1.seam import Plain
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.peers.ikelabd import Ikelabd
from harness.peers.ikelabd.scripted import ScriptedIkelabd
from scenarios.agreements import MOON
from scenarios.conformance.changes import with_each
from scenarios.conformance_ikev1.changes import with_attributes, with_transforms
from scenarios.conformance_ikev1.prober import FIRST_ODD
from scenarios.conformance_ikev1.requests import SPI
from scenarios.conformance_ikev1.test_first_message import test_ikev1_first_message as first_message
from scenarios.conformance_ikev1.test_first_message import (
    test_ikev1_phase1_proposals as phase1_proposals,
)
from scenarios.conformance_ikev1.test_ignored import test_ikev1_ignored as ignored
from scenarios.conformance_ikev1.test_initiator import UNASKED
from scenarios.conformance_ikev1.test_initiator import test_ikev1_commit_bit as commit_bit
from scenarios.conformance_ikev1.test_initiator import test_ikev1_dpd_sequence as dpd_sequence
from scenarios.conformance_ikev1.test_initiator import (
    test_ikev1_established_initiator as established_initiator,
)
from scenarios.conformance_ikev1.test_initiator import test_ikev1_first_answer as first_answer
from scenarios.conformance_ikev1.test_initiator import test_ikev1_quick_answer as quick_answer
from scenarios.conformance_ikev1.test_main_mode import test_ikev1_main_mode as main_mode
from scenarios.conformance_ikev1.test_quick_mode import test_ikev1_message_id as message_id
from scenarios.conformance_ikev1.test_quick_mode import (
    test_ikev1_phase2_proposals as phase2_proposals,
)
from scenarios.conformance_ikev1.test_quick_mode import test_ikev1_quick_mode as quick_mode
from scenarios.conformance_ikev1.test_quick_mode import test_ikev1_spi_zero as spi_zero
from scenarios.conformance_ikev1.test_quick_mode import (
    test_ikev1_third_message as third_message,
)
from scenarios.conformance_ikev1.test_quick_mode import with_spi
from scenarios.conformance_ikev1.test_tolerated import test_ikev1_repetitions as repetitions
from scenarios.conformance_ikev1.test_tolerated import test_ikev1_tolerated as tolerated
from tests.sabotage.controls import turns_red

# Where the failure is that something does not come, only virtual time makes the wait short.
virtual_time = pytest.mark.needs("esp")

MAIN, QUICK = ExchangeType.IDENTITY_PROTECTION, ExchangeType.QUICK_MODE


def scripted(script: Script) -> ScriptedIkelabd:
    return Ikelabd().scripted(seam_v1=script)


def is_quick_mode(frame: Frame) -> bool:
    header = dissect(frame.data).carried
    return isinstance(header, Isakmp) and header.exchange_type == QUICK


def test_a_message_to_ignore_turns_red_when_it_is_answered(lab: Lab) -> None:
    script = Script()
    odd = about_isakmp(NotifyType.R_U_THERE_ACK, bytes(16), (FIRST_ODD + 1).to_bytes(4))
    script.sent(notify=NotifyType.R_U_THERE_ACK, times=ALWAYS).replace(with_payloads(odd))
    turns_red(lab, ignored, scripted(script), because="major-version")


def test_a_message_to_tolerate_turns_red_when_something_is_said_to_it(lab: Lab) -> None:
    script = Script()
    script.sent(notify=NotifyType.R_U_THERE_ACK, times=ALWAYS).repeat()
    turns_red(lab, tolerated, scripted(script), because="unknown-status-notify")


def test_a_repetition_turns_red_when_its_answer_is_another(lab: Lab) -> None:
    def changed(frame: bytes) -> bytes:
        return frame[:-1] + bytes([frame[-1] ^ 1])

    lab.disturb = lambda net: net.wire("wan").replace(
        is_quick_mode, changed, sender="sun", nth=2
    )  # fmt: skip
    turns_red(lab, repetitions, Ikelabd(), because="quick-mode")


def test_a_first_message_turns_red_when_an_attribute_is_left_out_of_the_answer(lab: Lab) -> None:
    script = Script()
    script.sent(exchange=MAIN).replace(with_attributes(lambda own: own[:-1]))
    turns_red(lab, first_message, scripted(script), because="as-it-should-be")


@pytest.mark.parametrize(
    ("scenario", "exchange"), [(phase1_proposals, MAIN), (phase2_proposals, QUICK)]
)
def test_proposals_turn_red_when_the_answer_has_another_number(lab, scenario, exchange) -> None:
    script = Script()
    renumbered = with_transforms(lambda own: (replace(own[0], number=1),))
    script.sent(exchange=exchange, times=ALWAYS).replace(renumbered)
    turns_red(lab, scenario, scripted(script), because="unknown-transform-first")


def test_a_main_mode_turns_red_when_the_identity_is_guessed(lab: Lab) -> None:
    moon = name_identity(MOON.identity).payload()

    def guessed(plain: Plain) -> Plain:
        missing = plain.protected and first(plain.payloads, Identification) is None
        return plain.forged(payloads=(moon, *plain.payloads)) if missing else plain

    script = Script()
    script.received(exchange=MAIN, times=ALWAYS).replace(guessed)
    turns_red(lab, main_mode, scripted(script), because="no-identity")


def test_a_quick_mode_turns_red_when_it_is_granted_to_nobody(lab: Lab) -> None:
    wanted = subnet_identity("10.1.0.0/16"), subnet_identity("10.2.0.0/16")
    left, right = (one.payload() for one in wanted)
    nobody = subnet_identity("10.77.0.0/16").data

    def granted(plain: Plain) -> Plain:
        asked = [one for one in plain.payloads if isinstance(one, Identification)]
        if [one.data for one in asked] != [nobody] * 2:
            return plain
        others = (one for one in plain.payloads if not isinstance(one, Identification))
        return plain.forged(payloads=(*others, left, right))

    script = Script()
    script.received(exchange=QUICK, times=ALWAYS).replace(granted)
    turns_red(lab, quick_mode, scripted(script), because="identities-of-nobody")


def test_an_spi_of_zero_turns_red_when_it_is_taken(lab: Lab) -> None:
    script = Script()
    script.received(exchange=QUICK).replace(with_spi(SPI))
    turns_red(lab, spi_zero, scripted(script), because="spi-zero .*: sun has 1 CHILD_SAs")


@virtual_time
def test_a_message_id_turns_red_when_the_isakmp_sa_does_not_survive_it(lab: Lab) -> None:
    script = Script()
    script.sent(notify=NotifyType.R_U_THERE_ACK, times=ALWAYS).drop()
    turns_red(lab, message_id, scripted(script), because="message-id-used-before")


@virtual_time
def test_a_third_message_turns_red_when_the_responder_does_not_repeat_the_second(lab: Lab) -> None:
    def drop_repetitions(net: Net) -> None:
        # What one rule has dropped the next one does not count.
        for _ in range(8):
            net.wire("wan").drop(is_quick_mode, sender="sun", nth=2)

    lab.disturb = drop_repetitions
    turns_red(lab, third_message, Ikelabd(), because="third-message-lost .*net-net")


def test_a_first_answer_turns_red_when_an_added_attribute_is_not_seen(lab: Lab) -> None:
    script = Script()
    script.received(exchange=MAIN, times=ALWAYS).replace(
        with_attributes(lambda own: tuple(one for one in own if one != UNASKED))
    )
    turns_red(lab, first_answer, scripted(script), because="attribute-added .*: it comes up")


def test_a_quick_answer_turns_red_when_the_identities_are_not_looked_at(lab: Lab) -> None:
    wanted = subnet_identity("10.1.0.0/16"), subnet_identity("10.2.0.0/16")
    identities = tuple(one.payload() for one in wanted)

    def as_asked(plain: Plain) -> Plain:
        others = tuple(one for one in plain.payloads if not isinstance(one, Identification))
        return plain.forged(payloads=(*others, *identities))

    script = Script()
    script.received(exchange=QUICK, times=ALWAYS).replace(as_asked)
    turns_red(lab, quick_answer, scripted(script), because="identities-of-nobody .*: it comes up")


@virtual_time
def test_an_established_initiator_turns_red_when_it_does_not_survive(lab: Lab) -> None:
    script = Script()
    script.sent(notify=NotifyType.R_U_THERE_ACK, times=ALWAYS).drop()
    turns_red(lab, established_initiator, scripted(script), because="delete-in-clear")


@pytest.mark.needs("esp")
def test_a_commit_bit_turns_red_when_it_is_not_looked_at(lab: Lab) -> None:
    script = Script()
    script.received(exchange=QUICK, times=ALWAYS).replace(with_header(flags=int(Flag.ENCRYPTION)))
    because = "waits-for-connected .*: it sends before CONNECTED"
    turns_red(lab, commit_bit, scripted(script), because=because)


@virtual_time
def test_a_dpd_sequence_turns_red_when_any_answer_will_do(lab: Lab) -> None:
    asked = [b""]

    def remembered(plain: Plain) -> Plain:
        asked[0] = plain.payloads[-1].data
        return plain

    def taken_for_right(plain: Plain) -> Plain:
        return with_each(Notification, lambda own: replace(own, data=asked[0]))(plain)

    script = Script()
    script.sent(notify=NotifyType.R_U_THERE, times=ALWAYS).replace(remembered)
    script.received(notify=NotifyType.R_U_THERE_ACK, times=ALWAYS).replace(taken_for_right)
    turns_red(lab, dpd_sequence, scripted(script), because="answered-with-another-number")
