# SPDX-License-Identifier: GPL-2.0-or-later
"""The marker of a scenario: what it is called, what it claims, and where that comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

MARKER = "scenario"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Scenario:
    """What a scenario says of itself.

    `name` is how it is asked for, `sentence` what it claims, `rfc` the section that demands it,
    `needs` the capabilities without which it cannot run (``esp``). A `long` one waits for half a
    minute or more: unless something else is asked for it runs in virtual time.
    """

    name: str
    sentence: str
    rfc: str
    seed: str
    needs: tuple[str, ...]
    long: bool = False


def scenario(
    name: str,
    sentence: str,
    *,
    rfc: str = "",
    seed: str = "",
    needs: tuple[str, ...] = (),
    long: bool = False,
) -> Callable[[F], F]:
    """Mark a test function as a scenario of the catalogue."""
    mark = getattr(pytest.mark, MARKER)(Scenario(name, sentence, rfc, seed, needs, long))

    def apply(function: F) -> F:
        marked: F = mark(function)
        return marked

    return apply
