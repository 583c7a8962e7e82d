# SPDX-License-Identifier: GPL-2.0-or-later
"""How a scenario disturbs a wire: what is held, late or there twice, whoever sends it."""

import pytest

from harness.capture.frames import dissect
from harness.capture.recording import Frame
from harness.lab.lab import Lab
from harness.lab.wire import is_message
from harness.network.faults import FaultNotUsed
from harness.network.topologies import MOON_SUN
from harness.network.traffic import PORT
from harness.peers.contract import Peer
from scenarios.agreements import NET_NET


def is_traffic(frame: Frame) -> bool:
    return PORT + 1 in (dissect(frame.data).ports or ())


def test_what_is_held_arrives_when_it_is_released(lab: Lab) -> None:
    net = lab.up(MOON_SUN)
    held = net.wire("wan").hold(is_traffic, sender="moon", nth=2)
    with net.traffic("alice", "bob") as flow:
        first = held.await_held()
        flow.await_crossed(3)
        held.release()
    assert flow.lost == 0
    faults = {frame.number: frame.fault for frame in net.wire("wan").frames if frame.fault}
    assert faults.pop(first.number) == "held"
    assert list(faults.values()) == [f"frame {first.number}, held until now"]


def test_what_is_held_and_dropped_never_arrives(lab: Lab) -> None:
    net = lab.up(MOON_SUN)
    held = net.wire("wan").hold(is_traffic, sender="moon", nth=2)
    with net.traffic("alice", "bob") as flow:
        held.await_held()
        held.drop()
        held.release()
        flow.await_crossed(3)
    assert flow.lost == 1


def test_what_is_never_held_is_missed_in_one_sentence(lab: Lab) -> None:
    held = lab.up(MOON_SUN).wire("wan").hold(is_message("IKE_AUTH"))
    with pytest.raises(FaultNotUsed, match=r"'hold' was used 0 times and not 1 within 0\.1 s"):
        held.await_held(within=0.1)


def test_what_is_delayed_or_duplicated_is_in_the_capture_again(lab: Lab) -> None:
    net = lab.up(MOON_SUN)
    wan = net.wire("wan")
    late = wan.delay(is_traffic, 0.01, sender="moon", nth=1)
    twice = wan.duplicate(is_traffic, sender="sun", nth=1)
    with net.traffic("alice", "bob") as flow:
        flow.await_crossed(3)
    assert (late.uses, twice.uses, flow.lost) == (1, 1, 0)
    faults = [frame.fault for frame in wan.frames if frame.fault]
    assert sorted(faults) == sorted(
        [
            "delayed 0.01 s",
            f"frame {late.frames[0].number}, delayed 0.01 s",
            "duplicated",
            f"frame {twice.frames[0].number} again",
        ]
    )


def test_messages_are_picked_by_their_exchange_and_the_response_flag(
    lab: Lab, moon: Peer, sun: Peer
) -> None:
    net = lab.up(MOON_SUN, moon=moon, sun=sun, connection=NET_NET)
    net.moon.initiate("net-net")
    frames = net.wire("wan").frames
    for exchange in ("IKE_SA_INIT", "IKE_AUTH"):
        request, response = (
            [one.sender for one in frames if is_message(exchange, response=flag)(one)]
            for flag in (False, True)
        )
        assert (request, response) == (["moon"], ["sun"])
        assert len([one for one in frames if is_message(exchange)(one)]) == 2
    assert not any(is_message("CREATE_CHILD_SA")(one) for one in frames)
