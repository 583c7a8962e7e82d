# SPDX-License-Identifier: GPL-2.0-or-later
"""How a long step tells a terminal that it began, waits for another process, or is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

State = Literal["begun", "waiting", "done", "failed", "interrupted"]


class Progress(Protocol):
    """Is called at the begin and the end of each step that can take more than a second."""

    def __call__(self, step: str, state: State, seconds: float) -> None:
        """Take note that ``step`` is in ``state``, ``seconds`` after it began."""


def silent(step: str, state: State, seconds: float) -> None:
    """Show nothing: for callers without a terminal."""


@contextmanager
def timed(progress: Progress, step: str) -> Iterator[None]:
    """Report the begin of ``step``, and its end or failure with the wall time in seconds."""
    began = time.monotonic()
    progress(step, "begun", 0.0)
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        progress(step, "interrupted" if interrupted else "failed", time.monotonic() - began)
        raise
    progress(step, "done", time.monotonic() - began)
