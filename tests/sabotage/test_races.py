# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.capture.exchanges import Rekey
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.peers.contract import Peer
from scenarios.ikev2 import test_simultaneous_rekey as simultaneous
from scenarios.races import test_crossed_rekeys as crossed
from tests.sabotage.controls import turns_red


def test_crossed_rekeys_turns_red_when_the_highest_nonce_loses(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = simultaneous.lowest_nonce

    def inverted(rekey: Rekey) -> bytes:
        return bytes(255 - octet for octet in lowest(rekey))

    monkeypatch.setattr(simultaneous, "lowest_nonce", inverted)
    turns_red(lab, crossed.test_crossed_rekeys, moon, sun, because=r"assert \{\d+, \d+\} == ")


def test_crossed_rekeys_turns_red_when_the_switch_drops_a_packet(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def drop_one(net: Net) -> None:
        net.wire("wan").drop(is_esp, sender="sun", nth=15)

    lab.disturb = drop_one
    turns_red(lab, crossed.test_crossed_rekeys, moon, sun, because=r"loss: .* 1 lost")
