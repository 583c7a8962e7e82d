# SPDX-License-Identifier: GPL-2.0-or-later
import os

import pytest

from harness.kernel.statistics import parse_statistics, read_statistics


def test_the_counters_come_by_name_in_the_kernels_order() -> None:
    text = "XfrmInError             \t0\nXfrmInTmplMismatch      \t12\n"
    assert dict(parse_statistics(text)) == {"XfrmInError": 0, "XfrmInTmplMismatch": 12}
    assert list(parse_statistics(text)) == ["XfrmInError", "XfrmInTmplMismatch"]


@pytest.mark.parametrize("line", ["XfrmInError", "XfrmInError x", "XfrmInError 1 2", "", "a -1"])
def test_a_line_that_is_no_counter_is_refused_with_its_text(line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line!r} is not a name and a number"):
        parse_statistics(f"XfrmInError 1\n{line}\n")


def test_the_counters_of_this_process_are_those_that_its_kernel_lists() -> None:
    counters = read_statistics(os.getpid())
    assert {"XfrmInTmplMismatch", "XfrmInNoStates", "XfrmOutNoStates"} <= set(counters)


def test_a_process_that_is_gone_has_no_counters() -> None:
    with pytest.raises(FileNotFoundError):
        read_statistics(2**22 + 1)
