# SPDX-License-Identifier: GPL-2.0-or-later
"""HTML by functions: what is no `Html` is text, so that nothing of a run is taken for markup."""

from __future__ import annotations

from html import escape

VOID = ("br", "input", "meta")


class Html(str):
    """Text that is markup already."""


def element(tag: str, *content: str, **attributes: str | bool) -> Html:
    """An element with its content; ``class_`` is the attribute class, ``data_x`` is data-x."""
    said = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{said}>")
    return Html(f"<{tag}{said}>{joined(*content)}</{tag}>")


def joined(*content: str) -> Html:
    """Several pieces behind each other."""
    return Html("".join(one if isinstance(one, Html) else escape(one) for one in content))


def _attribute(name: str, value: str | bool) -> str:
    spelled = name.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {spelled}" if value else ""
    return f' {spelled}="{escape(value)}"'
