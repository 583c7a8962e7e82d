# SPDX-License-Identifier: GPL-2.0-or-later
from harness.plugin.packing import interleaved, longest_first


def test_the_longest_come_first_and_equals_stay_in_their_order() -> None:
    timed = [(1.0, "a"), (9.0, "b"), (1.0, "c"), (4.0, "d")]
    assert [name for _, name in longest_first(timed)] == ["b", "d", "a", "c"]


def test_of_each_kind_the_same_share_of_its_time_is_over_at_any_moment() -> None:
    guests = [(30.0, "G1"), (10.0, "G2"), (10.0, "G3")]
    hosts = [(4.0, "h1"), (2.0, "h2"), (2.0, "h3"), (1.0, "h4"), (1.0, "h5")]
    assert interleaved(guests, hosts) == ["G1", "h1", "h2", "G2", "h3", "G3", "h4", "h5"]


def test_a_kind_of_which_there_is_none_changes_nothing() -> None:
    hosts = [(0.0, "h1"), (0.0, "h2")]
    assert interleaved([], hosts) == ["h1", "h2"]
    assert interleaved([], []) == []
