# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import Notify
from harness.lab.lab import Lab
from harness.peers.ikelabd import Ikelabd
from scenarios.ikev2.test_mobike import test_mobike as mobike
from scenarios.ikev2.test_mobike import test_mobike_nat as mobike_nat
from scenarios.ikev2.test_mobike import test_mobike_remapped as mobike_remapped
from scenarios.ikev2.test_mobike import test_mobike_responder as mobike_responder
from tests.sabotage.controls import in_clear, turns_red, with_side
from tests.sabotage.forged import forge

pytestmark = pytest.mark.needs("esp")

FOR_TESTS = 40_960
"""A notify type that nobody knows (RFC 7296 3.10.1)."""


@pytest.mark.parametrize("scenario", [mobike, mobike_responder, mobike_nat])
def test_a_move_turns_red_when_neither_end_does_mobike(
    lab: Lab, scenario: Callable[..., None]
) -> None:
    lab.rewrite = with_side(ike={"mobike": False})
    turns_red(lab, scenario, Ikelabd(), Ikelabd(), because="ESP from .* did not come")


def test_mobike_turns_red_when_the_update_says_something_else(lab: Lab) -> None:
    lab.disturb = lambda net: forge(net, ExchangeType.INFORMATIONAL, "moon", said_otherwise)
    because = r"ESP from 192\.168\.0\.2 to 192\.168\.0\.3 did not come"
    turns_red(lab, mobike, Ikelabd(), Ikelabd(), because=because)


def test_mobike_responder_turns_red_when_the_announcement_says_something_else(lab: Lab) -> None:
    lab.disturb = lambda net: forge(net, ExchangeType.INFORMATIONAL, "sun", said_otherwise)
    because = r"ESP from 192\.168\.0\.1 to 192\.168\.0\.4 did not come"
    turns_red(lab, mobike_responder, Ikelabd(), Ikelabd(), because=because)


def test_mobike_remapped_turns_red_when_the_initiator_does_not_ask(lab: Lab) -> None:
    lab.rewrite = with_side(ike={"dpd_delay": 0})
    because = "INFORMATIONAL from sun did not come"
    turns_red(lab, mobike_remapped, Ikelabd(), Ikelabd(), because=because)


def test_mobike_turns_red_when_a_packet_crosses_in_clear(lab: Lab) -> None:
    lab.disturb = in_clear
    turns_red(lab, mobike, Ikelabd(), Ikelabd(), because="clear: 1 frames on wan are in clear")


def said_otherwise(payloads: tuple[Payload, ...]) -> Iterable[Payload]:
    """The payloads of a message with what it says of addresses made unintelligible."""
    for one in payloads:
        of_addresses = isinstance(one, Notify) and one.notify_type in (
            NotifyType.UPDATE_SA_ADDRESSES,
            NotifyType.NO_ADDITIONAL_ADDRESSES,
        )
        yield replace(one, notify_type=FOR_TESTS) if of_addresses else one  # type: ignore[type-var]
