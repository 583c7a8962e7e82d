# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.ike.constants_v1 import AuthenticationMethod
from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.peers.contract import Peer
from scenarios.ikev1.test_certificates import CURVES
from scenarios.ikev1.test_certificates import test_ikev1_ecdsa as ikev1_ecdsa
from scenarios.ikev1.test_net2net import REKEYS
from scenarios.ikev1.test_net2net import test_ikev1_net2net as ikev1_net2net
from scenarios.ikev1.test_net2net import test_ikev1_rekey as ikev1_rekey
from tests.sabotage.controls import in_clear, turns_red


def test_ikev1_net2net_turns_red_when_a_packet_crosses_in_clear(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    lab.disturb = in_clear
    turns_red(lab, ikev1_net2net, moon, sun, because="clear: 1 frames on wan are in clear")


@pytest.mark.needs("esp")
def test_ikev1_rekey_turns_red_when_the_switch_drops_packets(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    def drop_some(net: Net) -> None:
        for number in range(40, 40 + REKEYS + 1):
            net.wire("wan").drop(is_esp, sender="moon", nth=number)

    lab.disturb = drop_some
    turns_red(lab, ikev1_rekey, moon, sun, because=rf"assert \d <= {REKEYS}[^$]*lost")


def test_ikev1_ecdsa_turns_red_when_another_curve_signs(
    lab: Lab, moon: Peer, sun: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, size = CURVES["ecp256"]
    monkeypatch.setitem(CURVES, "ecp256", (kind, AuthenticationMethod.ECDSA_SHA384_P384, size))
    turns_red(lab, ikev1_ecdsa, moon, sun, "ecp256", because=r"assert 9 == <\w+.ECDSA_SHA384_P384")
