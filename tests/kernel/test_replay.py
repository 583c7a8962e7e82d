# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.kernel.errors import MalformedMessage
from harness.kernel.replay import (
    Replay,
    needs_long_form,
    read_long_replay,
    write_long_replay,
)
from harness.kernel.structures import REPLAY_STATE_ESN


def test_extended_sequence_numbers_are_one_number_of_64_bits() -> None:
    replay = Replay(seq=5, seq_hi=1, oseq=6, oseq_hi=2)
    assert replay.received == (1 << 32) + 5
    assert replay.sent == (2 << 32) + 6


def test_a_window_over_32_packets_needs_the_long_form_with_or_without_esn() -> None:
    assert not needs_long_form(Replay(32), esn=False)
    assert needs_long_form(Replay(33), esn=False)
    assert needs_long_form(Replay(32), esn=True)


def test_the_bitmap_has_a_word_for_each_32_packets() -> None:
    data = write_long_replay(Replay(window=65, bitmap=1 << 64 | 1))
    assert len(data) == REPLAY_STATE_ESN.size + 3 * 4
    assert read_long_replay(data) == Replay(window=65, bitmap=1 << 64 | 1)


def test_a_window_larger_than_the_kernels_is_refused() -> None:
    with pytest.raises(ValueError, match="a replay window of 32769 is larger than 32768"):
        write_long_replay(Replay(window=32769))


def test_a_bitmap_longer_than_its_attribute_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="a replay bitmap of 5 words does not fit in 4"):
        read_long_replay(REPLAY_STATE_ESN.pack(bmp_len=5) + bytes(4))
