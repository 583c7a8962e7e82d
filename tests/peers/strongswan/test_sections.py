# SPDX-License-Identifier: GPL-2.0-or-later
"""VICI messages: what strongSwan's own codec writes, and octets that it never would."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vici.protocol import Message

from harness.peers.strongswan.sections import MalformedSection, read_section

NAME = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)
TEXT = st.text(max_size=300)
SECTION = st.recursive(
    st.dictionaries(NAME, TEXT | st.lists(TEXT, max_size=4), max_size=5),
    lambda inner: st.dictionaries(NAME, TEXT | st.lists(TEXT, max_size=4) | inner, max_size=5),
    max_leaves=12,
)


@given(SECTION)
def test_what_strongswans_codec_writes_is_read_as_it_was(section: Mapping[str, Any]) -> None:
    written = Message.serialize(section)
    assert read_section(written) == section
    assert list(read_section(written)) == list(section)


@given(SECTION, st.data())
def test_a_message_that_is_cut_off_is_refused(section: Mapping[str, Any], data: Any) -> None:
    written = Message.serialize(section)
    length = data.draw(st.integers(0, len(written)))
    with suppress(MalformedSection):
        # Only between two elements of the outermost section can it seem to be whole.
        assert section.items() >= read_section(written[:length]).items()


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with suppress(MalformedSection):
        read_section(octets)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"\x03\x01a\x00\x05b", "too early"),
        (b"\x03\x01", "within an element"),
        (b"\x01\x01a", "too early"),
        (b"\x02", "ends a section twice"),
        (b"\x04\x01a\x05\x00\x01b", "too early"),
        (b"\x05\x00\x01b", "wrong place"),
        (b"\x04\x01a\x03\x01a\x00\x01b\x06", "wrong place"),
        (b"\x06", "wrong place"),
        (b"\x09", "element 9"),
    ],
)
def test_malformed_octets_are_refused_with_the_reason(octets: bytes, reason: str) -> None:
    with pytest.raises(MalformedSection, match=reason):
        read_section(octets)


def test_octets_that_are_no_utf8_are_replaced() -> None:
    assert read_section(b"\x03\x01a\x00\x02b\xff") == {"a": "b\ufffd"}
