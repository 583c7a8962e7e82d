# SPDX-License-Identifier: GPL-2.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.wrapping import INDENT, wrapped

WORDS = st.text("abc()", min_size=1, max_size=30)


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert list(wrapped("  1  moon ───▶ sun", 18)) == ["  1  moon ───▶ sun"]


def test_a_file_has_lines_of_any_length() -> None:
    assert list(wrapped("word " * 99, 0)) == ["word " * 99]


def test_colours_take_no_room() -> None:
    line = "\033[2m  1\033[0m  \033[1;36mIKE_AUTH\033[0m"
    assert list(wrapped(line, 13)) == [line]
    assert list(wrapped(line, 12)) == [
        "\033[2m  1\033[0m",
        f"{INDENT}\033[1;36mIKE_AUTH\033[0m",
    ]


@given(st.lists(WORDS, min_size=1), st.integers(44, 90))
def test_pieces_fit_and_are_the_line_again_when_put_together(
    words: list[str], columns: int
) -> None:
    pieces = list(wrapped("     1  " + " ".join(words), columns))
    assert all(len(piece) <= columns for piece in pieces)
    assert " ".join(pieces).split() == ["1", *words]
    assert all(piece.startswith(INDENT) for piece in pieces[1:])
