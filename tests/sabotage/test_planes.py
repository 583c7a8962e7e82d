# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.lab.lab import Lab
from harness.lab.net import Net
from harness.lab.wire import is_esp
from harness.peers.contract import Peer
from harness.peers.ikelabd import Ikelabd
from scenarios.planes.test_data_planes import test_data_planes as data_planes
from tests.sabotage.controls import STRAY_SA, turns_red

MIXED = ("userspace", "kernel")


@pytest.mark.needs("esp")
def test_data_planes_turns_red_when_another_does_esp_than_was_asked_for(
    lab: Lab, sun: Peer
) -> None:
    def disturb(net: Net) -> None:
        net.moon.ip_xfrm(STRAY_SA.format("192.168.0.2", "192.168.0.1"))

    lab.disturb = disturb
    turns_red(
        lab,
        data_planes,
        Ikelabd(),
        sun,
        MIXED,
        "direct",
        "ikev1",
        because="ESP of moon is done by kernel",
    )


@pytest.mark.needs("esp")
def test_data_planes_turns_red_when_the_switch_drops_a_packet(lab: Lab, sun: Peer) -> None:
    lab.disturb = lambda net: net.wire("wan").drop(is_esp, sender="sun", nth=3)
    turns_red(
        lab, data_planes, Ikelabd(), sun, MIXED, "direct", "ikev1", because=r"assert[^$]*1 == 0"
    )
