# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.peers.contract import Peer
from scenarios.nat.test_nat_in_path import test_nat_in_path as nat_in_path
from scenarios.nat.test_nat_in_path import test_nat_remapped as nat_remapped
from scenarios.nat.test_transport import test_transport_behind_nat as transport_behind_nat
from scenarios.nat.test_transport import (
    test_transport_behind_nat_ikev1 as transport_behind_nat_ikev1,
)
from tests.sabotage.controls import PLAIN, turns_red


def test_nat_in_path_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def in_clear(net: Net) -> None:
        net.wire("wan").inject("nat", PLAIN)

    lab.disturb = in_clear
    turns_red(lab, nat_in_path, moon, sun, because="clear: 1 frames on wan are in clear")


def test_nat_remapped_turns_red_when_a_packet_is_lost_afterwards(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def lose_one_of_the_second_flow(net: Net) -> None:
        traffic, flows = net.traffic, []

        def counted(*arguments: Any, **settings: Any) -> Any:
            flows.append(arguments)
            if len(flows) == 2:
                net.wire("wan").drop(is_esp, sender="sun", nth=3)
            return traffic(*arguments, **settings)

        net.traffic = counted  # type: ignore[method-assign]

    lab.disturb = lose_one_of_the_second_flow
    turns_red(lab, nat_remapped, moon, sun, because=r"assert 1 == 0[^$]*lost")


@pytest.mark.needs("esp")
def test_transport_behind_nat_turns_red_when_a_packet_is_lost(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = lambda net: net.wire("wan").drop(is_esp, sender="sun", nth=3)
    turns_red(lab, transport_behind_nat, moon, sun, "kernel", because=r"assert 1 == 0[^$]*lost")


@pytest.mark.needs("esp")
def test_transport_behind_nat_ikev1_turns_red_when_a_packet_is_lost(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = lambda net: net.wire("wan").drop(is_esp, sender="sun", nth=3)
    turns_red(
        lab, transport_behind_nat_ikev1, moon, sun, "kernel", because=r"assert 1 == 0[^$]*lost"
    )
