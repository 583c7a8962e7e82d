# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio

import pytest

from harness.capture.recording import Frame
from harness.network.faults import Decision, Delivery, Fault, FaultNotUsed, Rule


def frame(data: bytes, sender: str = "moon", number: int = 1) -> Frame:
    receiver = "sun" if sender == "moon" else "moon"
    return Frame(number, "wan", sender, receiver, 0, data)


class Wire:
    """What a fault needs of a wire: where rules are added, and what was delivered."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.delivered: list[tuple[Frame, bytes, str]] = []

    def on(self, data: bytes = b"", **limits: object) -> Fault:
        return Fault(
            self.rules.append,
            lambda *delivery: self.delivered.append(delivery),
            lambda frame: frame.data.startswith(data),
            **limits,  # type: ignore[arg-type]
        )


def test_a_rule_has_nothing_to_say_about_what_it_does_not_match() -> None:
    rule = Wire().on(b"ike", sender="sun").drop()
    assert rule.decide(frame(b"esp", "sun")) is None
    assert rule.decide(frame(b"ike", "moon")) is None
    assert rule.uses == 0
    assert rule.decide(frame(b"ike", "sun")) == Decision("dropped")
    assert rule.uses == 1
    assert rule.frames == [frame(b"ike", "sun")]


def test_nth_picks_one_of_the_frames_that_match_and_times_the_first_ones() -> None:
    second = Wire().on(b"ike", nth=2).drop()
    said = [second.decide(frame(data)) is not None for data in (b"ike", b"esp", b"ike", b"ike")]
    assert said == [False, False, True, False]
    twice = Wire().on(b"ike", times=2).drop()
    said = [twice.decide(frame(data)) is not None for data in (b"ike", b"ike", b"ike")]
    assert said == [True, True, False]


def test_each_verb_decides_what_it_says() -> None:
    wire = Wire()
    one = frame(b"data", number=7)
    assert wire.on().drop().decide(one) == Decision("dropped")
    assert wire.on().delay(0.3).decide(one) == Decision(
        "delayed 0.3 s", deliveries=(Delivery(b"data", 0.3, "frame 7, delayed 0.3 s"),)
    )
    assert wire.on().duplicate(2).decide(one) == Decision(
        "duplicated", passes=True, deliveries=(Delivery(b"data", 0.0, "frame 7 again"),) * 2
    )
    assert wire.on().replace(bytes.upper).decide(one) == Decision(
        "replaced", deliveries=(Delivery(b"DATA", 0.0, "frame 7, changed"),)
    )
    assert [rule.name for rule in wire.rules] == ["drop", "delay 0.3 s", "duplicate 2", "replace"]


def test_what_is_held_is_delivered_in_order_at_the_release_or_never() -> None:
    wire = Wire()
    hold = wire.on().hold()
    frames = [frame(bytes([number]), number=number) for number in (1, 2)]
    for one in frames:
        assert wire.rules[0].decide(one) == Decision("held")
    assert wire.delivered == []
    hold.release()
    assert [(one, data) for one, data, _ in wire.delivered] == [(f, f.data) for f in frames]
    hold.release()
    assert len(wire.delivered) == 2
    wire.rules[0].decide(frame(b"third"))
    hold.drop()
    hold.release()
    assert len(wire.delivered) == 2
    assert hold.uses == 3


def test_a_use_can_be_waited_for() -> None:
    async def body() -> None:
        rule = Wire().on(name="the first request").drop()
        waiting = asyncio.create_task(rule.used(2))
        rule.decide(frame(b"1"))
        await asyncio.sleep(0)
        rule.decide(frame(b"2"))
        assert (await waiting).data == b"2"
        with pytest.raises(FaultNotUsed, match="'the first request' was used 2 times and not 3"):
            await rule.used(3, deadline=0.01)

    asyncio.run(body())
