# SPDX-License-Identifier: GPL-2.0-or-later
from harness.ike.v1.timers import Timers


def test_what_is_due_is_done_in_order_and_once():
    timers, done = Timers(), []
    for at in (3.0, 1.0, 2.0, 9.0):
        timers.set(at, at, lambda now, at=at: done.append((at, now)))
    assert timers.deadline() == 1.0
    timers.run(5.0)
    assert done == [(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]
    assert timers.deadline() == 9.0
    assert len(timers) == 1


def test_a_key_that_is_set_again_moves_and_one_that_is_cancelled_goes():
    timers, done = Timers(), []
    timers.set("a", 1.0, lambda now: done.append("old"))
    timers.set("a", 2.0, lambda now: done.append("new"))
    timers.set("b", 1.5, lambda now: done.append("b"))
    timers.cancel("b")
    timers.cancel("unknown")
    assert timers.deadline() == 2.0
    timers.run(9.0)
    assert done == ["new"]
    assert timers.deadline() is None


def test_an_action_may_set_itself_again_without_an_end():
    timers, done = Timers(), []

    def again(now):
        done.append(now)
        timers.set("a", now, again)

    timers.set("a", 1.0, again)
    timers.run(1.0)
    assert done == [1.0]
    assert timers.deadline() == 1.0


def test_the_heap_does_not_grow_with_what_is_set_again():
    timers = Timers()
    for number in range(10_000):
        timers.set("one", float(number), lambda now: None)
    assert len(timers) == 1
    assert len(timers._heap) < 200
    assert timers.deadline() == 9999.0
