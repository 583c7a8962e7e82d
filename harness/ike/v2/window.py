# SPDX-License-Identifier: GPL-2.0-or-later
"""Message IDs, retransmission and duplicates: a window of one in each direction (RFC 7296 2.1-2.3).

A peer may announce a larger window; using one less than it allows is always right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from harness.ike.retransmission import Retransmission
from harness.ike.v2.message import Sent

Task = TypeVar("Task")


@dataclass(slots=True)
class Pending(Generic[Task]):
    """A request without an answer yet: whose it is, its octets, and when it is due again."""

    task: Task
    exchange: int
    message_id: int
    messages: tuple[bytes, ...] = field(repr=False)
    sent: int
    due: float


class RequestWindow(Generic[Task]):
    """The requests of this end, one at a time."""

    def __init__(self, retransmission: Retransmission, next_id: int = 0) -> None:
        self._retransmission = retransmission
        self.next_id = next_id
        self.pending: Pending[Task] | None = None

    def sent(self, task: Task, exchange: int, messages: tuple[bytes, ...], now: float) -> None:
        """Note a request that was just sent under `next_id`."""
        due = now + self._retransmission.wait(0)
        self.pending = Pending(task, exchange, self.next_id, messages, 1, due)

    def answers(self, message_id: int, exchange: int) -> bool:
        """Whether a response with these fields answers the request that is pending."""
        pending = self.pending
        return (
            pending is not None
            and pending.message_id == message_id
            and pending.exchange == exchange
        )

    def answered(self) -> None:
        """The pending request has its answer: the next one has the next Message ID."""
        self.pending = None
        self.next_id += 1

    def withdraw(self) -> None:
        """Forget the pending request and use its Message ID again, as IKE_SA_INIT does (2.6)."""
        self.pending = None

    def due(self, now: float) -> bool:
        """Whether the pending request must be sent again, or given up."""
        return self.pending is not None and now >= self.pending.due

    def repeat(self, now: float) -> bool:
        """Count a repetition; False where there were enough, so that the peer is gone."""
        pending = self.pending
        if pending is None:
            return True
        if pending.sent > self._retransmission.tries:
            return False
        pending.sent += 1
        pending.due = now + self._retransmission.wait(pending.sent - 1)
        return True


class ResponseWindow:
    """The peer's requests: which is next, and the answer to the one before it."""

    def __init__(self, expected: int = 0) -> None:
        self.expected = expected
        self.last: Sent | None = None

    def is_next(self, message_id: int) -> bool:
        """Whether a request with that Message ID is new and in turn."""
        return message_id == self.expected

    def repeated(self, message_id: int) -> Sent | None:
        """What to send again for a retransmitted request; None where it is no such."""
        return self.last if message_id == self.expected - 1 else None

    def answered(self, sent: Sent) -> None:
        """Note the answer to the request that was expected."""
        self.last = sent
        self.expected += 1
