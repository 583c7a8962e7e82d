# SPDX-License-Identifier: GPL-2.0-or-later
"""Real daemons of which one hears nothing from a message on: which one, and what the wire did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.capture.frames import dissect
from harness.capture.recording import Frame
from harness.ike.retransmission import Retransmission
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_ike
from harness.network.topologies import MOON_SUN, NAT_IN_PATH
from harness.peers.connection import Connection
from harness.peers.contract import NegotiationFailed
from harness.plugin.options import DEFAULT_PEER, PEERS
from harness.verdict.diagnosis.findings import Cause
from scenarios.agreements import NET_NET
from scenarios.nat.test_nat_in_path import FROM_INSIDE, seen_from_outside

IMPATIENT = Retransmission(first=0.2, factor=1.0, tries=2)
V1 = NET_NET.with_ike(
    version=1, proposals=("aes256-sha256-modp1536",), retransmission=IMPATIENT
).with_child(proposals=("aes256-sha256",))
V2 = NET_NET.with_ike(retransmission=IMPATIENT)
SEATS = (("ikelabd", DEFAULT_PEER), (DEFAULT_PEER, "ikelabd"))


def from_message(number: int) -> Callable[[Frame], bool]:
    """Whether a frame has the IKE message with that number, from 1, or one that came after it."""
    known: list[bytes] = []

    def matches(frame: Frame) -> bool:
        if not is_ike(frame):
            return False
        if frame.data not in known:
            known.append(frame.data)
        return known.index(frame.data) >= number - 1

    return matches


def silenced(
    lab: Lab, config: pytest.Config, seats: tuple[str, str], connection: Connection, number: int
) -> Net:
    moon, sun = (config.stash[PEERS][name] for name in seats)
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=connection)
    net.wire("wan").drop(from_message(number))
    with pytest.raises(NegotiationFailed):
        net.moon.initiate("net-net")
    return net


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("seats", SEATS, ids="-".join)
def test_each_message_of_main_mode_may_be_the_first_without_an_answer(
    lab: Lab, pytestconfig: pytest.Config, seats: tuple[str, str], number: int
) -> None:
    net = silenced(lab, pytestconfig, seats, V1, number)
    silent = is_explained(net, number)
    message = f"message {number} of Main Mode of"
    assert net.diagnosis().sentence.startswith(f"{silent} did not answer {message} ")


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("seats", SEATS, ids="-".join)
def test_each_message_of_ikev2_may_be_the_first_without_an_answer(
    lab: Lab, pytestconfig: pytest.Config, seats: tuple[str, str], number: int
) -> None:
    net = silenced(lab, pytestconfig, seats, V2, number)
    silent = is_explained(net, number)
    exchange = "IKE_SA_INIT" if number < 3 else "IKE_AUTH"
    kind = "request" if number % 2 else "response"
    message = f"the {exchange} {kind} of"
    assert net.diagnosis().sentence.startswith(f"{silent} did not answer {message} ")


def is_explained(net: Net, number: int) -> str:
    """Who is silent, by a diagnosis that knows what the wire did."""
    found = net.diagnosis()
    speaker, silent = ("moon", "sun") if number % 2 else ("sun", "moon")
    assert (found.cause, found.asker, found.refuser) == (Cause.NO_ANSWER, speaker, silent)
    assert found.proved
    assert "the wire did not let it through" in found.sentence
    assert any(note.endswith(": dropped") for note in found.notes)
    return silent


@pytest.mark.parametrize("seats", SEATS, ids="-".join)
def test_a_nat_that_carries_nothing_on_port_4500_is_named(
    lab: Lab, pytestconfig: pytest.Config, seats: tuple[str, str]
) -> None:
    connection = seen_from_outside(FROM_INSIDE).with_ike(retransmission=IMPATIENT)
    moon, sun = (pytestconfig.stash[PEERS][name] for name in seats)
    net = lab.up(NAT_IN_PATH, moon=moon, sun=sun, connection=connection)
    # A packet filter behind the NAT: it lets port 500 through and drops what goes to 4500.
    net.wire("wan").drop(lambda frame: is_ike(frame) and 4500 in (dissect(frame.data).ports or ()))
    with pytest.raises(NegotiationFailed):
        net.moon.initiate("net-net")
    found = net.diagnosis()
    assert (found.asker, found.refuser, found.exchange) == ("moon", "sun", "IKE_AUTH")
    assert found.cause is Cause.NAT
    assert "answers came to port 500, and none to UDP port 4500" in found.sentence
    assert "a NAT translates moon" in found.sentence
