# SPDX-License-Identifier: GPL-2.0-or-later
"""A pause of Python's garbage collector, for work that makes millions of values that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Keep the collector from searching in vain while the block runs.

    It would look again and again at all entries made so far, which takes a third of the time of
    decrypting a large capture. What it was set to before is set again at the end.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
