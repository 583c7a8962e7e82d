# SPDX-License-Identifier: GPL-2.0-or-later
"""The anti-replay window and the inference of extended sequence numbers (RFC 4303)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ike.replay import ReplayWindow, extended_sequence


@given(
    size=st.sampled_from([1, 2, 32, 64, 1024, 4096]),
    numbers=st.lists(st.integers(1, 6000), max_size=60),
)
def test_a_window_accepts_what_a_set_of_all_numbers_would(size, numbers):
    window, seen, highest = ReplayWindow(size), set(), 0
    for number in numbers:
        fresh = number not in seen and number > highest - size
        assert window.acceptable(number) == fresh
        if fresh:
            window.accept(number)
            seen.add(number)
            highest = max(highest, number)
        assert window.highest == highest
        assert window.seen >> size == 0


def test_number_zero_is_never_accepted():
    assert not ReplayWindow(64).acceptable(0)


def test_no_window_accepts_everything_again():
    window = ReplayWindow(0)
    for number in (5, 5, 1):
        assert window.acceptable(number)
        window.accept(number)
    assert window.highest == 5


@pytest.mark.parametrize(
    ("low", "highest", "size", "expected"),
    [
        # Case A of RFC 4303 appendix A2.2: the window within one subspace.
        (1000, 999, 64, 1000),
        (936, 999, 64, 936),
        (935, 999, 64, (1 << 32) + 935),
        (0, 0xFFFFFFFF, 64, 1 << 32),
        (0xFFFFFFF0, 0xFFFFFFFF, 64, 0xFFFFFFF0),
        # Case B: the window spans two subspaces.
        (0xFFFFFFFF, (1 << 32) + 5, 64, 0xFFFFFFFF),
        (0xFFFFFFC6, (1 << 32) + 5, 64, 0xFFFFFFC6),
        (0xFFFFFFC5, (1 << 32) + 5, 64, (1 << 32) + 0xFFFFFFC5),
        (6, (1 << 32) + 5, 64, (1 << 32) + 6),
        # There is no subspace before the first.
        (0xFFFFFFFF, 5, 64, 0xFFFFFFFF),
    ],
)
def test_the_high_half_is_inferred_as_the_appendix_says(low, highest, size, expected):
    assert extended_sequence(low, highest, size) == expected


@given(
    highest=st.integers(1, 1 << 40),
    offset=st.integers(-63, (1 << 32) - 65),
)
def test_every_number_in_the_window_or_less_than_a_subspace_ahead_is_found(highest, offset):
    number = highest + offset
    if number > 0:
        assert extended_sequence(number % (1 << 32), highest, 64) == number
