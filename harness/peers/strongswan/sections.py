# SPDX-License-Identifier: GPL-2.0-or-later
"""The body of a VICI message, read in one pass over its bytes.

strongSwan's own `vici.protocol` writes them. It takes a stream apart element by element instead,
which in an emulated hour of rekeys costs as much as the rekeys themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Section = Mapping[str, Any]
"""Values are text, lists of texts, or sections."""

SECTION_START = 1
SECTION_END = 2
KEY_VALUE = 3
LIST_START = 4
LIST_ITEM = 5
LIST_END = 6


class MalformedSection(ValueError):
    """The bytes are no VICI message; the text says what is wrong with them."""


def read_section(data: bytes) -> Section:
    """What a message says, in its order; octets that are no UTF-8 are replaced.

    Names have lengths of one octet, values of two in network order (README.md of strongSwan's vici
    plugin). Raises MalformedSection.
    """
    # One slice a text: nearly every message is ASCII, which is decoded as a whole.
    texts = data.decode("ascii") if data.isascii() else _Texts(data)
    section: dict[str, Any] = {}
    around: list[dict[str, Any]] = []
    items: list[str] | None = None
    at = 0
    try:
        while at < len(data):
            kind = data[at]
            if kind == KEY_VALUE and items is None:
                name, value = at + 2, at + 2 + data[at + 1]
                at = value + 2 + (data[value] << 8 | data[value + 1])
                section[texts[name:value]] = texts[value + 2 : at]
            elif kind == LIST_ITEM and items is not None:
                value = at + 1
                at = value + 2 + (data[value] << 8 | data[value + 1])
                items.append(texts[value + 2 : at])
            elif kind == SECTION_START and items is None:
                name, at = at + 2, at + 2 + data[at + 1]
                inner: dict[str, Any] = {}
                section[texts[name:at]] = inner
                around.append(section)
                section = inner
            elif kind == LIST_START and items is None:
                name, at = at + 2, at + 2 + data[at + 1]
                items = []
                section[texts[name:at]] = items
            elif kind == SECTION_END and items is None:
                section = around.pop()
                at += 1
            elif kind == LIST_END and items is not None:
                items = None
                at += 1
            else:
                raise MalformedSection(f"octet {at} begins an element {kind} at a wrong place")
    except IndexError:
        raise MalformedSection("it ends within an element, or ends a section twice") from None
    if at > len(data) or around or items is not None:
        raise MalformedSection("it ends too early")
    return section


@dataclass(frozen=True)
class _Texts:
    """Octets that are text in parts, each of which is decoded when it is taken."""

    octets: bytes

    def __getitem__(self, part: slice) -> str:
        return self.octets[part].decode("utf-8", "replace")
