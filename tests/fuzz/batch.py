# SPDX-License-Identifier: GPL-2.0-or-later
"""One batch of inputs: the same seed, target and number give the same octets, always."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import FrameType

from tests.fuzz.targets import TARGETS, Target

HANGS = 300
"""Seconds after which a batch is taken to have run into something endless."""


@dataclass(frozen=True)
class Found:
    """An input that did harm: the last of its batch, which is run again to see it."""

    target: str
    seed: str
    batch: int
    octets: bytes
    trace: str

    def __str__(self) -> str:
        return (
            f"{self.trace}"
            f"The last input was {self.octets.hex() or 'empty'}\n"
            f"Again: ci/nightly --seed {self.seed} --target {self.target} --batch {self.batch}"
        )


def target_named(name: str) -> Target:
    """The target of that name; raises LookupError."""
    for one in TARGETS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in TARGETS)
    raise LookupError(f"There is no target {name!r}; there are {known}.")


def run_batch(name: str, seed: str, number: int, size: int = 0) -> Found | None:
    """Give a target the inputs of a batch, as many as it usually has without a `size`."""
    target = target_named(name)
    last = [b""]

    def note(octets: bytes) -> None:
        last[0] = octets

    try:
        with _within(HANGS):
            target.run(Random(f"{seed}/{name}/{number}"), size or target.size, note)
    except Exception:
        return Found(name, seed, number, last[0], traceback.format_exc())
    return None


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
