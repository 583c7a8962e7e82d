# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults: rules that say what a wire does with a frame instead of passing it on.

A wire asks its rules in order, and the first one that returns a Decision has the frame. A rule
that was never used is a scenario that did not happen: see `unused` of the wire.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.capture.recording import Frame

Matches = Callable[[Frame], bool]
Deliver = Callable[[Frame, bytes, str], None]


class FaultNotUsed(Exception):
    """A frame that a rule was to have did not come in time; one sentence says which."""


@dataclass(frozen=True)
class Delivery:
    """Bytes that the receiver gets, `after` seconds from now; `note` is for the capture."""

    data: bytes
    after: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """What becomes of a frame: `fault` names it in the capture.

    `passes` says whether the frame goes on as it is; `deliveries` are what the receiver gets
    besides, each recorded as a frame of its own.
    """

    fault: str
    passes: bool = False
    deliveries: tuple[Delivery, ...] = ()


class Rule(Protocol):
    """What a wire asks about each frame; `uses` is how many it has had."""

    @property
    def name(self) -> str:
        """What the rule is called in reports."""

    @property
    def uses(self) -> int:
        """How many frames the rule has decided on."""

    def decide(self, frame: Frame) -> Decision | None:
        """Return what becomes of `frame`, or None when this rule has nothing to say."""


class FaultRule:
    """A rule that acts on the frames that `matches` picks, and a handle on what it did.

    `sender` limits it to one node's frames; `nth`, from 1, to one of the frames that match;
    `times` to that many of them.
    """

    def __init__(
        self,
        name: str,
        matches: Matches,
        act: Callable[[Frame], Decision],
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
    ) -> None:
        self.name = name
        self.frames: list[Frame] = []
        self._matches = matches
        self._act = act
        self._sender = sender
        self._nth = nth
        self._times = times
        self._seen = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def uses(self) -> int:
        """How many frames the rule has decided on."""
        return len(self.frames)

    def decide(self, frame: Frame) -> Decision | None:
        """Return what becomes of `frame`, or None when it is not one of this rule's."""
        if self._sender is not None and frame.sender != self._sender:
            return None
        if self._times is not None and self.uses >= self._times:
            return None
        if not self._matches(frame):
            return None
        self._seen += 1
        if self._nth is not None and self._seen != self._nth:
            return None
        self.frames.append(frame)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return self._act(frame)

    async def used(self, times: int = 1, deadline: float = 5.0) -> Frame:
        """Return the frame of the rule's `times`-th use, once that has happened.

        Raises FaultNotUsed when it has not after `deadline` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        while self.uses < times:
            left = end - loop.time()
            if left <= 0:
                raise FaultNotUsed(
                    f"the fault {self.name!r} was used {self.uses} times and not {times} "
                    f"within {deadline:g} s"
                )
            future = loop.create_future()
            self._waiting.append(future)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, left)
        return self.frames[times - 1]


class Hold:
    """A handle on frames that a wire holds back until they are released or dropped."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.held: list[Frame] = []
        self.rule: FaultRule

    @property
    def uses(self) -> int:
        """How many frames have been held back so far."""
        return self.rule.uses

    async def used(self, times: int = 1, deadline: float = 5.0) -> Frame:
        """Return the `times`-th frame once it is held; raises FaultNotUsed after `deadline` s."""
        return await self.rule.used(times, deadline)

    def release(self) -> None:
        """Deliver what is held, in order, and go on holding what comes."""
        held, self.held = self.held, []
        for frame in held:
            self._deliver(frame, frame.data, f"frame {frame.number}, held until now")

    def drop(self) -> None:
        """Forget what is held."""
        self.held = []

    def _act(self, frame: Frame) -> Decision:
        self.held.append(frame)
        return Decision("held")


class Fault:
    """Frames that were picked on a wire, for which one of the verbs adds a rule.

    Each verb returns the handle on which uses are counted and waited for.
    """

    def __init__(
        self,
        add: Callable[[Rule], None],
        deliver: Deliver,
        matches: Matches,
        sender: str | None = None,
        nth: int | None = None,
        times: int | None = None,
        name: str = "",
    ) -> None:
        self._add = add
        self._deliver = deliver
        self._matches = matches
        self._limits = (sender, nth, times)
        self._name = name

    def drop(self) -> FaultRule:
        """Deliver the frame never."""
        return self._rule("drop", lambda frame: Decision("dropped"))

    def hold(self) -> Hold:
        """Keep the frame until the handle's `release` or `drop`."""
        hold = Hold(self._deliver)
        hold.rule = self._rule("hold", hold._act)
        return hold

    def delay(self, seconds: float) -> FaultRule:
        """Deliver the frame `seconds` later."""
        fault = f"delayed {seconds:g} s"

        def act(frame: Frame) -> Decision:
            note = f"frame {frame.number}, {fault}"
            return Decision(fault, deliveries=(Delivery(frame.data, seconds, note),))

        return self._rule(f"delay {seconds:g} s", act)

    def duplicate(self, copies: int = 1) -> FaultRule:
        """Deliver the frame, and at once `copies` more of it."""

        def act(frame: Frame) -> Decision:
            again = Delivery(frame.data, 0.0, f"frame {frame.number} again")
            return Decision("duplicated", passes=True, deliveries=(again,) * copies)

        return self._rule(f"duplicate {copies}", act)

    def replace(self, change: Callable[[bytes], bytes]) -> FaultRule:
        """Deliver `change(data)` in the frame's place."""

        def act(frame: Frame) -> Decision:
            changed = Delivery(change(frame.data), 0.0, f"frame {frame.number}, changed")
            return Decision("replaced", deliveries=(changed,))

        return self._rule("replace", act)

    def _rule(self, verb: str, act: Callable[[Frame], Decision]) -> FaultRule:
        rule = FaultRule(self._name or verb, self._matches, act, *self._limits)
        self._add(rule)
        return rule
