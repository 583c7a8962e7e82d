# SPDX-License-Identifier: GPL-2.0-or-later
from harness.plugin.packing import longest_first, shared_out


def test_the_longest_come_first_and_equals_stay_in_their_order() -> None:
    timed = [(1.0, "a"), (9.0, "b"), (1.0, "c"), (4.0, "d")]
    assert [name for _, name in longest_first(timed)] == ["b", "d", "a", "c"]


GUESTS = [(30.0, "G1"), (10.0, "G2"), (10.0, "G3"), (10.0, "G4")]
HOSTS = [(4.0, "h1"), (2.0, "h2"), (2.0, "h3"), (1.0, "h4"), (1.0, "h5")]


def test_each_worker_has_two_of_its_kind_and_another_whenever_one_has_ended() -> None:
    assert shared_out([GUESTS[:2], HOSTS], 2) == ["G1", "G2", "h1", "h2", "h3", "h4", "h5"]


def test_a_worker_whose_kind_is_at_its_end_takes_the_other() -> None:
    # The second worker has ended all of the hosts' at 10 s, the first one its first at 30 s.
    order = shared_out([GUESTS, HOSTS], 2)
    assert order == ["G1", "G2", "h1", "h2", "h3", "h4", "h5", "G3", "G4"]
    assert shared_out([GUESTS[:1], HOSTS[:3]], 2) == ["G1", "h1", "h2", "h3"]


def test_of_several_workers_half_are_at_each_kind() -> None:
    assert shared_out([GUESTS, HOSTS], 4)[:8] == ["G1", "G2", "h1", "h2", "G3", "G4", "h3", "h4"]


def test_all_are_there_once_however_many_workers_there_are() -> None:
    everything = sorted(item for _, item in [*GUESTS, *HOSTS])
    for workers in range(1, 12):
        assert sorted(shared_out([GUESTS, HOSTS], workers)) == everything
    assert shared_out([[], HOSTS[:2]], 3) == ["h1", "h2"]
    assert shared_out([[], []], 3) == []
