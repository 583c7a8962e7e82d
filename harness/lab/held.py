# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames that a wire holds back until a scenario lets them go: what makes messages cross."""

from __future__ import annotations

from harness.capture.recording import Frame
from harness.lab.background import Background
from harness.network.faults import Hold


class Held:
    """What a rule of `WireView.hold` has, for the scenario's thread."""

    def __init__(self, hold: Hold, background: Background) -> None:
        self._hold = hold
        self._background = background

    def await_held(self, times: int = 1, within: float = 10.0) -> Frame:
        """The `times`-th frame, as soon as it is held; `within` is in seconds of lab time.

        Raises FaultNotUsed.
        """
        return self._background.run(self._hold.used(times, within))

    def release(self) -> None:
        """Deliver what is held, in order, and go on holding what comes."""
        self._background.call(self._hold.release)

    def drop(self) -> None:
        """Deliver what is held never, and go on holding what comes."""
        self._background.call(self._hold.drop)
